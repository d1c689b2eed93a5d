"""What runs leave behind in an Airflow, searched for credentials."""

from __future__ import annotations

import base64
import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripts.airflow_home import AirflowHome
from tests.system.faults.stage import Stage

OUR_OWN = {"airflow.cfg", "webserver_config.py"}  # written by the harness, not by a run
# What the database holds only for a while.
IN_PASSING = {
    "triggers": "SELECT classpath, kwargs FROM trigger",
    "events": "SELECT next_method, next_kwargs FROM task_instance WHERE next_kwargs IS NOT NULL",
    "xcoms": "SELECT key, value FROM xcom",
}


SECRET_EXTRAS = ("read_token", "data_api_key", "monitoring_api_key", "flow_api_key")


class Traces:
    """Everything that somebody could read: files, the database, and what was in it only for a while."""

    def __init__(self, home: AirflowHome) -> None:
        self.home = home
        self.passing: dict[str, set[str]] = defaultdict(set)

    def look(self) -> None:
        """Note what the database holds now and perhaps not at the end."""
        with contextlib.closing(sqlite3.connect(f"file:{self.home.database}?mode=ro", uri=True)) as database:
            for name, query in IN_PASSING.items():
                self.passing[name].update(map(str, database.execute(query)))

    def note(self, stage: Stage) -> None:
        """Note the links that the UI shows for a story's tasks."""
        for row in stage.tasks:
            where = f"dags/{stage.story.name}/dagRuns/{stage.run_id}/taskInstances/{row['task_id']}/links"
            self.passing["links"].add(str(stage.airflow.api("GET", f"{where}?map_index={row['map_index']}")))

    def texts(self) -> Iterator[tuple[str, str]]:
        """Give everything, each with the place where it was."""
        for path in sorted(self.home.path.rglob("*")):
            if path.is_file() and path.name not in OUR_OWN:
                yield str(path.relative_to(self.home.path)), path.read_bytes().decode("latin-1")
        yield from tables(self.home.database)
        for name, texts in self.passing.items():
            yield name, "\n".join(sorted(texts))

    def places(self, wanted: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        """Tell for each of these names where one of its spellings stands; a name that is nowhere is left out."""
        found: dict[str, list[str]] = {}
        for place, text in self.texts():
            for name, spellings in wanted.items():
                if any(one in text for one in spellings):
                    found.setdefault(name, []).append(place)
        return found


def tables(database: Path) -> Iterator[tuple[str, str]]:
    """Give each table as text; in the file itself a value may be cut in two by the end of a page."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        names = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            yield f"table {name}", "\n".join(map(str, opened.execute(f'SELECT * FROM "{name}"')))


def secrets_of(stage: Stage) -> dict[str, tuple[str, ...]]:
    """Give every credential that a story has used, with the ways in which it could be written."""
    connection = stage.sandbox.connections()[stage.story.conn_id]
    extra = connection.get("extra") or {}
    fixed = {"password": connection["password"], **{name: extra[name] for name in SECRET_EXTRAS if name in extra}}
    minted = {f"token {index}": token for index, token in enumerate(stage.tokens())}
    login = connection.get("login") or ""
    return {f"{stage.story.name}: {name}": spellings(value, login) for name, value in {**fixed, **minted}.items()}


def spellings(secret: str, login: Any) -> tuple[str, ...]:
    """The ways in which a credential could be written."""
    pair = base64.b64encode(f"{login}:{secret}".encode()).decode()
    alone = base64.b64encode(secret.encode()).decode().rstrip("=")
    return tuple({secret, quote(secret, safe=""), pair, alone})

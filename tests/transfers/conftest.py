"""Tables to read, databases to write to, and a task's context."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    # The first import of a database hook loads every provider, and old ones have deprecations of their own.
    warnings.simplefilter("ignore")
    import airflow.providers.common.sql.hooks.sql  # noqa: F401

from tests.transfers import databases
from tests.transfers.databases import Database
from tests.transfers.tables import CONN_ID, Tables, serving


@pytest.fixture(scope="session")
def table_server() -> Iterator[Tables]:
    """A server of tables."""
    with serving() as tables:
        yield tables


@pytest.fixture
def tables(table_server: Tables, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """The server without any table, behind an Airflow connection."""
    for held in (
        table_server.columns,
        table_server.rows,
        table_server.claimed,
        table_server.states,
        table_server.asked,
    ):
        held.clear()  # type: ignore[attr-defined]
    connection = {"conn_type": "carto", "host": table_server.url, "password": "token"}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    return table_server


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Database]]:
    """Databases that are servers, started when they are first asked for.

    Not in pytest's own folder: as root they run as another user, and every start of a pytest locks that folder.
    """
    with ExitStack() as running:

        class Started(dict[str, Database]):
            def __missing__(self, name: str) -> Database:
                start = {"postgres": databases.postgres, "mariadb": databases.mariadb}[name]
                folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-")))
                folder.chmod(0o755)
                self[name] = running.enter_context(start(folder))
                return self[name]

        yield Started()


EMPTIED = {
    "postgres": ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "DROP SCHEMA IF EXISTS other CASCADE"),
    "mariadb": ("DROP DATABASE IF EXISTS work", "CREATE DATABASE work"),
}


@pytest.fixture(params=[name for name in databases.NEEDS if not databases.missing(name)])
def database(request, servers, tmp_path, monkeypatch) -> Database:
    """An empty database of each kind that can be had here; `test_databases.py` says which cannot."""
    return opened(request.param, servers, tmp_path, monkeypatch)


@pytest.fixture
def sqlite(servers, tmp_path, monkeypatch) -> Database:
    """An empty SQLite."""
    return opened("sqlite", servers, tmp_path, monkeypatch)


@pytest.fixture
def postgres(servers, tmp_path, monkeypatch) -> Database:
    """An empty PostgreSQL."""
    return opened("postgres", servers, tmp_path, monkeypatch)


def opened(name: str, servers, tmp_path, monkeypatch) -> Database:
    """Give an empty database, its connection exported; skips, and says why, where it cannot be had."""
    if reason := databases.missing(name):
        pytest.skip(reason)
    if name in ("sqlite", "duckdb"):
        made = Database(name, {"conn_type": name, "host": str(tmp_path / f"{name}.db")})
    else:
        made = servers[name]
    monkeypatch.setenv(f"AIRFLOW_CONN_{databases.CONN_ID.upper()}", "{}")
    made.export()
    made.run(*EMPTIED.get(name, ()))
    if name == "mariadb":
        made = Database(name, {**made.connection, "schema": "work"})
        made.export()
    return made


@dataclass
class Task:
    """The task instance of a context, which keeps what is pushed."""

    try_number: int = 1
    max_tries: int = 2
    dag_id: str = "d"
    run_id: str = "manual"
    task_id: str = "land"
    map_index: int = -1
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep a value as a JSON column would."""
        self.pushed[key] = json.loads(json.dumps(value))


class Store(dict[str, Any]):
    """Airflow 3.3's task state store as far as transfers use it."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self[key] = json.loads(json.dumps(value))


def context(task: Task | None = None, store: Store | None = None) -> dict[str, Any]:
    """What a task is executed with."""
    return {"ti": task or Task(), "task_state_store": store}

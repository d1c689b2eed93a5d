"""A load that is killed at any of its statements leaves the table as it was, or whole; the retry loads once."""

from __future__ import annotations

import os
import signal
import warnings
from contextlib import suppress
from typing import Any

import pytest

from tests.transfers.conftest import Task, opened
from tests.transfers.files import csv_outputs, land, loading, table_output

BODY = "id,name\n" + "".join(f"{k},new\n" for k in range(1, 400))
NEW = dict.fromkeys(range(1, 400), "new")
OLD = {1: "old", 500: "other"}
AFTER = {
    "fail": NEW,
    "append": NEW | {500: "other"},
    "replace": NEW,
    "truncate": NEW,
    "upsert": NEW | {500: "other"},
    "replace_where": NEW | {500: "other"},
}
WAYS = {
    "sqlite": ("insert",),
    "postgres": ("bulk", "insert", "in_database"),
    "duckdb": ("bulk", "in_database"),
    "mariadb": ("bulk", "insert"),
}
# Each database and each way at least once; KILL_EVERYTHING=1 plays all.
PLAYED = [
    ("mariadb", "bulk", "replace"),
    ("mariadb", "bulk", "upsert"),
    ("mariadb", "insert", "fail"),
    ("postgres", "bulk", "replace"),
    ("postgres", "in_database", "upsert"),
    ("duckdb", "bulk", "replace_where"),
    ("duckdb", "in_database", "truncate"),
    ("sqlite", "insert", "upsert"),
]
if os.environ.get("KILL_EVERYTHING"):
    PLAYED = [(name, method, mode) for name in WAYS for method in WAYS[name] for mode in AFTER]


class Dying:
    """A driver's connection or cursor; the process is killed before or after a certain call."""

    def __init__(self, real: Any, calls: list[int], at: int) -> None:
        self._real, self._calls, self._at = real, calls, at

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name == "cursor":
            return lambda: Dying(found(), self._calls, self._at)
        if name not in ("execute", "executemany", "copy_expert", "adbc_ingest", "commit"):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._step()
            result = found(*arguments, **options)
            self._step()
            return result

        return call

    def _step(self) -> None:
        self._calls[0] += 1
        if self._calls[0] == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingProperty(Dying):
    """For a driver whose connection has its mode as a property."""

    @property
    def autocommit(self) -> bool:
        """The connection's own."""
        return bool(self._real.autocommit)

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._real.autocommit = value


def dying(connection: Any, calls: list[int], at: int) -> Dying:
    """Give a connection on which the process dies."""
    has_property = isinstance(getattr(type(connection), "autocommit", None), property)
    return (DyingProperty if has_property else Dying)(connection, calls, at)


def killed_at(database: Any, outputs: Any, at: int, options: dict[str, Any]) -> bool:
    """Load in a process that dies at a step; give whether there was such a step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a process with threads; the child begins a new one only
        child = os.fork()
    if not child:
        with suppress(BaseException):
            load, _ = loading(database, Task(task_id=f"k{at}"), **options)
            connect, calls = load.hook.get_conn, [0]
            load.hook.get_conn = lambda: dying(connect(), calls, at)
            load.earlier() or load.run(outputs)
            os._exit(0)
        os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def rows(database: Any) -> dict[int, str] | None:
    """Give the table's rows; None where there is no table."""
    if not database.has("target"):
        return None
    found = database.rows("SELECT id, name FROM target")
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize(("name", "load_method", "if_exists"), PLAYED)
def test_a_load_is_killed_at_each_statement(name, load_method, if_exists, servers, tmp_path, monkeypatch):
    database = opened(name, servers, tmp_path, monkeypatch)
    if name == "mariadb":
        database.connection["extra"] = {**database.connection["extra"], "local_infile": True}
        database.export()
    outputs = csv_outputs(BODY)
    if load_method == "in_database":
        values = ", ".join(f"({k}, 'new')" for k in NEW)
        database.run("CREATE TABLE source (id BIGINT, name VARCHAR(20))", f"INSERT INTO source VALUES {values}")
        outputs = [table_output("source")]
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id < 500", "load_method": load_method}
    before = None if if_exists == "fail" else OLD
    if if_exists == "append":
        before = {500: "other"}
    assert killed_everywhere(database, database, outputs, before, options) > 20


def killed_everywhere(
    database: Any, through: Any, outputs: Any, before: Any, options: dict[str, Any], step: int = 7
) -> int:
    """Kill a load ``through`` a connection at every so many steps, and play the retry; give the number of steps."""
    at, step = 1, 1 if os.environ.get("KILL_EVERYTHING") else step
    after = AFTER[options["if_exists"]]
    while True:
        database.run("DROP TABLE IF EXISTS target")
        if before:
            values = ", ".join(f"({k}, '{text}')" for k, text in before.items())
            database.run("CREATE TABLE target (id BIGINT, name VARCHAR(20))", f"INSERT INTO target VALUES {values}")
        if not killed_at(through, outputs, at, options):
            return at
        left = rows(database)
        # Where CREATE commits, a table that the load has made may be left, without a row.
        assert left in (before, after) or (before is None and left == {}), f"step {at}"
        land(through, outputs, Task(task_id=f"k{at}", try_number=2), **options)
        assert rows(database) == after, f"step {at}"
        at += step

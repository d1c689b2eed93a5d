"""The tables of guarantees in ``docs/transfers.md``: what a column gets that the output lacks, and what a load locks.

The tests read the cells from the page, so that a cell that changes has to be true.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.transfers.sql.names import parse_table
from airflow_workflow_provider.transfers.sql.session import session, sql_hook
from tests.transfers.conftest import Task
from tests.transfers.databases import skip_where_keys_linger
from tests.transfers.files import csv_outputs, file_outputs, land

PAGE = (Path(__file__).parents[2] / "docs" / "transfers.md").read_text()
MODES = ("truncate", "append", "upsert", "replace_where")
SOURCES = {"csv": "id\n1\n2\n", "json": '[{"id": 1}, {"id": 2}]'}


def rows_of(heading):
    """The rows of the table on the page whose head begins like this, each as its cells."""
    lines = PAGE[PAGE.index(f"\n{heading}") + 1 :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "---" not in line]


def cell(row, column):
    """A cell of the table "What a load touches"."""
    head, *rows = rows_of('| | `"replace"`')
    found = next(cells for cells in rows if cells[0] == row)
    return found[head.index(column)]


def made(database):
    """A table with a default and with a column without one; one row is in it."""
    text = "VARCHAR(20)" if database.name == "mariadb" else "TEXT"
    database.run(
        f"CREATE TABLE target (id BIGINT PRIMARY KEY, name {text} DEFAULT 'd', more BIGINT)",
        "INSERT INTO target VALUES (1, 'old', 7)",
    )


@pytest.mark.parametrize(("source", "method"), [("csv", "auto"), ("json", "auto"), ("csv", "insert")])
@pytest.mark.parametrize("mode", MODES)
def test_a_column_that_the_output_lacks(database, mode, source, method):
    """It has its default in the rows that are new, and keeps its value in the row that an upsert finds."""
    skip_where_keys_linger(database)
    told = cell("columns of the table that the output lacks", f'`"{mode}"`')
    made(database)
    if mode == "append":
        database.run("DELETE FROM target")
    outputs = file_outputs(source, SOURCES[source])
    land(database, outputs, if_exists=mode, key_columns=["id"], where="id >= 0", load_method=method)
    kept = {"default": ("d", None), "unchanged": ("old", 7)}[told]
    assert database.rows("SELECT id, name, more FROM target ORDER BY id") == [(1, *kept), (2, "d", None)]


@pytest.mark.parametrize("mode", [*MODES, "replace"])
def test_a_missing_column_can_be_refused_in_every_mode(database, mode):
    """The error names the columns, and the table is as it was. A replace makes the table again, or refuses to."""
    made(database)
    options = {"if_exists": mode, "key_columns": ["id"], "where": "id >= 0"}
    with pytest.raises(InvalidArgument, match=r"'name'|the defaults of name"):
        land(database, csv_outputs("id\n1\n"), on_missing_column="fail", **options)
    assert database.rows("SELECT id, name, more FROM target") == [(1, "old", 7)]


def test_a_column_that_the_database_computes_is_not_missing(database):
    """No output can give it."""
    stored = "" if database.name == "duckdb" else " STORED"
    database.run(f"CREATE TABLE target (id BIGINT, twice BIGINT GENERATED ALWAYS AS (id * 2){stored})")
    for number, method in enumerate(("auto", "insert")):
        land(database, csv_outputs("id\n3\n"), Task(task_id=f"t{number}"), on_missing_column="fail", load_method=method)
    assert database.rows("SELECT id, twice FROM target") == [(3, 6), (3, 6)]


def test_a_default_beside_a_computed_column_is_still_a_value_that_the_output_lacks(database):
    """DuckDB 1 tells by the text of a table's statement alone which column is computed."""
    stored = "" if database.name == "duckdb" else " STORED"
    odd = "`a, b`" if database.name == "mariadb" else '"a, b"'
    columns = f"id BIGINT, {odd} BIGINT GENERATED ALWAYS AS (id * 2){stored}, b BIGINT DEFAULT 3"
    database.run(f"CREATE TABLE target ({columns}, a_b BIGINT GENERATED ALWAYS AS (id + 1){stored})")
    with pytest.raises(InvalidArgument, match="the output lacks 'b', which"):
        land(database, csv_outputs("id\n1\n"), Task(task_id="t1"), on_missing_column="fail")
    land(database, csv_outputs("id,b\n1,7\n"), Task(task_id="t2"), on_missing_column="fail")
    assert database.rows(f"SELECT id, {odd}, b, a_b FROM target") == [(1, 2, 7, 2)]


def held(database):
    """What another session sees of the lock of a load that is going on."""
    if database.name == "postgres":
        return database.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") == [(1,)]
    other = sqlite3.connect(database.connection["host"], timeout=0)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    finally:
        other.close()
    return False


LOCKS = {"postgres": ("PostgreSQL", "`pg_advisory_xact_lock`"), "sqlite": ("SQLite", "`BEGIN IMMEDIATE`")}


def test_a_load_holds_the_lock_that_the_page_names(database):
    """While it does, another session sees it; afterwards it is free."""
    if database.name not in LOCKS:
        pytest.skip(f"{database.name} shows no other session its lock; test_one_load_at_a_time.py holds what it does")
    label, words = LOCKS[database.name]
    told = next(cells for cells in rows_of("| Database | Loads are serialised by |") if cells[0] == label)
    assert words in told[1]
    with session(sql_hook(database.conn_id)) as load:
        load.begin()
        load.lock([load.resolve(parse_table("target", load.dialect))])
        assert held(database)
        load.undo()
    assert not held(database)

"""Loads of one table are serialised by the database: no row is lost or doubled, whatever loads at the same time."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.transfers.sql.names import parse_table
from airflow_workflow_provider.transfers.sql.session import session, sql_hook
from tests.transfers.conftest import Task, opened
from tests.transfers.databases import skip_where_keys_linger
from tests.transfers.files import csv_outputs, land, table_output

ROWS = 2_000
LOADS = 4
MODES = ["append", "replace", "truncate", "upsert", "replace_where"]


def csv_of(number):
    """The output of one load."""
    return csv_outputs("id,name\n" + "".join(f"{k},{number}\n" for k in range(ROWS)))


def at_once(database, output_of=csv_of, **options):
    """Run loads of the same keys at once; give their errors."""
    gate, errors = threading.Barrier(LOADS), []

    def go(number):
        outputs = output_of(number)
        gate.wait()
        try:
            land(database, outputs, Task(task_id=f"t{number}"), **options)
        except Exception as error:  # noqa: BLE001 (it is compared)
            errors.append(error)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(LOADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.mark.parametrize("is_there", [True, False], ids=["a table", "no table"])
@pytest.mark.parametrize("if_exists", MODES)
def test_four_loads_at_once(database, if_exists, is_there):
    """Each is a right load; the first load of several mapped tasks into a table that is not there as well."""
    skip_where_keys_linger(database)
    if is_there:
        text = "VARCHAR(20)" if database.name == "mariadb" else "TEXT"
        database.run(f"CREATE TABLE target (id BIGINT, name {text})")
        land(database, csv_outputs("id,name\n" + "".join(f"{k},old\n" for k in range(ROWS))), Task(task_id="first"))
    errors = at_once(database, if_exists=if_exists, key_columns=["id"], where="id >= 0")
    assert errors == []
    copies = LOADS + is_there if if_exists == "append" else 1
    assert database.rows("SELECT COUNT(*), COUNT(DISTINCT id) FROM target") == [(ROWS * copies, ROWS)]
    names = database.rows("SELECT COUNT(DISTINCT name) FROM target")[0][0]
    assert names == (copies if if_exists == "append" else 1)


@pytest.mark.parametrize("is_there", [True, False], ids=["a table", "no table"])
@pytest.mark.parametrize("if_exists", MODES)
@pytest.mark.parametrize("name", ["postgres", "duckdb"])
def test_four_loads_inside_the_database_at_once(name, if_exists, is_there, servers, tmp_path, monkeypatch):
    """Each is a table of the target's own database, with an id of another type, so that its values are compared."""
    database = opened(name, servers, tmp_path, monkeypatch)
    skip_where_keys_linger(database)
    numbers = "generate_series" if name == "postgres" else "range"
    last = ROWS - 1 if name == "postgres" else ROWS
    for number in range(LOADS):
        rows = f"SELECT k AS id, '{number}' AS name FROM {numbers}(0, {last}) AS t(k)"
        database.run(f"CREATE TABLE source{number} AS {rows}")
    if is_there:
        old = f"SELECT k AS id, 'old' AS name FROM {numbers}(0, {last}) AS t(k)"
        database.run("CREATE TABLE target (id SMALLINT, name VARCHAR(20))", f"INSERT INTO target {old}")
    errors = at_once(
        database,
        lambda number: [table_output(f"source{number}")],
        if_exists=if_exists,
        key_columns=["id"],
        where="id >= 0",
        load_method="in_database",
    )
    assert errors == []
    copies = LOADS + is_there if if_exists == "append" else 1
    assert database.rows("SELECT COUNT(*), COUNT(DISTINCT id), COUNT(DISTINCT name) FROM target") == [
        (ROWS * copies, ROWS, copies)
    ]


@pytest.mark.parametrize("if_exists", MODES)
def test_four_bulk_loads_at_once(if_exists, servers, tmp_path, monkeypatch):
    """LOAD DATA LOCAL goes through staging tables of each session."""
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    database.connection["extra"] = {**database.connection["extra"], "local_infile": True}
    database.export()
    database.run("CREATE TABLE target (id BIGINT, name VARCHAR(20))")
    assert at_once(database, if_exists=if_exists, key_columns=["id"], where="id >= 0", load_method="bulk") == []
    copies = LOADS if if_exists == "append" else 1
    assert database.rows("SELECT COUNT(*), COUNT(DISTINCT id), COUNT(DISTINCT name) FROM target") == [
        (ROWS * copies, ROWS, copies)
    ]


def test_a_load_waits_for_another_one_no_longer_than_it_may(database):
    """The error names the argument, and who holds the lock where the database knows."""
    hook = sql_hook(database.conn_id)
    with session(hook) as other:
        other.begin()
        other.lock([other.resolve(parse_table("target", other.dialect))])
        started = time.monotonic()
        with pytest.raises(WorkflowError, match=r"(?s)lock_timeout: .*nothing was changed"):
            land(database, csv_outputs("id\n1\n"), lock_timeout=0.3)
        assert time.monotonic() - started < 30
        other.undo()
    land(database, csv_outputs("id\n1\n"))
    assert database.rows("SELECT id FROM target") == [(1,)]


def test_who_holds_the_lock_is_named(servers, tmp_path, monkeypatch):

    for name, said in (
        ("postgres", "process [0-9]+ of 'postgres' .airflow d.other."),
        ("mariadb", "connection [0-9]+ of 'root'"),
    ):
        database = opened(name, servers, tmp_path, monkeypatch)
        with session(sql_hook(database.conn_id), application="airflow d.other") as other:
            other.begin()
            other.lock([other.resolve(parse_table("target", other.dialect))])
            with pytest.raises(WorkflowError, match=f"It is held by {said}"):
                land(database, csv_outputs("id\n1\n"), lock_timeout=0.2)

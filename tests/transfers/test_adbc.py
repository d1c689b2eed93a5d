"""Loads over Arrow Database Connectivity, as Airflow's `AdbcHook` connects, into real databases."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.sql.checks import ExpectationFailed
from tests.transfers import test_every_type as every_type
from tests.transfers import test_killed_loads as killed
from tests.transfers.conftest import Task, opened
from tests.transfers.databases import Database
from tests.transfers.files import csv_outputs, land, table_output

for needed in ("airflow.providers.apache.arrow.hooks.adbc", "adbc_driver_sqlite", "adbc_driver_postgresql"):
    pytest.importorskip(needed, reason="ADBC was not tested: a package of the extra adbc is not installed")

MODES = ["fail", "append", "replace", "truncate", "upsert", "replace_where"]


@pytest.fixture(params=["sqlite", "postgres", "duckdb"])
def arrow(request, servers, tmp_path, monkeypatch):
    """A database with its usual connection, and the same one over ADBC."""
    plain = opened(request.param, servers, tmp_path, monkeypatch)
    host = plain.connection["host"]
    extra = {
        "sqlite": {"dialect": "sqlite", "db_kwargs": {"uri": host}},
        "postgres": {
            "dialect": "postgresql",
            "db_kwargs": {"uri": f"postgresql://postgres:@/postgres?host={host}"},
        },
        "duckdb": {"dialect": "duckdb", "entrypoint": "duckdb_adbc_init", "db_kwargs": {"uri": host}},
    }[request.param]
    if request.param == "duckdb":
        extra["driver"] = duckdb_driver(tmp_path, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_ARROW", json.dumps({"conn_type": "adbc", "host": "x::y", "extra": extra}))
    return plain


def duckdb_driver(folder: Path, monkeypatch) -> str:
    """Give DuckDB's driver as a package that the hook finds: the library has another name in DuckDB's own package."""
    name = "adbc_of_duckdb"
    place = folder / name
    place.mkdir()
    (place / "__init__.py").touch()
    (place / f"lib{name}.so").symlink_to(str(importlib.import_module("_duckdb").__file__))
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(name, None)
    return name


def over(database: Database, **connection) -> Database:
    """The same database for `land`, by its ADBC connection."""

    class Over(Database):
        conn_id = "arrow"

    return Over(database.name, database.connection)


def go(database, outputs, task=None, **options):
    return land(over(database), outputs, task, **options)


BODY = "id,name,price,yes,day,moment\n1,a'b\\,1.10,true,2024-01-31,2024-01-31T10:00:00.123456Z\n2,,,false,,\n"


@pytest.mark.parametrize("is_there", [True, False], ids=["a table", "no table"])
@pytest.mark.parametrize("if_exists", MODES)
def test_every_mode_loads_and_a_retry_loads_once(arrow, if_exists, is_there):
    if is_there and if_exists != "fail":
        exact = "TEXT" if arrow.name == "sqlite" else "NUMERIC(9, 2)"
        columns = f"id INTEGER, name VARCHAR(20), price {exact}, yes BOOLEAN, day DATE, moment TIMESTAMP"
        arrow.run(
            f"CREATE TABLE target ({columns})",
            "INSERT INTO target (id, name) VALUES (1, 'old'), (9, 'other')",
        )
    options = {
        "if_exists": if_exists,
        "key_columns": ["id"],
        "where": "id = 1",
        "column_types": {"price": "decimal128(9, 2)"},
    }
    result, log = go(arrow, csv_outputs(BODY), **options)
    assert any("load_method='auto': ADBC ingest" in line for line in log.lines)
    rows = arrow.rows("SELECT id, name, price FROM target WHERE id < 9 ORDER BY id, name")
    new = [(1, "a'b\\", Decimal("1.10")), (2, None, None)]
    found = [(number, name, None if price is None else Decimal(str(price))) for number, name, price in rows]
    old = [(1, "old", None)] if if_exists == "append" and is_there else []
    assert sorted(found, key=str) == sorted(new + old, key=str)
    others = arrow.rows("SELECT COUNT(*) FROM target WHERE id = 9")[0][0]
    assert others == (is_there and if_exists in ("append", "upsert", "replace_where"))
    assert go(arrow, csv_outputs(BODY), Task(try_number=2), **options)[0] == result
    assert len(arrow.rows("SELECT * FROM target")) == len(found) + others


def test_a_value_that_a_column_takes_comes_back(arrow):
    """Of every kind, in a column of every type."""
    columns = every_type.prepared(arrow, every_type.TYPES[arrow.name])
    go(arrow, every_type.outputs_of("csv", every_type.rows_of(columns)))
    assert every_type.compared(arrow, columns) == []


def test_a_decimal_does_not_become_a_float(arrow):
    """38 digits come back as they were."""
    digits = "123456789012345678.12345678901234567891"
    go(arrow, csv_outputs(f"id,price\n1,{digits}\n"), if_exists="fail")
    (price,) = arrow.rows("SELECT price FROM target")[0]
    assert Decimal(str(price)) == Decimal(digits)


def test_a_value_that_does_not_fit_takes_the_load_back(arrow):
    arrow.run("CREATE TABLE target (id SMALLINT, name VARCHAR(3))", "INSERT INTO target VALUES (7, 'old')")
    wrong = "id,name\n" + "".join(f"{k},new\n" for k in range(70_000, 70_002))
    for if_exists in ("append", "truncate", "upsert", "replace_where"):
        options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id = 7"}
        with pytest.raises(WorkflowError, match="nothing was changed"):
            go(arrow, csv_outputs("id,name\n1,new\n2x,new\n"), Task(task_id=if_exists), **options)
        if arrow.name != "sqlite":
            with pytest.raises(OutputUnavailable, match=r"70000.*does not fit"):
                go(arrow, csv_outputs(wrong), Task(task_id=if_exists), **options)
    with pytest.raises(ExpectationFailed, match="max_rows"):
        go(arrow, csv_outputs("id,name\n1,new\n"), Task(task_id="c"), if_exists="truncate", expect={"max_rows": 0})
    assert arrow.rows("SELECT id, name FROM target") == [(7, "old")]


def test_rows_of_the_same_database_do_not_move(arrow):
    if arrow.name == "sqlite":
        pytest.skip("in_database is not known for SQLite")
    arrow.run("CREATE TABLE source (id BIGINT, name VARCHAR)", "INSERT INTO source VALUES (1, 'a'), (2, NULL)")
    for if_exists in MODES[1:]:
        options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id < 9", "load_method": "in_database"}
        go(arrow, [table_output("source")], Task(task_id=if_exists), add_columns={"run": "it's"}, **options)
        arrow.run("DELETE FROM target WHERE id > 0") if if_exists == "append" else None
    assert arrow.rows("SELECT id, name, run FROM target ORDER BY id") == [(1, "a", "it's"), (2, None, "it's")]


@pytest.mark.parametrize("if_exists", MODES if os.environ.get("KILL_EVERYTHING") else ["upsert"])
def test_a_load_is_killed_at_each_statement(arrow, if_exists):
    """The table is as it was, or whole; the retry loads once. KILL_EVERYTHING=1 plays every mode and step."""
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id < 500"}
    before = None if if_exists == "fail" else {500: "other"} if if_exists == "append" else killed.OLD
    assert killed.killed_everywhere(arrow, over(arrow), csv_outputs(killed.BODY), before, options, 19) > 20


@pytest.mark.parametrize("if_exists", MODES[1:])
def test_four_loads_at_once(arrow, if_exists):
    if arrow.name == "duckdb":
        pytest.skip("a file of DuckDB is opened once in a process by each driver")
    arrow.run("CREATE TABLE target (id BIGINT, name TEXT)")
    errors, gate = [], threading.Barrier(4)

    def one(number):
        body = "id,name\n" + "".join(f"{k},{number}\n" for k in range(500))
        gate.wait()
        try:
            task = Task(task_id=f"t{number}")
            go(arrow, csv_outputs(body), task, if_exists=if_exists, key_columns=["id"], where="id >= 0")
        except Exception as error:  # noqa: BLE001 (it is compared)
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    copies = 4 if if_exists == "append" else 1
    assert arrow.rows("SELECT COUNT(*), COUNT(DISTINCT id), COUNT(DISTINCT name) FROM target") == [
        (500 * copies, 500, copies)
    ]

"""How rows get there: inside the database, by its bulk path, or by INSERT; the result is the same."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.sql.in_database import is_certain
from tests.transfers.conftest import Task, opened
from tests.transfers.files import csv_outputs, land, table_output

NEAR = ["postgres", "duckdb"]
MODES = {
    "fail": [(1, "a"), (2, None)],
    "append": [(1, "a"), (2, None)],
    "replace": [(1, "a"), (2, None)],
    "truncate": [(1, "a"), (2, None)],
    "upsert": [(1, "a"), (2, None)],
    "replace_where": [(1, "a"), (2, None)],
}


@pytest.fixture(params=NEAR)
def near(request, servers, tmp_path, monkeypatch):
    """A database with a table that is the output of a run."""
    database = opened(request.param, servers, tmp_path, monkeypatch)
    database.run("CREATE TABLE source (id BIGINT, name VARCHAR)", "INSERT INTO source VALUES (1, 'a'), (2, NULL)")
    return database


def content(database, columns="id, name"):
    return database.rows(f"SELECT {columns} FROM target ORDER BY id")


@pytest.mark.parametrize("if_exists", MODES)
def test_rows_of_the_same_database_do_not_move(near, if_exists):
    """The table is made where it is not there, and a retry loads once."""
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id < 9", "load_method": "in_database"}
    result, log = land(near, [table_output("source")], Task(), **options)
    assert content(near) == MODES[if_exists]
    assert result["rows"] == 2
    assert any("in_database" in line for line in log.lines)
    assert land(near, [table_output("source")], Task(try_number=2), **options)[0] == result
    assert content(near) == MODES[if_exists]


@pytest.mark.parametrize("if_exists", ["append", "truncate", "upsert", "replace_where"])
def test_a_cast_changes_no_value(near, if_exists):
    """A table that was there: values that its types hold go in, another one is refused."""
    near.run("CREATE TABLE target (id SMALLINT, name VARCHAR)")
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id < 9", "load_method": "in_database"}
    land(near, [table_output("source")], **options)
    assert content(near) == [(1, "a"), (2, None)]
    near.run(
        "DROP TABLE source",
        "CREATE TABLE source (id NUMERIC(8, 2), name VARCHAR)",
        "INSERT INTO source VALUES (1.25, 'x')",
    )
    with pytest.raises(OutputUnavailable, match=r"(?s)column 'id': '1.25' .*does not fit.*nothing was changed"):
        land(near, [table_output("source")], Task(task_id="b"), **options)
    assert content(near) == [(1, "a"), (2, None)]


def test_columns_types_and_added_columns_are_those_of_any_load(near):
    options = {
        "columns": {"id": "key", "name": "label"},
        "column_types": {"id": "string"},
        "add_columns": {"run": "{run_id}", "n": 7},
        "load_method": "in_database",
        "expect": {"min_rows": 2, "unique": ["key"]},
    }
    result, _ = land(near, [table_output("source")], if_exists="fail", **options)
    assert near.rows("SELECT key, label, run, n FROM target ORDER BY key") == [
        ("1", "a", "job-0", 7),
        ("2", None, "job-0", 7),
    ]
    assert [check["check"] for check in result["checks"]] == ["min_rows", "unique"]


def test_a_table_that_the_connection_does_not_reach_is_refused(near):
    with pytest.raises(OutputUnavailable, match=r"reaches no table .*load_method='auto'"):
        land(near, [table_output("elsewhere")], load_method="in_database")
    with pytest.raises(InvalidArgument, match="the output is no table of a database"):
        land(near, csv_outputs("id\n1\n"), load_method="in_database")
    with pytest.raises(InvalidArgument, match="is the target itself"):
        land(near, [table_output("source")], table="source", load_method="in_database")
    assert near.rows("SELECT COUNT(*) FROM source") == [(2,)]


def test_auto_stays_in_the_database_only_where_that_is_certain():
    """Host, port and database are the same; a socket, or another database, is not certain."""
    hook = type("Hook", (), {"get_connection": lambda self, conn_id: connection})()
    connection = Connection(conn_id="x", conn_type="postgres", host="db.example.com", schema="work")
    assert is_certain("postgres://db.example.com:5432/work/public/t", hook, "x")
    assert not is_certain("postgres://db.example.com:5432/other/public/t", hook, "x")
    assert not is_certain("postgres://db.example.com:5433/work/public/t", hook, "x")
    assert not is_certain("carto://connection/work.public.t", hook, "x")


@pytest.mark.parametrize("load_method", ["bulk", "insert"])
@pytest.mark.parametrize("name", ["postgres", "duckdb", "mariadb"])
def test_each_method_gives_the_same_table(name, load_method, servers, tmp_path, monkeypatch):
    """Odd characters, no value and empty text included."""
    database = opened(name, servers, tmp_path, monkeypatch)
    text = 'id,name,yes,at,price\n1,"a\tb\\n""c""",true,2024-01-02T03:04:05Z,1.50\n2,,false,,\n3,"",true,,2.25\n'
    land(database, csv_outputs(text), if_exists="fail", load_method=load_method)
    rows = database.rows("SELECT id, name, yes, price FROM target ORDER BY id")
    assert [(one, name, bool(yes), price) for one, name, yes, price in rows] == [
        (1, 'a\tb\\n"c"', True, 1.5),
        (2, None, False, None),
        (3, "", True, 2.25),
    ]


def test_what_load_data_only_warns_of_is_refused(servers, tmp_path, monkeypatch):
    """LOCAL leaves out rows whose key is there already, with a warning."""
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    database.run("CREATE TABLE target (id BIGINT PRIMARY KEY, name VARCHAR(9))", "INSERT INTO target VALUES (2, 'old')")
    with pytest.raises(WorkflowError, match=r"(?s)Duplicate entry '2'.*nothing was changed"):
        land(database, csv_outputs("id,name\n1,a\n2,b\n"), load_method="bulk")
    assert content(database) == [(2, "old")]


def test_a_method_that_a_database_lacks_is_named(sqlite):
    for load_method in ("bulk", "in_database"):
        with pytest.raises(InvalidArgument, match=f"load_method: '{load_method}' works for .*not for SQLite"):
            land(sqlite, csv_outputs("id\n1\n"), load_method=load_method)
    with pytest.raises(InvalidArgument, match="load_method: expected one of"):
        land(sqlite, csv_outputs("id\n1\n"), load_method=json.dumps({}))

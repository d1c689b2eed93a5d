"""Which databases the tests of transfers run on here, and a database that nothing is known of."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from airflow.providers.sqlite.hooks.sqlite import SqliteHook

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.resolve import resolve_outputs
from airflow_workflow_provider.transfers.sql.dialects import DIALECTS, GENERIC, dialect_of
from airflow_workflow_provider.transfers.sql.load import SqlLoad
from airflow_workflow_provider.transfers.sql.modes import Mode
from airflow_workflow_provider.transfers.sql.types import sql_type
from tests.transfers import databases
from tests.transfers.conftest import Task, context
from tests.transfers.files import csv_outputs, land

COLUMNS = {"id": "number", "name": "string"}


@pytest.mark.parametrize("name", databases.NEEDS)
def test_a_database_is_here(name):
    if reason := databases.missing(name):
        pytest.skip(f"no load into it was tested: {reason}")


TYPES = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "uint64": pa.uint64(),
    "float64": pa.float64(),
    "decimal128(38, 2)": pa.decimal128(38, 2),
    "date32": pa.date32(),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[us, UTC]": pa.timestamp("us", "UTC"),
    "binary": pa.binary(),
    "string": pa.string(),
}


def test_the_docs_list_the_types_of_every_database():
    text = (Path(__file__).parent.parent.parent / "docs" / "transfers.md").read_text()
    rows = text.partition("<!-- types -->")[2].partition("<!-- end of types -->")[0].strip().splitlines()
    header, _, *lines = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    named = {one.name: one for one in DIALECTS.values() if one.types is not GENERIC.types} | {"any other": GENERIC}
    assert set(header[1:]) == set(named)
    listed = {line[0].split("`")[1]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}
    assert listed == {
        name: {database: sql_type(kind, dialect) for database, dialect in named.items()} for name, kind in TYPES.items()
    }


class OtherHook(SqliteHook):
    """Stands for a database of another kind: it speaks SQL, and that is all that is known."""

    conn_type = "other"
    dialect_name = "other"


class Silent:
    """A log that keeps what it is told."""

    def __init__(self):
        self.lines = []

    def info(self, text, *values):
        self.lines.append(text % values)

    warning = info


def load(run, task=None, if_exists="append", key_columns=None, where=None, **options):
    """Load into the other database."""
    hook = OtherHook(sqlite_conn_id=databases.CONN_ID)
    assert dialect_of(hook) is GENERIC
    mode = Mode.of(if_exists, key_columns, where)
    attempt = Attempt.of(context(task))
    types = options.get("column_types")
    made = SqlLoad(hook, databases.CONN_ID, options.get("table", "target"), mode, None, types, attempt, Silent())
    found = resolve_outputs(run, conn_id=None, output_name="*", on_missing_output="fail", log=made.log)
    return made.earlier() or made.run(found)


def content(sqlite):
    return sqlite.rows("SELECT id, name FROM target ORDER BY id")


@pytest.mark.parametrize("if_exists", ["fail", "append", "replace", "upsert", "replace_where"])
def test_every_way_makes_a_table_and_a_retry_loads_once(tables, sqlite, if_exists):
    run = tables.put("out", COLUMNS, [1, "a"], [2, None])
    how = {"if_exists": if_exists, "key_columns": ["id"], "where": "id > 0"}
    first = load(run, **how)
    assert content(sqlite) == [(1, "a"), (2, None)]
    assert load(run, Task(try_number=2), **how) == first
    assert content(sqlite) == [(1, "a"), (2, None)]


def test_every_way_changes_a_table(tables, sqlite):
    load(tables.put("out", COLUMNS, [1, "a"], [2, "b"]))
    load(tables.put("out", COLUMNS, [2, "new"], [3, "c"]), if_exists="upsert", key_columns=["id"])
    assert content(sqlite) == [(1, "a"), (2, "new"), (3, "c")]
    load(tables.put("out", COLUMNS, [9, "z"]), if_exists="replace_where", where="id < 3")
    assert content(sqlite) == [(3, "c"), (9, "z")]
    load(tables.put("out", COLUMNS, [5, "e"]), if_exists="replace")
    assert content(sqlite) == [(5, "e")]
    with pytest.raises(InvalidArgument, match="the table lacks 'other'"):
        load(tables.put("out", {"other": "number"}, [1]), if_exists="replace")
    assert sqlite.rows(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'airflow_%' ORDER BY name"
    ) == [("airflow_workflow_loads",)]


@pytest.mark.parametrize("if_exists", ["append", "replace", "upsert", "replace_where"])
def test_a_row_that_is_refused_takes_all_back(tables, sqlite, if_exists):
    sqlite.run("CREATE TABLE target (id BIGINT, name TEXT NOT NULL)", "INSERT INTO target VALUES (1, 'old')")
    run = tables.put("out", COLUMNS, *([k, "new"] for k in range(1, 6000)), [99_999, None])
    with pytest.raises(WorkflowError, match="nothing was changed"):
        load(run, if_exists=if_exists, key_columns=["id"], where="id = 1")
    assert content(sqlite) == [(1, "old")]


class UpperHook(SqliteHook):
    """Stands for a Snowflake, as far as it is known: a name without quotes is upper case there."""

    conn_type = "snowflake"


def test_a_name_without_quotes_is_upper_case_where_the_database_takes_it_so(tables, sqlite):
    """The table and the ledger; an administrator's own statement makes the same one."""
    hook = UpperHook(sqlite_conn_id=databases.CONN_ID)
    run = tables.put("out", COLUMNS, [1, "a"])
    for table in ("daily", '"weekly"'):
        attempt = Attempt.of(context(Task(task_id=table)))
        made = SqlLoad(hook, databases.CONN_ID, table, Mode.of("append", None, None), None, None, attempt, Silent())
        assert made.earlier() is None
        made.run(resolve_outputs(run, conn_id=None, output_name="*", on_missing_output="fail", log=made.log))
    found = sqlite.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    assert found == [("AIRFLOW_WORKFLOW_LOADS",), ("DAILY",), ("weekly",)]


def test_tables_that_were_made_before_a_failure_are_dropped(tables, sqlite):
    tables.put("a", COLUMNS, [1, "1"])
    run = tables.put("b", COLUMNS, [2, "two"])
    with pytest.raises(WorkflowError, match="column 'name', row 1"):
        load([tables.put("a", COLUMNS, [1, "1"]), run], table="t_{output}", column_types={"name": "int64"})
    assert not sqlite.has("t_a")
    assert not sqlite.has("t_b")


def test_columns_that_differ_only_in_case_are_two_or_refused(database):
    """A database that takes them for one column must not lose one of them."""
    outputs = csv_outputs("a,A\n1,2\n")
    if database.name == "postgres":
        land(database, outputs, if_exists="fail")
        assert database.rows('SELECT a, "A" FROM target') == [(1, 2)]
        return
    with pytest.raises(InvalidArgument, match="the columns 'a' and 'A' differ only in upper and lower case"):
        land(database, outputs, if_exists="fail")
    assert not database.has("target")
    land(database, outputs, if_exists="fail", columns={"a": "a", "A": "b"})
    assert database.rows("SELECT a, b FROM target") == [(1, 2)]

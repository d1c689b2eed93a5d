"""Loading into a table, on every database: what ``if_exists`` promises, and all or nothing."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from tests.transfers.conftest import Task, context
from tests.transfers.databases import skip_where_keys_linger

COLUMNS = {"id": "number", "name": "string"}


def load(database, run, task=None, **options):
    """Load a run as the operator does."""
    options = {"table": "target", "if_exists": "append", **options}
    operator = WorkflowOutputToSqlOperator(task_id="land", run=run, sql_conn_id=database.conn_id, **options)
    return operator.execute(context(task))


def content(database, table="target"):
    """What the table holds."""
    return database.rows(f"SELECT id, name FROM {table} ORDER BY id, name")


def test_a_table_is_made_and_filled(tables, database):
    run = tables.put("out", COLUMNS, [1, "a"], [2, None])
    task = Task()
    result = load(database, run, task, if_exists="fail")
    assert content(database) == [(1, "a"), (2, None)]
    assert (result["table"], result["rows"]) == ("target", 2)
    assert result.keys() == {"table", "rows", "bytes", "seconds"}
    assert task.pushed == result


def test_fail_leaves_a_table_that_is_there(tables, database):
    database.run("CREATE TABLE target (id BIGINT, name VARCHAR(9))")
    with pytest.raises(
        InvalidArgument,
        match=r"(?s)^if_exists='fail'.*exists already.*\n  while: .*'target' \(connection 'warehouse'\)",
    ):
        load(database, tables.put("out", COLUMNS, [1, "a"]), if_exists="fail")
    assert content(database) == []
    assert not tables.asked, "the output was read although the table could not be made"


def test_append_adds(tables, database):
    run = tables.put("out", COLUMNS, [1, "a"])
    load(database, run)
    load(database, run)
    assert content(database) == [(1, "a"), (1, "a")]


def test_append_matches_columns_by_name_whatever_their_order_and_case(tables, database):
    database.run("CREATE TABLE target (NAME VARCHAR(9), more BIGINT, Id BIGINT)")
    load(database, tables.put("out", COLUMNS, [1, "a"]))
    assert database.rows("SELECT id, name, more FROM target") == [(1, "a", None)]


@pytest.mark.parametrize("if_exists", ["append", "upsert", "replace_where"])
def test_a_column_that_the_table_lacks_is_named_before_anything_is_written(tables, database, if_exists):
    database.run("CREATE TABLE target (id BIGINT, other VARCHAR(9))", "INSERT INTO target VALUES (7, 'kept')")
    run = tables.put("out", {**COLUMNS, "when": "string"}, [1, "a", "x"])
    with pytest.raises(InvalidArgument, match=r"lacks 'name', 'when'; it has 'id', 'other'"):
        load(database, run, if_exists=if_exists, key_columns=["id"], where="id > 0")
    assert database.rows("SELECT * FROM target") == [(7, "kept")]


@pytest.mark.parametrize("if_exists", ["append", "upsert", "replace_where"])
def test_two_columns_for_one_of_the_table_are_named(tables, database, if_exists):
    """Some databases would keep one of them and say nothing."""
    database.run("CREATE TABLE target (id BIGINT, name VARCHAR(9))", "INSERT INTO target VALUES (7, 'kept')")
    run = tables.put("out", {**COLUMNS, "ID": "number"}, [1, "a", 2])
    with pytest.raises(InvalidArgument, match=r"the columns 'id' and 'ID' would both go into 'id'"):
        load(database, run, if_exists=if_exists, key_columns=["name"], where="id > 0")
    assert content(database) == [(7, "kept")]


def test_replace_by_columns_that_differ_in_case_is_another_shape(tables, postgres):
    load(postgres, tables.put("out", COLUMNS, [7, "old"]))
    run = tables.put("out", {**COLUMNS, "ID": "number"}, [1, "a", 2])
    for _ in range(2):
        load(postgres, run, if_exists="replace")
        assert postgres.rows('SELECT id, name, "ID" FROM target') == [(1, "a", 2)]


def test_replace_leaves_only_the_new_rows_and_what_hangs_on_the_table(tables, database):
    load(database, tables.put("out", COLUMNS, [1, "a"], [2, "b"]))
    database.run("CREATE VIEW looking AS SELECT id, name FROM target")
    load(database, tables.put("out", COLUMNS, [3, "c"]), if_exists="replace")
    assert content(database) == content(database, "looking") == [(3, "c")]


def test_replace_changes_a_table_of_another_shape(tables, database):
    database.run("CREATE TABLE target (day DATE)", "INSERT INTO target VALUES ('2024-01-01')")
    load(database, tables.put("out", COLUMNS, [3, "c"]), if_exists="replace")
    assert content(database) == [(3, "c")]
    load(database, tables.put("out", COLUMNS, ["x", 0.5]), if_exists="replace", column_types={"id": "string"})
    assert content(database) == [("x", "0.5")]


def test_replace_by_no_rows_and_no_column_of_the_table_is_refused(tables, database):
    """A server's ``Unauthorized`` with status 200 reads like a header without rows."""
    database.run("CREATE TABLE target (id BIGINT)", "INSERT INTO target VALUES (7)")
    with pytest.raises(OutputUnavailable, match="no rows, and none of its columns 'Unauthorized' is a column"):
        load(database, tables.put("out", {"Unauthorized": "string"}), if_exists="replace")
    assert database.rows("SELECT id FROM target") == [(7,)]
    load(database, tables.put("more", {"other": "number"}, [1]), if_exists="replace")
    assert database.rows("SELECT other FROM target") == [(1,)]


def test_upsert_updates_what_is_there_and_adds_the_rest(tables, database):
    """Columns that the output does not have stay as they are."""
    database.run("CREATE TABLE target (id BIGINT, name VARCHAR(9), seen BIGINT)",
                 "INSERT INTO target VALUES (1, 'old', 5), (2, 'kept', 6)")  # fmt: skip
    load(database, tables.put("out", COLUMNS, [1, "new"], [3, None]), if_exists="upsert", key_columns=["id"])
    assert database.rows("SELECT * FROM target ORDER BY id") == [(1, "new", 5), (2, "kept", 6), (3, None, None)]


def test_upsert_makes_a_table_and_fills_it_again(tables, database):
    columns = {"a": "string", "b": "number", "v": "string"}
    for value in ("first", "second"):
        run = tables.put("out", columns, ["x", 1, value], ["x", 2, value], ["y", 1, None])
        load(database, run, if_exists="upsert", key_columns=["a", "b"])
        assert database.rows("SELECT * FROM target ORDER BY a, b") == [("x", 1, value), ("x", 2, value), ("y", 1, None)]


def test_upsert_of_key_columns_alone(tables, database):
    for _ in range(2):
        load(database, tables.put("out", {"id": "number"}, [1], [2]), if_exists="upsert", key_columns="id")
    assert database.rows("SELECT id FROM target ORDER BY id") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [([[1, "a"], [1, "b"]], "2 rows have the key 1"), ([[None, "a"]], "1 rows have no value in 'id'")],
)
def test_upsert_refuses_a_key_that_is_none(tables, database, rows, said):
    database.run("CREATE TABLE target (id BIGINT, name VARCHAR(9))", "INSERT INTO target VALUES (1, 'old')")
    with pytest.raises(OutputUnavailable, match=said):
        load(database, tables.put("out", COLUMNS, *rows), if_exists="upsert", key_columns=["id"])
    assert content(database) == [(1, "old")]


def test_replace_where_replaces_what_the_condition_names(tables, database):
    database.run("CREATE TABLE target (id BIGINT, name VARCHAR(9))",
                 "INSERT INTO target VALUES (1, '100%'), (2, 'b;c'), (3, 'b;c')")  # fmt: skip
    run = tables.put("out", COLUMNS, [9, "b;c"])
    for _ in range(2):
        load(database, run, if_exists="replace_where", where="name = 'b;c'")
        assert content(database) == [(1, "100%"), (9, "b;c")]
    load(database, run, if_exists="replace_where", where="name LIKE '100%'")
    assert content(database) == [(9, "b;c"), (9, "b;c")]


def test_replace_where_makes_a_table(tables, database):
    load(database, tables.put("out", COLUMNS, [1, "a"]), if_exists="replace_where", where="id = 1")
    assert content(database) == [(1, "a")]


@pytest.mark.parametrize("if_exists", ["fail", "append", "replace", "upsert", "replace_where"])
def test_an_output_without_rows_makes_the_table(tables, database, if_exists):
    run = tables.put("out", COLUMNS)
    assert load(database, run, if_exists=if_exists, key_columns=["id"], where="id = 1")["rows"] == 0
    assert content(database) == []


def test_an_output_without_columns_is_no_table_but_no_rows_for_one(tables, database):
    run = tables.put("out", {})
    with pytest.raises(OutputUnavailable, match="neither columns nor rows"):
        load(database, run)
    assert not database.has("target")
    load(database, tables.put("more", COLUMNS, [1, "a"], [2, "b"]))
    for if_exists, left in (("append", 2), ("upsert", 2), ("replace_where", 1), ("replace", 0)):
        load(database, run, if_exists=if_exists, key_columns=["id"], where="id = 1")
        assert len(content(database)) == left


@pytest.mark.parametrize(
    ("if_exists", "left"),
    [
        ("append", [(1, "a"), (2, "b")]),
        ("replace", []),
        ("upsert", [(1, "a"), (2, "b")]),
        ("replace_where", [(2, "b")]),
    ],
)
def test_an_output_without_rows_empties_what_it_replaces(tables, database, if_exists, left):
    load(database, tables.put("out", COLUMNS, [1, "a"], [2, "b"]), Task(run_id="before"))
    load(database, tables.put("out", COLUMNS), if_exists=if_exists, key_columns=["id"], where="id = 1")
    assert content(database) == left


@pytest.mark.parametrize("if_exists", ["append", "replace", "upsert", "replace_where"])
def test_a_row_that_is_refused_takes_all_back(tables, database, if_exists):
    """The very last row breaks a rule of the table."""
    if if_exists in ("replace", "replace_where"):
        skip_where_keys_linger(database)
    columns = {"id": "number", "n": "number"}
    load(database, tables.put("out", columns, [1, 0]))
    database.run("CREATE UNIQUE INDEX rule ON target (n)")
    run = tables.put("out", columns, *([k, k] for k in range(1, 12_000)), [99_999, 5])
    with pytest.raises(WorkflowError, match=r"(?s)table 'target' \(connection 'warehouse'\); nothing was changed$"):
        load(database, run, if_exists=if_exists, key_columns=["id"], where="id = 1")
    assert database.rows("SELECT id, n FROM target") == [(1, 0)]


@pytest.mark.parametrize("if_exists", ["fail", "append", "replace", "upsert", "replace_where"])
def test_a_table_that_cannot_be_filled_is_not_left_behind(tables, database, if_exists):
    """The value does not fit the type that was asked for; it comes after many that do."""
    run = tables.put("out", COLUMNS, *([k, "1"] for k in range(6000)), [6000, "one"])
    with pytest.raises(OutputUnavailable, match=r"run job-out, output 'out': column 'name', row 6001: 'one'"):
        load(database, run, if_exists=if_exists, key_columns=["id"], where="id = 1", column_types={"name": "int64"})
    assert not database.has("target")


def test_replace_by_another_shape_that_fails_leaves_the_old_one(tables, database):
    database.run("CREATE TABLE target (id BIGINT)", "INSERT INTO target VALUES (7)")
    run = tables.put("out", COLUMNS, [1, "1"], [2, "two"])
    with pytest.raises(OutputUnavailable):
        load(database, run, if_exists="replace", column_types={"name": "int64"})
    assert database.rows("SELECT * FROM target") == [(7,)]


def test_a_source_that_is_short_of_rows_leaves_the_table(tables, database):
    """The server counts more rows than it gives."""
    load(database, tables.put("out", COLUMNS, [1, "a"]))
    tables.claimed["out"] = 3
    with pytest.raises(OutputUnavailable, match="has 3 rows, but 1 came"):
        load(database, tables.put("out", COLUMNS, [2, "b"]), if_exists="replace")
    assert content(database) == [(1, "a")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"if_exists": "swap"}, "if_exists: expected one of"),
        ({"if_exists": "upsert"}, "key_columns: if_exists='upsert' needs"),
        ({"if_exists": "upsert", "key_columns": ["nope"]}, "key_columns: there is no column 'nope'"),
        ({"if_exists": "replace_where"}, "where: if_exists='replace_where' needs"),
        ({"if_exists": "replace_where", "where": "1=1; DROP TABLE target"}, "where: holds a semicolon"),
        ({"table": ""}, "table: is empty"),
        ({"table": "t; DROP TABLE x"}, "is no name"),
        ({"table": "t (id)"}, "is no name"),
        ({"table": "t -- x"}, "is no name"),
        ({"table": "{run_id}.t"}, "placeholder in its schema"),
        ({"columns": "[1"}, "columns: looks like JSON"),
    ],
)  # fmt: skip
def test_an_argument_that_makes_no_sense_is_named(tables, sqlite, options, said):
    run = tables.put("out", COLUMNS, [1, "a"])
    with pytest.raises(InvalidArgument, match=said):
        load(sqlite, run, **options)
    assert not sqlite.has("target")

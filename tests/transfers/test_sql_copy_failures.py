"""Whatever is wrong with a CSV, its source or its table: PostgreSQL holds what it held, and the error says why."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from tests.outputs.playing import BrokenBody
from tests.transfers.conftest import Task
from tests.transfers.files import csv_outputs, land


@pytest.mark.parametrize("if_exists", ["append", "replace", "upsert", "replace_where"])
def test_a_value_that_does_not_fit_names_row_and_column(postgres, if_exists):
    postgres.run("CREATE TABLE target (id BIGINT, day DATE NOT NULL)", "INSERT INTO target VALUES (7, '2024-01-01')")
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id = 7"}
    rows = "".join(f"{k},2024-01-01\n" for k in range(10, 20))
    if if_exists != "replace":  # that makes a table of text
        with pytest.raises(WorkflowError, match=r"(?s)column 'id', row 11: 'x' does not fit.*nothing was changed"):
            land(postgres, csv_outputs(f"id,day\n{rows}x,2024-01-01\n"), **options)
        with pytest.raises(OutputUnavailable, match=r"(?s)column 'id', row 11: 'x' is not of type int64.*nothing was"):
            land(postgres, csv_outputs(f"id,day\n{rows}x,2024-01-01\n"), column_types={"id": "int64"}, **options)
    with pytest.raises(OutputUnavailable, match=r"'out0': .*row 11, column 'id': Expected 2 columns, got 1 in '3'"):
        land(postgres, csv_outputs(f"id,day\n{rows}3\n"), **options)
    assert postgres.rows("SELECT id FROM target") == [(7,)]


def test_a_row_that_the_table_refuses_is_named_by_its_line(postgres):
    postgres.run("CREATE TABLE target (id BIGINT, day DATE NOT NULL)")
    with pytest.raises(WorkflowError, match=r"(?s)'out0': line 3: null value in column \"day\".*nothing was changed"):
        land(postgres, csv_outputs("id,day\n1,2024-01-01\n2,\n"))
    with pytest.raises(InvalidArgument, match="the table lacks 'more'"):
        land(postgres, csv_outputs("id,day,more\n1,2024-01-01,\n"))
    assert postgres.rows("SELECT id FROM target") == []


@pytest.mark.parametrize("if_exists", ["fail", "append", "replace", "upsert", "replace_where"])
def test_a_source_that_breaks_off_takes_all_back(postgres, if_exists):
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id = 7", "table": "target"}
    if if_exists != "fail":
        postgres.run("CREATE TABLE target (id BIGINT, name TEXT)", "INSERT INTO target VALUES (7, 'old')")
    content = "id,name\n" + "".join(f"{k},row {k}\n" for k in range(400_000))
    with pytest.raises((BrokenBody, WorkflowError)):
        land(postgres, csv_outputs(content, breaks_at=4_000_000), Task(), **options)
    assert postgres.has("target") == (if_exists != "fail")
    if if_exists != "fail":
        assert postgres.rows("SELECT * FROM target") == [(7, "old")]
    assert land(postgres, csv_outputs(content), Task(try_number=2), **options)[0]["rows"] == 400_000


@pytest.mark.parametrize("if_exists", ["fail", "append", "replace", "upsert", "replace_where"])
def test_a_file_without_rows_makes_the_table(postgres, if_exists):
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id = '7'"}
    assert land(postgres, csv_outputs("id,name\n"), **options)[0]["rows"] == 0
    assert postgres.rows("SELECT id, name FROM target") == []


def test_columns_that_change_between_files_are_an_error_or_united(postgres):
    """Where the table lacks one it is named; where the table is made, both columns are there."""
    outputs = csv_outputs("id,name\n1,a\n", "id,other\n2,b\n")
    postgres.run("CREATE TABLE target (id BIGINT, name TEXT)", "INSERT INTO target VALUES (7, 'old')")
    with pytest.raises(InvalidArgument, match="the table lacks 'other'"):
        land(postgres, outputs)
    assert postgres.rows("SELECT * FROM target") == [(7, "old")]
    land(postgres, outputs, if_exists="replace")
    assert postgres.rows("SELECT id, name, other FROM target ORDER BY id") == [(1, "a", None), (2, None, "b")]


@pytest.mark.parametrize("table", ["absent.target", "target; DROP TABLE kept", "(SELECT 1)"])
def test_a_table_that_cannot_be_is_refused_before_anything_is_read(postgres, table):
    postgres.run("CREATE TABLE kept (id BIGINT)")
    with pytest.raises(WorkflowError, match="table"):
        land(postgres, csv_outputs("id\n1\n"), table=table)
    assert postgres.rows("SELECT * FROM kept") == []


def test_a_database_connection_that_drops_takes_all_back(postgres):
    """The server ends it in the midst of COPY; the retry loads once."""
    postgres.run(
        "CREATE TABLE target (id BIGINT, name TEXT)",
        "CREATE FUNCTION drop_it() RETURNS trigger AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END' LANGUAGE plpgsql",
        "CREATE TRIGGER dropping BEFORE INSERT ON target FOR EACH ROW WHEN (NEW.id = 15000) EXECUTE FUNCTION drop_it()",
    )
    content = "id,name\n" + "".join(f"{k},row {k}\n" for k in range(200_000))
    with pytest.raises(WorkflowError, match="nothing was changed"):
        land(postgres, csv_outputs(content), Task())
    assert postgres.rows("SELECT COUNT(*) FROM target") == [(0,)]
    postgres.run("DROP TRIGGER dropping ON target")
    assert land(postgres, csv_outputs(content), Task(try_number=2))[0]["rows"] == 200_000


def test_a_table_is_replaced_by_another_shape_at_the_end(postgres):
    """A source that breaks off leaves the old shape."""
    postgres.run("CREATE TABLE target (day DATE)", "INSERT INTO target VALUES ('2024-01-01')")
    content = "id,name\n" + "".join(f"{k},row {k}\n" for k in range(200_000))
    with pytest.raises((BrokenBody, WorkflowError)):
        land(postgres, csv_outputs(content, breaks_at=2_000_000), if_exists="replace")
    assert postgres.rows("SELECT day::text FROM target") == [("2024-01-01",)]
    land(postgres, csv_outputs(content), if_exists="replace")
    assert postgres.rows("SELECT COUNT(*), MAX(id) FROM target") == [(200_000, 199_999)]
    left = postgres.rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'airflow%'")
    assert left == [("airflow_workflow_loads",)]

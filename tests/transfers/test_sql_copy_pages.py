"""Pages go into PostgreSQL while they come, under the types that all of them have."""
# ruff: noqa: DTZ001 (columns without a zone are tested too)

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.sql.copying import copy_text
from airflow_workflow_provider.transfers.sql.dialects import POSTGRES
from tests.outputs.playing import page
from tests.transfers.files import land, paged_outputs

COLUMNS = {"id": "number", "v": "any"}


def landed(postgres, *outputs, **options):
    """Load pages; give the rows that are there, the type of ``v``, and the log."""
    result, log = land(postgres, paged_outputs(*outputs), **{"if_exists": "replace", **options})
    rows = postgres.rows("SELECT id, v FROM target ORDER BY id")
    assert result["rows"] == len(rows)
    kind = postgres.rows("SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
                         "WHERE attrelid = 'target'::regclass AND attname = 'v'")[0][0]  # fmt: skip
    return rows, kind, log


def test_pages_go_in_while_they_come(postgres):
    rows, kind, log = landed(postgres, [page(COLUMNS, [1, 1.5]), page(COLUMNS, [2, 3]), page(COLUMNS, [3, None])])
    assert (rows, kind) == ([(1, 1.5), (2, 3.0), (3, None)], "double precision")
    assert not log.began_again
    assert not [line for line in log.lines if line.startswith("Read")]


@pytest.mark.parametrize(
    ("first", "later", "kind", "kept"),
    [
        (1, 0.5, "double precision", (1.0, 0.5)),
        (1, "x", "text", ("1", "x")),
        (None, 5, "bigint", (None, 5)),
        (None, "x", "text", (None, "x")),
        (None, [1, 2], "text", (None, "[1,2]")),
        (None, "", "text", (None, "")),
        (1.5, Decimal("12345678901234567.89"), "numeric(38,2)", (Decimal("1.50"), Decimal("12345678901234567.89"))),
        (
            "2024-01-01",
            "2024-01-01T10:00:00",
            "timestamp without time zone",
            (datetime(2024, 1, 1), datetime(2024, 1, 1, 10)),
        ),
    ],
)
@pytest.mark.parametrize("if_exists", ["replace", "upsert"])
def test_a_page_that_changes_a_type_changes_the_whole_column(postgres, first, later, kind, kept, if_exists):
    options = {"if_exists": if_exists, "key_columns": ["id"]}
    rows, found, log = landed(postgres, [page(COLUMNS, [1, first]), page(COLUMNS, [2, later])], **options)
    assert (rows, found) == ([(1, kept[0]), (2, kept[1])], kind)
    assert log.began_again == [line for line in log.lines if "'v' is" in line]


def test_runs_without_a_value_go_into_one_table_with_those_that_have_text(postgres):
    """Each of them is a page of its own, and none changes a type."""
    rows, kind, log = landed(postgres, [page(COLUMNS, [1, None])], [page(COLUMNS, [2, "x"])])
    assert (rows, kind, log.began_again) == ([(1, None), (2, "x")], "text", [])


def test_types_that_change_again_and_again_are_found_out_in_the_end(postgres):
    values = [None, 1, 0.5, "x", None, 2]
    rows, kind, log = landed(postgres, [page(COLUMNS, [k, value]) for k, value in enumerate(values)])
    assert (rows, kind) == ([(k, None if v is None else str(v)) for k, v in enumerate(values)], "text")
    assert len(log.began_again) == 3


def test_several_tables_are_united_by_column_name(postgres):
    other = {"id": "number", "v": "any", "w": "string"}
    rows, kind, _ = landed(postgres, [page(COLUMNS, [1, 1])], [page(other, [2, 2, "x"])])
    assert (rows, kind) == ([(1, 1), (2, 2)], "bigint")
    assert postgres.rows("SELECT w FROM target ORDER BY id") == [(None,), ("x",)]


def test_columns_are_chosen_renamed_and_typed(postgres):
    given = [page({"a": "number", "b": "string"}, [1, "007"])]
    land(postgres, paged_outputs(given), columns={"b": "v", "a": "id"}, column_types={"v": "int64", "a": "string"})
    assert postgres.rows("SELECT v, id FROM target") == [(7, "1")]
    with pytest.raises(OutputUnavailable, match="there is no column 'absent'"):
        land(postgres, paged_outputs(given), columns=["absent"])


def test_a_table_without_rows_is_made(postgres):
    assert landed(postgres, [page(COLUMNS)])[0] == []


def test_a_value_that_the_table_refuses_names_row_and_column(postgres):
    postgres.run("CREATE TABLE target (id BIGINT, v DATE)", "INSERT INTO target VALUES (7, '2024-01-01')")
    given = [page(COLUMNS, [1, "2024-01-01"], [2, "2024-02-30 x"]), page(COLUMNS, [3, "y"])]
    with pytest.raises(WorkflowError, match=r"(?s)column 'v', row 2: .*2024-02-30 x.*nothing was changed"):
        land(postgres, paged_outputs(given), if_exists="append")
    assert postgres.rows("SELECT id FROM target") == [(7,)]


def test_text_of_copy_keeps_what_has_a_meaning_there():
    batch = pa.RecordBatch.from_pydict({"a": ["a\tb\\", "x\ny\r", None, "", "\\N", "\\."], "b": [1, 2, 3, 4, 5, None]})
    text = b"".join(map(bytes, copy_text(batch.slice(1), POSTGRES)))
    assert text.decode() == "x\\ny\\r\t2\n\\N\t3\n\t4\n\\\\N\t5\n\\\\.\t\\N\n"

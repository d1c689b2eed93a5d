"""JSON files as Arrow."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs import json_file
from tests.outputs.playing import BrokenBody, file, table_of

ROWS = [{"id": 2**60, "name": "æ\n", "tags": ["a", {"b": 1}]}, {"id": 1, "at": "2024-01-01T10:00:00Z"}]
TABLE = [
    {"id": 2**60, "name": "æ\n", "tags": '["a",{"b":1}]', "at": None},
    {"id": 1, "name": None, "tags": None, "at": datetime(2024, 1, 1, 10, tzinfo=UTC)},
]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, ensure_ascii=False, indent=1),
        "\ufeff" + json.dumps(ROWS),
        "\n".join(json.dumps(row) for row in ROWS),
        "\r\n\r\n".join(json.dumps(row) for row in ROWS) + "\r\n",
    ],
)
def test_an_array_and_lines_are_read_alike(kind, text):
    """A key that a row lacks has no value there; nested values are JSON text."""
    assert table_of(file(kind, text)).to_pylist() == TABLE


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_it_does_not_matter_where_a_read_ends(monkeypatch, piece):
    monkeypatch.setattr(json_file, "PIECE", piece)
    assert table_of(file("json", json.dumps(ROWS, ensure_ascii=False))).to_pylist() == TABLE


def test_digits_are_kept():
    text = '[{"a": 12345678901234567.89, "b": 123456789012345678901, "c": 0.1}, {"a": 1, "b": 1, "c": 1e-7}]'
    given = table_of(file("json", text))
    assert [str(kind) for kind in given.schema.types] == ["decimal128(38, 2)", "decimal128(38, 0)", "double"]
    assert given.column("a").to_pylist()[0] == Decimal("12345678901234567.89")


def test_columns_that_come_late_are_columns(monkeypatch):
    monkeypatch.setattr(json_file, "ROWS", 2)
    text = "".join(json.dumps({"a": k} | ({"late": "x"} if k == 7 else {})) for k in range(9))
    given = table_of(file("jsonl", text))
    assert given.schema.names == ["a", "late"]
    assert given.column("late").to_pylist() == [None] * 7 + ["x", None]
    assert table_of(file("jsonl", text), columns=["late"]).num_rows == 9


def test_no_rows_are_no_columns():
    assert table_of(file("json", "[]")).schema.names == []
    assert table_of(file("jsonl", "")).schema.names == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"a": 1},', "ends before its closing bracket"),
        ('[{"a": 1}', "ends before its closing bracket"),
        ('[{"a": 1', "row 1 is no JSON"),
        ('[{"a": 1}] [', "something follows the closing bracket"),
        ("[1, 2]", "row 1 is not an object"),
        ('[{"a": 1}, null]', "row 2 is not an object"),
        ("<html>", "an HTML page came instead of the JSON file"),
        ('{"a": 1}\n{"a":', "row 2 is no JSON"),
        ("[" * 100_000, "row 1 is no"),
    ],
)
def test_what_is_no_such_file_is_refused(text, said):
    with pytest.raises(OutputUnavailable, match=said):
        table_of(file("json", text))


def test_what_is_not_utf_8_is_refused():
    with pytest.raises(OutputUnavailable, match="not UTF-8"):
        table_of(file("json", b'[{"a": "\xff"}]'))


def test_a_download_that_breaks_off_is_never_a_shorter_table():
    text = json.dumps([{"a": k} for k in range(10_000)])
    with pytest.raises(BrokenBody):
        table_of(file("json", text, breaks_at=50_000))


def test_rows_without_any_column_are_refused():
    """They would vanish; among other rows they have no values."""
    with pytest.raises(OutputUnavailable, match="the objects are empty: 2 rows without a column"):
        table_of(file("json", "[{}, {}]"))
    assert table_of(file("json", '[{}, {"a": 1}]')).to_pylist() == [{"a": None}, {"a": 1}]

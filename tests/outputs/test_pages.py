"""A table that comes in pages, as Arrow."""
# ruff: noqa: DTZ001 (columns without a zone are tested too)

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs import reading
from airflow_workflow_provider.protocol.effects import Chunk
from airflow_workflow_provider.protocol.results import Page, RowSource
from tests.outputs.playing import Player, column_of, page, pages, table_of


@pytest.mark.parametrize(
    ("word", "values", "kind", "expected"),
    [
        ("string", ["007", "", None, "æ\n\"'"], "string", ["007", "", None, "æ\n\"'"]),
        ("string", [7, {"a": [1, None]}, [1.5], True], "string", ["7", '{"a":[1,null]}', "[1.5]", "true"]),
        ("number", [1, 2**53 + 1, None], "int64", [1, 2**53 + 1, None]),
        ("number", [2**63, -(2**100)], "decimal128(38, 0)", [Decimal(2**63), Decimal(-(2**100))]),
        ("number", [1, 0.5], "double", [1.0, 0.5]),
        ("number", [2**60, 0.5], "decimal128(38, 1)", [Decimal(2**60), Decimal("0.5")]),
        ("number", [Decimal("12345678901234567.89"), 1], "decimal128(38, 2)", [Decimal("12345678901234567.89"), 1]),
        ("number", ["1.5", 2, ""], "double", [1.5, 2.0, None]),
        ("number", [{"value": "99999999999999999999"}], "decimal128(38, 0)", [Decimal(99999999999999999999)]),
        ("number", [10**40], "string", [str(10**40)]),
        ("bool", [True, None, "false", 1], "bool", [True, None, False, True]),
        ("date", ["2024-02-29", None, "2024-01-01T00:00:00.000Z"], "date32[day]",
         [date(2024, 2, 29), None, date(2024, 1, 1)]),
        ("datetime", ["2024-01-01T10:00:00", "2024-01-01 10:00:00.5"], "timestamp[us]",
         [datetime(2024, 1, 1, 10), datetime(2024, 1, 1, 10, 0, 0, 500_000)]),
        ("timestamp", ["2024-01-01T10:00:00+02:00", "2024-01-01 10:00:00 UTC", "2024-01-01 10:00:00"],
         "timestamp[us, tz=UTC]",
         [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (8, 10, 10)]),
        ("timestamp", [{"value": "2024-01-01T10:00:00Z"}], "timestamp[us, tz=UTC]",
         [datetime(2024, 1, 1, 10, tzinfo=UTC)]),
        ("timestamp", ["9999-12-31T23:59:59.9999999Z"], "timestamp[us, tz=UTC]",
         [datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]),
        ("any", ["2024-01-01", "2024-01-02"], "date32[day]", [date(2024, 1, 1), date(2024, 1, 2)]),
        ("any", ["1", "2"], "string", ["1", "2"]),
        ("any", ["true"], "string", ["true"]),
        ("any", [True, 1], "string", ["true", "1"]),
        ("any", [{"value": 5}], "string", ['{"value":5}']),
        ("any", [float("nan"), 1.5], "double", None),
        ("any", [None, None], "null", [None, None]),
        ("unheard of", [1], "int64", [1]),
    ],
)  # fmt: skip
def test_a_columns_type_keeps_every_value(word, values, kind, expected):
    found, got = column_of(pages(page({"c": word}, *([value] for value in values))), "c")
    assert found == kind
    assert expected is None or got == expected


def test_seven_digits_of_a_second_are_kept():
    """.NET writes them; six zeros more are no reason for nanoseconds."""
    given = table_of(pages(page({"c": "timestamp"}, ["2024-01-01T10:00:00.1234567Z"], ["2024-01-01T10:00:00Z"])))
    assert str(given.column("c").type) == "timestamp[ns, tz=UTC]"
    assert given.column("c").cast(pa.int64()).to_pylist() == [1704103200123456700, 1704103200000000000]
    assert column_of(pages(page({"c": "any"}, ["2024-01-01T10:00:00.1234560Z"])), "c")[0] == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize(
    ("first", "second", "kind", "expected"),
    [
        ([1], [0.5], "double", [1.0, 0.5]),
        ([2**53 + 1], [0.5], "decimal128(38, 1)", [Decimal(2**53 + 1), Decimal("0.5")]),
        ([0.25], [2**63], "decimal128(38, 2)", [Decimal("0.25"), Decimal(2**63)]),
        ([1], ["x"], "string", ["1", "x"]),
        ([True], ["x"], "string", ["true", "x"]),
        ([1.5], [{"a": 1}], "string", ["1.5", '{"a":1}']),
        ([None], [3], "int64", [None, 3]),
        (["2024-01-01"], ["2024-01-01T10:00:00"], "timestamp[us]", [datetime(2024, 1, 1), datetime(2024, 1, 1, 10)]),
        (["2024-01-01"], ["soon"], "string", ["2024-01-01", "soon"]),
        (["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:00"], "string", ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"]),
        (["1500-01-01T00:00:00"], ["2024-01-01T00:00:00.123456789"], "string",
         ["1500-01-01T00:00:00", "2024-01-01T00:00:00.123456789"]),
    ],
)  # fmt: skip
def test_a_later_page_widens_the_type_of_all(first, second, kind, expected):
    source = pages(page({"c": "any"}, first), page({"c": "any"}, second))
    assert column_of(source, "c") == (kind, expected)


def test_pages_are_one_table_in_their_order():
    given = table_of(pages(*(page({"n": "number", "t": "string"}, [k, f"r{k}"], [k + 0.5, None]) for k in range(20))))
    assert given.column("n").to_pylist() == [value for k in range(20) for value in (k, k + 0.5)]
    assert given.column("t").null_count == 20


def test_an_empty_table_has_columns_and_no_rows():
    given = table_of(pages(page({"n": "number", "t": "timestamp", "x": "any"})))
    assert given.num_rows == 0
    assert [str(kind) for kind in given.schema.types] == ["double", "timestamp[us, tz=UTC]", "null"]


def test_a_table_without_any_page_has_no_columns():
    assert table_of(pages()).schema.names == []


def test_batches_are_no_bigger_than_asked_for():
    reader = reading.batches(pages(page({"n": "number"}, *([k] for k in range(25)))), Player(), batch_rows=10)
    assert [batch.num_rows for batch in reader] == [10, 10, 5]


def test_columns_are_chosen_and_ordered():
    source = pages(page({"a": "number", "b": "number", "c": "number"}, [1, 2, 3]))
    assert table_of(source, columns=["c", "a"]).to_pylist() == [{"c": 3, "a": 1}]


def test_an_unknown_column_is_named_with_the_known_ones():
    with pytest.raises(OutputUnavailable, match=r"no column 'z'; the columns are 'a', 'b'"):
        table_of(pages(page({"a": "number", "b": "number"}, [1, 2])), columns=["a", "z"])


def test_a_value_that_is_not_of_the_declared_type_is_named_by_row_and_column():
    source = pages(page({"d": "date"}, ["2024-01-01"]), page({"d": "date"}, [None], ["tomorrow"]))
    with pytest.raises(OutputUnavailable, match=r"column 'd', row 3: 'tomorrow' is not of type date32"):
        table_of(source)
    with pytest.raises(OutputUnavailable, match=r"column 'n', row 2: 'many' is not of type number"):
        table_of(pages(page({"n": "number"}, [1], ["many"])))
    with pytest.raises(OutputUnavailable, match=r"column 't', row 1: '1700000000' is not of type timestamp"):
        table_of(pages(page({"t": "timestamp"}, [1_700_000_000])))


def test_pages_with_other_columns_are_refused():
    with pytest.raises(OutputUnavailable, match=r"page 2 has the columns b, page 1 had a"):
        table_of(pages(page({"a": "any"}, [1]), page({"b": "any"}, [1])))


def test_a_page_of_nothing_is_none():
    """A part of a table that holds no row may come without columns."""
    nothing = Page([], [])
    given = table_of(pages(nothing, page({"a": "number"}, [1]), nothing, page({"a": "number"}, [2])))
    assert given.to_pylist() == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Page([("a", "any")], [{"a": 1, "b": 2}]), "unknown column 'b'"),
        (Page([("a", "any")], [3]), "rows that are not objects"),  # type: ignore[list-item]
        (Page([("a", "any"), ("a", "any")], []), "column 'a' twice"),
    ],
)
def test_a_page_that_contradicts_itself_is_refused(given, said):
    with pytest.raises(OutputUnavailable, match=said):
        table_of(pages(given))


def test_the_source_is_closed_when_the_reader_is_there():
    log: list[str] = []
    reading.batches(pages(page({"a": "any"}, [1]), page({"a": "any"}, [2]), log=log), Player())
    assert log == ["closed"]


def test_an_error_of_the_source_reaches_the_caller_and_closes_it():
    def flow():
        yield Chunk(page({"a": "any"}, [1]))
        yield Chunk(page({"a": "any"}, [2]))
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        reading.batches(RowSource(flow), Player())


def test_memory_is_that_of_a_page_however_many_there_are():
    """What the pages before it came to waits on disk."""
    held: list[int] = []
    before = pa.total_allocated_bytes()

    def flow():
        for k in range(40):
            rows = [{"n": k * 5000 + j, "t": f"some text {j}"} for j in range(5000)]
            yield Chunk(Page([("n", "number"), ("t", "string")], rows))
            held.append(pa.total_allocated_bytes() - before)

    reader = reading.batches(RowSource(flow), Player(), batch_rows=1000)
    for batch in reader:
        held.append(pa.total_allocated_bytes() - before)
        del batch
    one_page = 5000 * 40
    assert max(held) < 8 * one_page


def test_a_table_opened_as_a_file_is_json_lines():
    source = pages(
        page({"n": "any", "t": "any"}, [2**70, "æ\n"]), page({"t": "any", "n": "any"}, [None, Decimal("1.10")])
    )
    with reading.opened(source, Player()) as opened:
        lines = opened.read().decode().splitlines()
    assert lines == [f'{{"n": {2**70}, "t": "æ\\n"}}', '{"t": null, "n": 1.10}']


def test_an_opened_table_that_is_left_early_closes_its_flow():
    log: list[str] = []
    source = pages(*(page({"n": "any"}, *([k] for k in range(10_000))) for _ in range(3)), log=log)
    with reading.opened(source, Player()) as opened:
        assert json.loads(opened.readline()) == {"n": 0}
        assert not log
    assert log == ["closed"]
    assert isinstance(opened, io.BufferedReader)

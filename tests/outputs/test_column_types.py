"""Types that the user chooses, and several outputs as one table."""
# ruff: noqa: DTZ001 (columns without a zone are tested too)

from __future__ import annotations

import resource
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs import reading
from airflow_workflow_provider.outputs.table import table
from airflow_workflow_provider.outputs.types import parse_type
from tests.outputs.playing import Player, column_of, file, page, pages, table_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("int64", pa.int64()),
        ("INT32", pa.int32()),
        (" string ", pa.string()),
        ("bool", pa.bool_()),
        ("date32", pa.date32()),
        ("float64", pa.float64()),
        ("binary", pa.binary()),
        ("decimal128(12, 2)", pa.decimal128(12, 2)),
        ("decimal128(12)", pa.decimal128(12, 0)),
        ("numeric(5,1)", pa.decimal128(5, 1)),
        ("decimal256(50, 3)", pa.decimal256(50, 3)),
        ("timestamp[us, UTC]", pa.timestamp("us", "UTC")),
        ("timestamp[ms, tz=Europe/Oslo]", pa.timestamp("ms", "Europe/Oslo")),
        ("timestamp[ns]", pa.timestamp("ns")),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("datetime", pa.timestamp("us")),
        ("time64[us]", pa.time64("us")),
        (pa.int8(), pa.int8()),
    ],
)
def test_a_type_is_known_by_its_name(name, kind):
    assert parse_type(name, "c") == kind


@pytest.mark.parametrize(
    "name",
    [
        "",
        "int65",
        "decimal128(99, 2)",
        "decimal128(x)",
        "timestamp[fortnight]",
        "list[int]",
        "timestamp[us, Mars]",
        5,
        None,
    ],
)
def test_another_name_is_refused_and_its_column_named(name):
    with pytest.raises(InvalidArgument, match=r"column_types\['c'\]"):
        parse_type(name, "c")


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["007", ""], "int64", [7, None]),
        (["5.0", "1e3"], "int64", [5, 1000]),
        (["007", "1"], "string", ["007", "1"]),
        (["2024-01-01T00:00:00Z"], "string", ["2024-01-01T00:00:00Z"]),
        (["1.5", "2"], "decimal128(12, 2)", [Decimal("1.50"), Decimal("2.00")]),
        (["9007199254740993"], "float64", [9007199254740992.0]),
        (["1", "no", "TRUE", "f"], "bool", [True, False, True, False]),
        (["2024-01-01", "2024-01-02T00:00:00Z"], "date32", [date(2024, 1, 1), date(2024, 1, 2)]),
        (["2024-01-01 10:00", "2024-01-01T10:00:00+02:00"], "timestamp[us, UTC]",
         [datetime(2024, 1, 1, 10, tzinfo=UTC), datetime(2024, 1, 1, 8, tzinfo=UTC)]),
        (["2024-01-01 10:00", "2024-01-01 11:00"], "timestamp[us, UTC]",
         [datetime(2024, 1, 1, 10, tzinfo=UTC), datetime(2024, 1, 1, 11, tzinfo=UTC)]),
        (["2024-01-01T10:00:00+02:00"], "timestamp[us]", [datetime(2024, 1, 1, 8)]),
        (["2024-01-01T10:00:00.1234560Z"], "timestamp[us, UTC]", [datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)]),
        (["2024-01-01T10:00:00.000Z"], "timestamp[s]", [datetime(2024, 1, 1, 10)]),
    ],
)  # fmt: skip
def test_text_becomes_what_was_asked_for(values, kind, expected):
    content = "k,c\n" + "".join(f"x,{value}\n" for value in values)
    assert column_of(file("csv", content), "c", column_types={"c": kind})[1] == expected


@pytest.mark.parametrize(
    ("word", "values", "kind", "expected"),
    [
        ("number", [1, 2], "string", ["1", "2"]),
        ("number", [1.5, 2], "decimal128(5, 1)", [Decimal("1.5"), Decimal("2.0")]),
        ("number", [1, 0], "bool", [True, False]),
        ("number", [1_704_103_200], "timestamp[s, UTC]", [datetime(2024, 1, 1, 10, tzinfo=UTC)]),
        ("bool", [True], "int64", [1]),
        ("timestamp", ["2024-01-01T10:00:00+02:00"], "string", ["2024-01-01T10:00:00+02:00"]),
        ("date", ["2024-01-01"], "timestamp[us]", [datetime(2024, 1, 1)]),
        ("any", [None], "int64", [None]),
    ],
)
def test_a_page_too(word, values, kind, expected):
    source = pages(page({"c": word}, *([value] for value in values)))
    assert column_of(source, "c", column_types={"c": kind})[1] == expected


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("many", "int64"),
        ("1.5", "int64"),
        ("300", "int8"),
        ("1.234", "decimal128(12, 2)"),
        ("1" * 39, "decimal128(38, 0)"),
        ("99999", "decimal128(4, 0)"),
        ("maybe", "bool"),
        ("2024-01-01T10:00:00", "date32"),
        ("soon", "timestamp[us, UTC]"),
        ("2024-01-01T10:00:00.5", "timestamp[s]"),
        ("2024-01-01T10:00:00.1234Z", "timestamp[ms, UTC]"),
        ("2024-01-01T10:00:00.1234567Z", "timestamp[us, UTC]"),
        ("2024-01-01T10:00:00.1234567", "timestamp[us]"),
        ("2024-01-01T10:00:00.1234567891", "timestamp[ns]"),
        ("10:00:00.5", "time32[s]"),
        ("10:00:00.1234567", "time64[us]"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_row_and_column(value, kind):
    source = file("csv", f"k,c\nx,\nx,{value}\n")
    with pytest.raises(OutputUnavailable, match=rf"column 'c', row 2: '{value}' is not of type"):
        table_of(source, column_types={"c": kind})


def test_a_type_may_go_by_the_old_or_the_new_name():
    source = file("csv", "a,b\n1,2\n")
    given = table_of(source, columns={"a": "x", "b": "y"}, column_types={"x": "string", "b": "float64"})
    assert given.to_pylist() == [{"x": "1", "y": 2.0}]
    with pytest.raises(OutputUnavailable, match="no column 'z'"):
        table_of(file("csv", "a,b\n1,2\n"), column_types={"z": "string"})


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("ab", "expected a list"),
        ([], "is empty"),
        (["a", "a"], "two columns would be called 'a'"),
        ([1], "expected a list"),
    ],
)
def test_columns_that_make_no_sense_are_refused(columns, said):
    with pytest.raises(InvalidArgument, match=f"columns: .*{said}"):
        table_of(file("csv", "a,b\n1,2\n"), columns=columns)


def united(*sources, **options):
    parts = [reading.part_of(source, Player(), f"run {k}: ") for k, source in enumerate(sources)]
    return table(parts, **options).read_all()


def test_outputs_are_united_by_column_name():
    """Whatever their formats: the type of a column holds the values of all of them."""
    given = united(
        file("csv", "id,name\n1,007\n"),
        pages(page({"name": "string", "id": "number", "extra": "bool"}, ["b", 2**60, True])),
        file("json", '[{"id": 0.5}]'),
        file("json", "[]"),
        file("csv", "id,name\n"),
    )
    assert str(given.schema.field("id").type) == "decimal128(38, 1)"
    assert given.to_pylist() == [
        {"id": Decimal("1.0"), "name": "007", "extra": None},
        {"id": Decimal(2**60), "name": "b", "extra": True},
        {"id": Decimal("0.5"), "name": None, "extra": None},
    ]


def test_an_error_names_the_output_and_its_own_row():
    with pytest.raises(OutputUnavailable, match=r"^run 1: column 'a', row 2: 'x' is not of type int64"):
        united(file("csv", "a\n1\n2\n3\n"), file("csv", "a\n1\nx\n"), column_types={"a": "int64"})


def test_watching_counts_every_row():
    seen: list[int] = []
    united(file("csv", "a\n1\n"), file("csv", "a\n1\n2\n"), watch=lambda rows, size: seen.append(rows))
    assert sum(seen) == 3


def test_a_folder_that_takes_nothing_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(WorkflowError, match=r"rows cannot be stored in .*gone: "):
        table_of(pages(page({"a": "any"}, [1]), page({"a": "any"}, [2])))


def test_a_disk_that_takes_no_more_is_a_clear_error():
    """Here the limit on a file's size; a full disk is the same error with another number."""
    many = page({"a": "string"}, *([f"{k * 7919 % 10_007:x}" * 40] for k in range(5000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(WorkflowError, match=r"rows cannot be stored in .*: .*File too large"):
            table_of(pages(many, many))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("allowed", [None, 5, 6])
def test_rows_within_the_bound_are_read(allowed):
    assert table_of(file("csv", "a\n" + "1\n" * 5), max_rows=allowed).num_rows == 5


def test_more_rows_than_allowed_are_an_error_and_end_the_download():
    source = file("csv", "a,b\n" + "1,2\n" * 5_000_000, breaks_at=19_000_000)
    with pytest.raises(OutputUnavailable, match=r"out: the output has more than the 1,000 rows that max_rows allows"):
        table_of(source, max_rows=1000, where="out: ")
    assert Player().run(source.flow()).raw.closed
    played: list[str] = []
    many = (page({"a": "number"}, [k]) for k in range(10))
    with pytest.raises(OutputUnavailable, match="more than the 2 rows"):
        table_of(pages(*many, log=played), max_rows=2)
    assert played == ["closed"]


@pytest.mark.parametrize("bound", [-1, "5", True, 1.5])
def test_a_bound_that_is_none_is_refused(bound):
    with pytest.raises(InvalidArgument, match="max_rows: expected a number of rows"):
        table_of(file("csv", "a\n1\n"), max_rows=bound)

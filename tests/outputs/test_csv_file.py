"""CSV files as Arrow: types found over all rows, and not a digit lost."""
# ruff: noqa: DTZ001 (columns without a zone are tested too)

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs import csv_file, reading
from tests.outputs.playing import BrokenBody, Player, column_of, file, table_of


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "-2", ""], "int64", [1, -2, None]),
        (["9007199254740993", "9223372036854775807"], "int64", [9007199254740993, 9223372036854775807]),
        (["9223372036854775808", "1"], "decimal128(38, 0)", [Decimal(9223372036854775808), Decimal(1)]),
        (["1" * 39], "string", ["1" * 39]),
        (["007", "8"], "string", ["007", "8"]),
        (["+4712345678"], "string", ["+4712345678"]),
        (["12e5"], "string", ["12e5"]),
        ([" 1"], "string", [" 1"]),
        (["1.5", "2"], "double", [1.5, 2.0]),
        (["1.50", "0.1"], "double", [1.5, 0.1]),
        ([".5", "1e-07", "1.0E5", "-0"], "double", [0.5, 1e-07, 100_000.0, -0.0]),
        (["0.30000000000000004", "1e+22"], "double", [0.30000000000000004, 1e22]),
        (["12345678901234567.89", "0.5"], "decimal128(38, 2)", [Decimal("12345678901234567.89"), Decimal("0.50")]),
        (["9007199254740993", "0.25"], "decimal128(38, 2)", [Decimal("9007199254740993.00"), Decimal("0.25")]),
        (["0." + "1" * 40], "string", ["0." + "1" * 40]),
        (["1e400"], "string", ["1e400"]),
        (["1.5", "NaN", "-inf"], "double", None),
        (["NaN"], "string", ["NaN"]),
        (["true", "FALSE", ""], "bool", [True, False, None]),
        (["true", "1"], "string", ["true", "1"]),
        (["2024-02-29", ""], "date32[day]", [date(2024, 2, 29), None]),
        (["2024-02-30"], "string", ["2024-02-30"]),
        (["01/02/2024"], "string", ["01/02/2024"]),
        (["20240101"], "int64", [20240101]),
        (["2024-01-01 10:00", "2024-01-01"], "timestamp[us]", [datetime(2024, 1, 1, 10), datetime(2024, 1, 1)]),
        (["2024-01-01T10:00:00+02:00", "2024-01-01 10:00:00 UTC"], "timestamp[us, tz=UTC]",
         [datetime(2024, 1, 1, 8, tzinfo=UTC), datetime(2024, 1, 1, 10, tzinfo=UTC)]),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:00:00"], "string", ["2024-01-01T10:00:00Z", "2024-01-01T10:00:00"]),
        (["0001-01-01", "9999-12-31"], "date32[day]", [date(1, 1, 1), date(9999, 12, 31)]),
        (["12:34:56"], "string", ["12:34:56"]),
        (["POINT(1 2)"], "string", ["POINT(1 2)"]),
        (["", ""], "null", [None, None]),
    ],
)  # fmt: skip
def test_a_columns_type_keeps_every_value(values, kind, expected):
    found, got = column_of(file("csv", "k,c\n" + "".join(f"x,{value}\n" for value in values)), "c")
    assert found == kind
    assert expected is None or got == expected


def test_the_last_row_of_a_million_counts(monkeypatch):
    """What a type is cannot be told from the beginning; blocks are small here, so that there are many."""
    monkeypatch.setattr(csv_file, "BLOCK", 1000)
    rows = "".join(f"{k},{k},{k}\n" for k in range(5000))
    given = table_of(file("csv", f"a,b,c\n{rows}0.5,007,12345678901234567890\n"))
    assert [str(kind) for kind in given.schema.types] == ["double", "string", "decimal128(38, 0)"]
    assert given.column("b").to_pylist()[-2:] == ["4999", "007"]
    assert given.column("a").to_pylist()[-2:] == [4999.0, 0.5]
    assert given.num_rows == 5001


def test_an_empty_field_is_no_value_and_a_quoted_one_is_empty_text():
    given = table_of(file("csv", 't,n\n"",""\n,1\nx,2\n'))
    assert given.to_pylist() == [{"t": "", "n": None}, {"t": None, "n": 1}, {"t": "x", "n": 2}]
    assert column_of(file("csv", 't\n""\n\n""\n'), "t") == ("string", ["", None, ""])


def test_all_fields_in_quotes_have_the_same_types_as_without():
    given = table_of(file("csv", '"id","zip","day"\n"9007199254740993","007","2024-01-01"\n'))
    assert [str(kind) for kind in given.schema.types] == ["int64", "string", "date32[day]"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_names_and_values_may_hold_anything(mark):
    text = 'a b,"say ""hi""","x,y",æ\n1,"line\none","tab\there",日本\n'
    given = table_of(file("csv", mark + text.encode()))
    assert given.to_pylist() == [{"a b": 1, 'say "hi"': "line\none", "x,y": "tab\there", "æ": "日本"}]


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "a,b\r\n"])
def test_a_header_alone_is_a_table_without_rows(text):
    given = table_of(file("csv", text))
    assert (given.schema.names, given.num_rows) == (["a", "b"], 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no header: it is empty"),
        (b"\n1,2\n", "has no header: its first line is"),
        (b"a,a\n1,2\n", "the column 'a' twice"),
        (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        (b"a,b\n1,\xff\n", "invalid UTF8"),
        (b"a,\xff\n1,2\n", "header of the file is not UTF-8"),
        (b"a,b\n1," + b"x" * (65 << 20) + b"\n", "a row is longer than 64 MB"),
    ],
)
def test_what_is_no_csv_is_refused(content, said):
    with pytest.raises(OutputUnavailable, match=said):
        table_of(file("csv", content))


@pytest.mark.parametrize("breaks_at", [0, 50_000, 3_000_000])
def test_a_download_that_breaks_off_is_never_a_shorter_table(breaks_at):
    content = "a,b\n" + "1,2\n" * 1_000_000
    with pytest.raises(BrokenBody):
        table_of(file("csv", content, breaks_at))


def test_the_file_is_closed_whatever_happens():
    source = file("csv", "a\n1\n")
    table_of(source)
    assert Player().run(source.flow()).raw.closed
    broken = file("csv", "a,b\n1\n")
    with pytest.raises(OutputUnavailable):
        table_of(broken)
    assert Player().run(broken.flow()).raw.closed


def test_columns_are_chosen_before_anything_else_is_read():
    given = table_of(file("csv", "a,b,c\n1,2,3\n"), columns={"c": "z", "a": "y"})
    assert given.to_pylist() == [{"z": 3, "y": 1}]
    with pytest.raises(OutputUnavailable, match="no column 'q'"):
        table_of(file("csv", "a,b\n" + "1,2\n" * 500_000, breaks_at=1_500_000), columns=["q"])


def test_a_source_may_look_at_the_first_bytes():
    seen: list[bytes] = []
    assert table_of(file("csv", "a\n1\n", check=seen.append)).to_pylist() == [{"a": 1}]
    assert seen == [b"a\n1\n"]

    def refuse(head: bytes) -> None:
        raise OutputUnavailable("this is an error page")

    with pytest.raises(OutputUnavailable, match="error page"), reading.opened(file("csv", "a", check=refuse), Player()):
        pass


def test_a_file_that_is_opened_comes_as_it_is():
    with reading.opened(file("csv", b"\xef\xbb\xbfa\n1\n"), Player()) as opened:
        assert opened.read() == b"\xef\xbb\xbfa\n1\n"


def test_a_raw_file_is_no_table():
    with pytest.raises(OutputUnavailable, match="format 'raw', which cannot be read as a table"):
        table_of(file("raw", "a\n1\n"))


def test_digits_behind_the_point_that_are_zeros_are_no_digits():
    """A warehouse that spells every number with 16 digits does not make decimals of them."""
    found, got = column_of(file("csv", "k,c\nx,1.5000000000000000\nx,-0.2500000000000000\n"), "c")
    assert (found, got) == ("double", [1.5, -0.25])

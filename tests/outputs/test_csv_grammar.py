"""A CSV file has one reading, or is refused with the row, the column and the option to set."""

from __future__ import annotations

import csv
import io

import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs import csv_file
from airflow_workflow_provider.outputs.csv_grammar import Dialect
from airflow_workflow_provider.outputs.raw import Wanted
from tests.outputs.playing import file, table_of


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'id,name\n1,"A\n2,B\n3,C\n', "row 1, column 'name': a quote is opened and never closed"),
        (b'id,name\n1,A\n2,"B', "row 2, column 'name': a quote is opened and never closed"),
        (b'id,name\n1,"say \\"hi\\" now"\n', "row 1, column 'name': a quote follows a backslash"),
        (b'id,name\n1,x\n2,"abc"def\n', "row 2, column 'name': text follows a closing quote"),
        (b'id,name\n1,""abc""\n', "row 1, column 'name': text follows a closing quote"),
        (b'id,name\n1, "a" "b"\n2,"a" "b"\n', "row 2, column 'name': text follows a closing quote"),
        (b"id,name\n1,a\rb\n", "row 1, column 'name': a carriage return stands alone"),
        (b"id,name\r1,a\r", "field 2 of the header: a carriage return stands alone"),
        (b"id,name\n1,a\n2,\0\n", "row 2, column 'name': there is a NUL byte outside quotes"),
        (b"id,name\n1,a\n2\n", "row 2, column 'id': Expected 2 columns, got 1"),
        (b"id,name\n1,a\n\n2,b,c\n", "row 2, field 3: Expected 2 columns, got 3"),
        (b"id,name\n1,a\n2,\xe9t\xe9\n", "row 2, column 'name': invalid UTF8 \\(byte 0xe9\\).*encoding"),
        (b'"id";"name"\n"1";"A"\n', "the character ';' follows a closing quote; it may be the delimiter"),
        (b"id;name\n1;A\n", "delimiter is not certain.*'delimiter': ';'"),
        (b"id\tname\n1\tA\n", "delimiter is not certain"),
        (b"id;price\n1;2,5\n2;3,5\n", "delimiter is not certain"),
        (b"name, first;age\nDoe, Jo;3\n", "delimiter is not certain"),
        (b"sep=;\nid;name\n1;A\n", "names the delimiter; csv_options=.*'skip_rows': 1"),
        (b",a\n0,x\n", "column 1 has no name in the header; the columns need names"),
        (b"a,b,a\n1,2,3\n", "the column 'a' twice"),
        (b"Service is not available, please come back\n", "looks like a message"),
        (b"\n1,2\n", "its first line is"),
    ],
)
def test_what_has_no_certain_reading_is_refused(content, said):
    with pytest.raises(OutputUnavailable, match=said):
        table_of(file("csv", content))


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'a,b\r\n1,"x\r\ny"\r\n2,"say ""hi"""\r\n', [{"a": 1, "b": "x\r\ny"}, {"a": 2, "b": 'say "hi"'}]),
        (
            b'a,b\n1,5" pipe\n2,say "hi, there\n'.replace(b"hi, ", b"hi "),
            [{"a": 1, "b": '5" pipe'}, {"a": 2, "b": 'say "hi there'}],
        ),
        (b'a,b\n1,"\0"\n', [{"a": 1, "b": "\0"}]),
        (b'a,b\n1,""\n2,\n', [{"a": 1, "b": ""}, {"a": 2, "b": None}]),
        (b"\xef\xbb\xbfa,b\n1,x", [{"a": 1, "b": "x"}]),
        (b'"a;b"\n1\n', [{"a;b": 1}]),
        (b"a,b\n1,x;y\n2,z\n", [{"a": 1, "b": "x;y"}, {"a": 2, "b": "z"}]),
        (b"a,b\n1,x\r\n2,y\n", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        (b"Customer name,Total\n", []),
        (b"id", []),
    ],
)
def test_what_has_one_reading_is_read(content, rows):
    assert table_of(file("csv", content)).to_pylist() == rows


def test_what_is_wrong_with_a_column_does_not_matter_where_it_is_left_out():
    content = b",a,b,b\n0,x,1,2\n"
    assert table_of(file("csv", content), columns=["a"]).to_pylist() == [{"a": "x"}]


SPECIAL = [
    "\r\n",
    "\n",
    "\r",
    '""'.replace('""', '"'),
    ",",
    ";",
    "\\",
    "é",
    "東",
    "😀",
    "\0",
    "''",
    "\u2028",
    "\ufeff",
    "\t",
    " ",
]


@pytest.mark.parametrize("block", [5, 8, 11])
@pytest.mark.parametrize("special", SPECIAL)
def test_every_special_byte_survives_on_every_border_of_a_block(monkeypatch, special, block):
    """The text moves byte by byte across the place where one read ends and the next begins."""
    monkeypatch.setattr(csv_file, "BLOCK", block)
    for shift in range(block):
        rows = [["k", "x" * shift + special + "y"], ["l", special], ["m", special * 2]]
        out = io.StringIO(newline="")
        csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
        given = table_of(file("csv", out.getvalue()), column_types={"b": "string"})
        assert [list(row.values()) for row in given.to_pylist()] == rows


def test_a_row_may_be_as_long_wherever_it_stands():
    """Behind little and behind much, 5 MB are read."""
    for before in (0, 70_000):
        content = b"a,b\n" + (b"1," + b"y" * 56 + b"\n") * before + b"1," + b"x" * (5 << 20) + b"\n"
        given = table_of(file("csv", io.BytesIO(content).getvalue()), columns=["b"])
        assert given.num_rows == before + 1


def test_an_open_quote_is_noticed_before_the_whole_file_is_in_memory():
    """A row that breaks the grammar is refused where it stands, not at the longest row."""
    read = [0]

    class Endless(io.RawIOBase):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            start, read[0] = read[0], read[0] + size
            return (b"a,b\n" + b"1,x\n" * size)[:size] if not start else (b'\n1,"x"y' + b"z" * size)[:size]

    with pytest.raises(OutputUnavailable, match="follows a closing quote"):
        list(csv_file.read_csv(Endless(), Wanted()))
    assert read[0] < 64 << 20


@pytest.mark.parametrize("escape", ["", "\\"])
@pytest.mark.parametrize("quote", ['"', "'", ""])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_fast_check_of_a_block_accepts_what_the_slow_one_does(delimiter, quote, escape):
    """And nothing else; but for quotes within bare fields, which only the slow one reads."""
    dialect = Dialect(delimiter, quote, escape)
    pieces = [delimiter, quote, quote * 2, escape, escape + quote, "a", "\n", "\r\n", "\r", "\0", "x" * 80]
    for first in pieces:
        for second in pieces:
            for third in pieces:
                block = f"k{delimiter}{first}{second}{third}\n".encode()
                problem = dialect.problem(block)
                if dialect.holds(block):
                    assert problem is None, block
                    assert dialect.whole_rows(block) == len(block)
                elif problem is None and not escape:
                    assert quote
                    assert quote.encode() in block
                    assert not rest_of(dialect, block)


def rest_of(dialect: Dialect, block: bytes) -> bytes:
    """What is left when whole rows are taken as long as there are some."""
    while end := dialect.whole_rows(block):
        block = block[end:]
    return block

"""``csv_options`` say how a file is written; each key is checked before anything is read."""
# ruff: noqa: DTZ001 (columns without a zone are tested too)

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.outputs import reading
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.protocol.effects import Flow, Response
from airflow_workflow_provider.protocol.results import FileSource
from tests.outputs.playing import Player, Watched, file, table_of


def told(content: bytes, content_type: str) -> FileSource:
    """A CSV file whose server declares a type."""

    def flow() -> Flow[Response]:
        headers = {"content-type": content_type, "content-length": str(len(content))}
        return Response(200, headers, raw=Watched(content))
        yield

    return FileSource("csv", flow)


def rows_of(content: bytes | str, **options: object) -> list[dict[str, object]]:
    """Read a file with these options."""
    return table_of(file("csv", content), csv_options=options).to_pylist()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"delimeter": ";"}, "unknown key 'delimeter'; do you mean 'delimiter'"),
        ({"sep": ";"}, "unknown key 'sep'"),
        ("delimiter=;", "expected a mapping, not str"),
        ({"delimiter": ";;"}, "expected one ASCII character"),
        ({"delimiter": "\n"}, "expected one ASCII character"),
        ({"delimiter": '"'}, "is the delimiter too"),
        ({"delimiter": ";", "escape": ";"}, "is the delimiter too"),
        ({"encoding": "klingon"}, "not an encoding of text"),
        ({"encoding": "base64"}, "not an encoding of text"),
        ({"decimal": "·"}, r"expected '\.' or ','"),
        ({"decimal": ",", "quote": ""}, "is the delimiter too, and there are no quotes"),
        ({"date_format": "%d.%m."}, "lacks the year, the month or the day"),
        ({"date_format": "%Q"}, "the directive '%Q', which is not supported"),
        ({"date_format": "%d.%m.%Y %Y"}, "a directive twice"),
        ({"skip_rows": -1}, "expected a number of lines"),
        ({"skip_rows": True}, "expected a number of lines"),
        ({"has_header": "maybe"}, "expected True or False"),
        ({"null_values": [None]}, "expected a list of texts"),
    ],
)
def test_a_bad_option_is_refused_by_its_key(given, said):
    with pytest.raises(InvalidArgument, match=said):
        CsvOptions.parse(given)


def test_templates_are_left_to_the_moment_when_the_task_runs():
    assert CsvOptions.parse({"delimiter": "{{ params.mark }}"}) == CsvOptions()


@pytest.mark.parametrize("mark", [";", "\t", "|", "^", ":", " ", "tab"])
def test_delimiter(mark):
    text = f"a{mark}b\n1{mark}x,y\n".replace("tab", "\t")
    assert rows_of(text, delimiter=mark) == [{"a": 1, "b": "x,y"}]


def test_a_comma_that_is_given_is_certain():
    assert rows_of("a;b\n1;x\n", delimiter=",") == [{"a;b": "1;x"}]


def test_quote_and_escape():
    assert rows_of("a,b\n1,'x,''y'''\n", quote="'") == [{"a": 1, "b": "x,'y'"}]
    assert rows_of('a,b\n1,"x \\"y\\", \\\\"\n', escape="\\") == [{"a": 1, "b": 'x "y", \\'}]
    assert rows_of('a,b\n1,"x\n', quote="") == [{"a": 1, "b": '"x'}]
    with pytest.raises(OutputUnavailable, match=r"the escape character .* stands before a character"):
        rows_of('a,b\n1,"C:\\dir"\n', escape="\\")


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("windows-1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("latin-1", "latin-1"),
        ("utf-8", "utf-8-sig"),
    ],
)
def test_encoding(encoding, codec):
    assert rows_of("a,é\n1,naïve\n".encode(codec), encoding=encoding) == [{"a": 1, "é": "naïve"}]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(codec):
    assert rows_of("a,é\n1,東\n".encode(codec)) == [{"a": 1, "é": "東"}]


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("text/csv; charset=windows-1252", "cp1252"),
        ('text/csv; header=present; charset="ISO-8859-1"', "cp1252"),
        ("text/csv;charset=utf-16", "utf-16-be"),
        ("text/csv; charset=us-ascii", "utf-8"),
        ("text/csv; charset=nonsense", "utf-8"),
        ("text/csv; charset=base64", "utf-8"),
        ("text/csv; charset=rot13", "utf-8"),
        ("text/csv", "utf-8"),
    ],
)
def test_the_charset_that_the_server_declares_is_used(declared, codec):
    given = told("a,b\n1,€é\n".encode(codec), declared)
    assert table_of(given).to_pylist() == [{"a": 1, "b": "€é"}]


def test_another_encoding_than_the_file_has_is_refused_with_its_line():
    with pytest.raises(OutputUnavailable, match="not in the encoding 'cp1252', near line"):
        rows_of(b"a,b\n1,\x81\n", encoding="windows-1252")


def test_null_values_are_bare_fields():
    content = 'a,b\nNA,x\n1,"NA"\n2,NULL\n3,\n'
    assert rows_of(content, null_values=["NA", "NULL"]) == [
        {"a": None, "b": "x"},
        {"a": 1, "b": "NA"},
        {"a": 2, "b": None},
        {"a": 3, "b": None},
    ]


def test_a_decimal_comma():
    content = "n;big;mixed;text\n1,5;12345678901234567,89;1.5;1,5\n-2;1;1,5;x\n"
    given = table_of(file("csv", content), csv_options={"delimiter": ";", "decimal": ","})
    assert [str(kind) for kind in given.schema.types] == ["double", "decimal128(38, 2)", "string", "string"]
    assert given.to_pylist()[0] == {"n": 1.5, "big": Decimal("12345678901234567.89"), "mixed": "1.5", "text": "1,5"}


def test_a_number_with_thousands_is_not_guessed():
    with pytest.raises(OutputUnavailable, match="column 'n', row 1"):
        table_of(
            file("csv", "n;m\n1.234,5;1\n"),
            csv_options={"delimiter": ";", "decimal": ","},
            column_types={"n": "float64"},
        ).to_pylist()


@pytest.mark.parametrize(
    ("date_format", "texts", "expected"),
    [
        ("%d.%m.%Y", ["31.12.2024", "01.02.2024"], [date(2024, 12, 31), date(2024, 2, 1)]),
        ("%d.%m.%Y", ["31.12.2024", "1.2.2024"], [date(2024, 12, 31), date(2024, 2, 1)]),
        ("%d.%m.%Y", ["31.12.2024", "2024-01-01"], ["31.12.2024", "2024-01-01"]),
        ("%d.%m.%Y", ["2024-01-01"], ["2024-01-01"]),
        ("%d.%m.%Y", ["30.02.2024"], ["30.02.2024"]),
        ("%m/%d/%y", ["12/31/24"], [date(2024, 12, 31)]),
        ("%d %b %Y", ["31 Dec 2024"], [date(2024, 12, 31)]),
        ("%Y%m%d", ["20241231"], [date(2024, 12, 31)]),
        ("%d/%m/%Y %H:%M", ["31/12/2024 23:59"], [datetime(2024, 12, 31, 23, 59)]),
        ("%d/%m/%Y %I:%M %p", ["31/12/2024 11:59 PM"], [datetime(2024, 12, 31, 23, 59)]),
    ],
)
def test_date_format(date_format, texts, expected):
    content = "d,k\n" + "".join(f"{text},1\n" for text in texts)
    assert [row["d"] for row in rows_of(content, date_format=date_format)] == expected


def test_a_date_of_another_format_is_refused_where_a_date_is_asked_for():
    source = file("csv", "d,k\n2024-01-01,1\n")
    with pytest.raises(OutputUnavailable, match="column 'd', row 1"):
        table_of(source, csv_options={"date_format": "%d.%m.%Y"}, column_types={"d": "date32"}).to_pylist()


def test_lines_before_the_header_and_no_header():
    assert rows_of('a report, "of\nyesterday\na,b\n1,2\n', skip_rows=2) == [{"a": 1, "b": 2}]
    assert rows_of("1,x\n2,y\n", has_header=False) == [
        {"column_1": 1, "column_2": "x"},
        {"column_1": 2, "column_2": "y"},
    ]
    assert rows_of("a,a\n1,2\n", skip_rows=1, has_header=False) == [{"column_1": 1, "column_2": 2}]
    with pytest.raises(OutputUnavailable, match="ends within the 5 lines that skip_rows leaves out"):
        rows_of("a,b\n1,2\n", skip_rows=5)


def test_an_opened_file_comes_in_utf_8():
    with reading.opened_csv(told("a,b\n1,é\n".encode("cp1252"), "text/csv; charset=cp1252"), Player()) as opened:
        assert opened.read(1000) == "a,b\n1,é\n".encode()


TEXT = "名前,値\n山田,1.10\n佐藤,007\n"


@pytest.mark.parametrize("text", [TEXT, "名\n山\n", "id,name\n1,a\n"])
@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("order", ["le", "be"])
def test_the_byte_order_is_found_without_a_mark(text, size, order):
    """Also where the header begins with a character that has no zero byte."""
    plain = table_of(file("csv", text.encode()))
    told = CsvOptions.parse({"encoding": f"utf-{size}"})
    assert table_of(file("csv", text.encode(f"utf-{size}-{order}")), csv_options=told).to_pylist() == plain.to_pylist()


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_that_is_not_declared_is_refused_with_the_option_to_set(order):
    with pytest.raises(OutputUnavailable, match=f"looks like UTF-16 .*'utf-16-{order}'"):
        table_of(file("csv", TEXT.encode(f"utf-16-{order}")))


def test_a_byte_order_that_is_not_certain_is_refused():
    with pytest.raises(OutputUnavailable, match="its byte order is not certain"):
        table_of(file("csv", "名前".encode("utf-16-be")), csv_options=CsvOptions.parse({"encoding": "utf-16"}))


def test_the_mark_of_a_file_counts_more_than_the_option():
    text = b"\xef\xbb\xbfid,n\n1,\xc3\xa9\n"
    assert table_of(file("csv", text), csv_options=CsvOptions.parse({"encoding": "windows-1252"})).to_pylist() == [
        {"id": 1, "n": "é"}
    ]


@pytest.mark.parametrize(
    ("options", "value", "kind"),
    [({"decimal": ","}, "1.234,50", "float64"), ({"date_format": "%d.%m.%Y"}, "31.02.2024", "date32")],
)
def test_an_error_shows_a_value_as_the_file_spells_it(options, value, kind):
    text = f"a;b\n{value};x\n"
    with pytest.raises(OutputUnavailable, match=f"column 'a', row 1: '{value}' is not of type"):
        table_of(
            file("csv", text), csv_options=CsvOptions.parse({"delimiter": ";", **options}), column_types={"a": kind}
        )

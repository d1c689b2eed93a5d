"""A file is what it is called: error pages, archives and the like never become rows, and are never kept."""

from __future__ import annotations

import gzip
import json

import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs import reading
from tests.outputs.playing import Player, file, table_of
from tests.outputs.serving import client, serving
from tests.outputs.test_csv_options import told

HTML = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>We are down, please come back</body></html>\n"
XML = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>'
ERROR = b'{"error": "result is being prepared, try again later"}'


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "yxdb"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HTML, "an HTML page came instead of the .* file: 'Sorry'"),
        (b"\xef\xbb\xbf \n" + HTML, "an HTML page came instead"),
        (b"<!-- x --><p>We are down, sorry</p>", "XML or HTML came instead"),
        (XML, "XML or HTML came instead of the .* file: 'Please reduce your request rate'"),
        (ERROR, "came instead of the"),
        (json.dumps({"message": "no", "code": 7, "requestId": "x"}).encode(), "came instead of the"),
    ],
)
def test_an_error_page_is_no_result(content, said, kind, pack):
    with pytest.raises(OutputUnavailable, match=said):
        table_of(file(kind, pack(content)))
    with pytest.raises(OutputUnavailable, match=said), reading.opened(file(kind, pack(content)), Player()):
        pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + bytes(50), "a ZIP archive, such as an Excel workbook"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"PAR1", "a Parquet file"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0), "gzip within gzip"),
        (b"Alteryx Database File", "a .yxdb file"),
        (b"[1, 2]", "JSON came instead of the CSV file"),
    ],
)
def test_another_format_is_no_csv(content, said):
    with pytest.raises(OutputUnavailable, match=said):
        table_of(file("csv", content))


def test_what_the_server_calls_the_file_counts_unless_the_delimiter_is_given():
    given = told(b"We are down,back soon\nsorry,x\n", "text/html; charset=utf-8")
    with pytest.raises(OutputUnavailable, match="the server calls the CSV file 'text/html'"):
        table_of(given)
    again = told(b"a,b\n1,2\n", "text/html; charset=utf-8")
    assert table_of(again, csv_options={"delimiter": ","}).to_pylist() == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    "content", ["id, error\n", "error code,failed rows\n", "error\nx\n", "Failed stores\nA\nB\n", "status\nnot found\n"]
)
def test_a_header_with_a_word_of_errors_is_read(content):
    assert table_of(file("csv", content)).num_rows == content.count("\n") - 1


def test_an_empty_file_is_no_json_but_json_lines_without_rows():
    for content in (b"", b"\n", b"\xef\xbb\xbf"):
        with pytest.raises(OutputUnavailable, match="the file is empty, which is no JSON"):
            table_of(file("json", content))
    assert table_of(file("json", b"[]")).num_rows == 0
    assert table_of(file("jsonl", b"")).num_rows == 0


@pytest.mark.parametrize("end", ["", "\n", " \r\n"])
@pytest.mark.parametrize(
    "word",
    ["Unauthorized", "OK", "ok", "Forbidden", "NotFound", "access_denied", "TokenExpired", "404", "true", "null",
     "Error!", "Not authorised", "Error: quota exceeded, try later", "Access denied, please sign in",
     "Internal Server Error\nrequest 5", "502 Bad Gateway\n\nnginx", "Error: no such job.\nTry later",
     "Traceback (most recent call last):\n  File x\nValueError",
     "Sorry, the service is not available today", "maintenance", "-"],
)  # fmt: skip
def test_a_message_of_a_server_is_no_result(word, end):
    """Neither as a table nor as a file that is kept; a delimiter that the user names says that it is a header."""
    text = word + end
    for kind in ("csv", "json", "jsonl", "yxdb"):
        with pytest.raises(OutputUnavailable, match=r"message|came instead of|is not a \.yxdb"):
            table_of(file(kind, text))
        with pytest.raises(OutputUnavailable), reading.opened(file(kind, text), Player()):
            pass
    assert table_of(file("csv", text), csv_options={"delimiter": ";"}).column_names[0].strip() == word.splitlines()[0]


@pytest.mark.parametrize(
    "header", ["id", "id\n", "store_id\n", "Name\r\n", "OK\n1\n", "a,b\n", "error,code\n", "größe\n"]
)
def test_a_header_alone_is_a_table_without_a_message(header):
    assert table_of(file("csv", header)).num_rows == header.count("1")


def test_ordinary_files_are_not_refused():
    assert table_of(file("csv", b"[id],[name]\n1,x\n")).num_rows == 1
    assert table_of(file("jsonl", b'{"error": null, "id": 1}\n')).num_rows == 1
    assert table_of(file("json", b'[{"error": "x"}]')).num_rows == 1
    for kind in ("raw", "pdf"):
        with reading.opened(file(kind, HTML), Player()) as opened:
            assert opened.read(1 << 20) == HTML


def test_a_last_row_without_its_end_counts_where_the_length_is_known():
    """Without a length nothing else says that the file is whole."""
    with serving() as served:
        served.content = b"a,b\n1,2\n3,45"
        worker = client()
        assert table_of_served(served, worker).num_rows == 2
        served.length = False
        with pytest.raises(OutputUnavailable, match="the last row has no line end"):
            table_of_served(served, worker)
        served.content += b"\n"
        assert table_of_served(served, worker).num_rows == 2


def table_of_served(served, worker):
    """Read the file of a server."""
    return reading.batches(served.source("csv"), worker).read_all()

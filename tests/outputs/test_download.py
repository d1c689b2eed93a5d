"""A download that breaks off goes on where it was, or is an error; it is never a shorter file."""

from __future__ import annotations

import gzip
import random
from contextlib import closing, suppress

import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable, ServerUnavailable, WorkflowError
from airflow_workflow_provider.outputs import reading
from airflow_workflow_provider.outputs.download import Download
from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.results import FileSource
from tests.outputs.playing import Player
from tests.outputs.serving import client, serving

CONTENT = random.Random(7).randbytes(3_000_000)  # noqa: S311 (the same each time, not secret)


@pytest.fixture
def served():
    with serving() as made:
        made.content = CONTENT
        yield made


@pytest.fixture
def worker():
    with closing(client()) as made:
        yield made


def read(served, worker, kind="raw"):
    """Read a file from its beginning to its end."""
    with reading.opened(served.source(kind), worker) as file:
        return file.read()


def test_a_file_that_comes_whole_is_asked_for_once(served, worker):
    assert read(served, worker) == CONTENT
    assert served.asked == [""]


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"one"'},
        {"ETag": '"one"', "Accept-Ranges": "bytes"},
        {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
    ],
)
def test_where_the_server_knows_ranges_only_the_rest_is_asked_for(served, worker, headers):
    served.headers, served.cuts = headers, [1_000_000, 500_000]
    assert read(served, worker) == CONTENT
    assert served.asked == ["", "bytes=1000000-", "bytes=1500000-"]


@pytest.mark.parametrize(
    "headers", [{}, {"ETag": 'W/"weak"'}, {"ETag": '"one"', "Accept-Ranges": "none"}, {"Last-Modified": "yesterday"}]
)
def test_without_a_certain_version_the_file_is_read_anew_and_compared(served, worker, headers):
    served.headers, served.cuts = headers, [1_000_000, 2_000_000]
    assert read(served, worker) == CONTENT
    assert served.asked == ["", "", ""]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "9" * 5000},
        {"Content-Length": "\u0663"},
        {"Content-Range": f"bytes 0-1/{'9' * 5000}"},
        {"Date": "+99999999 Jan 00:00:00 99999999999 +0000 Feb", "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
        {"Last-Modified": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Date": "Mon, 01 Jan 2024 00:00:00 GMT"},
        {"ETag": "\x80\x01" * 1000},
        {"Accept-Ranges": "none " * 1000, "Content-Type": "text/csv; charset=" + "x" * 10_000},
        {"Content-Encoding": "identity, " * 1000},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_a_header_that_holds_anything_is_no_error_of_python(headers):
    """Numbers and dates of headers have any size; only a value or an error of this package comes out."""
    given = {name.lower(): value for name, value in headers.items()}

    def flow():
        yield from ()
        return Response(200, given, b"a,b\n1,2\n")

    with suppress(WorkflowError):
        download = Download(FileSource("raw", flow), Player())
        download.read()
        download._fits(given)


def test_a_server_that_sends_the_whole_file_for_a_range_is_understood(served, worker):
    served.ranges, served.cuts = False, [1_000_000]
    assert read(served, worker) == CONTENT
    assert served.asked == ["", "bytes=1000000-"]


@pytest.mark.parametrize(
    "lies",
    [
        {"Content-Range": "bytes 0-2999999/3000000"},
        {"Content-Range": "bytes 1000000-2999999/9999999"},
        {"Content-Range": "nonsense"},
        {"ETag": '"two"'},
        {"Content-Encoding": "gzip"},
    ],
)
def test_a_part_that_does_not_fit_is_not_taken(served, worker, lies):
    served.lies, served.cuts = lies, [1_000_000]
    assert read(served, worker) == CONTENT
    assert served.asked == ["", "bytes=1000000-", ""]


def test_a_server_that_refuses_the_range_is_asked_for_the_whole(served, worker):
    served.cuts, served.states = [1_000_000], [200, 416]
    assert read(served, worker) == CONTENT
    assert served.asked == ["", "bytes=1000000-", ""]


@pytest.mark.parametrize("other", [CONTENT[::-1], CONTENT[:900_000]])
def test_a_file_that_became_another_is_an_error(served, worker, other):
    served.cuts, served.changes = [1_000_000], {1: (other, {"ETag": '"two"'})}
    with pytest.raises(OutputUnavailable, match="broke off after 1000000 bytes, and the server now sends another file"):
        read(served, worker)


def test_a_new_version_with_the_same_beginning_is_taken(served, worker):
    """A server's own restart can give a file a new tag."""
    served.cuts, served.changes = [1_000_000], {1: (CONTENT, {"ETag": '"two"'})}
    assert read(served, worker) == CONTENT


def test_a_file_that_broke_off_before_its_first_byte_may_be_another(served, worker):
    served.cuts, served.changes = [0], {1: (b"new", {})}
    assert read(served, worker) == b"new"


def test_a_server_that_is_away_for_a_while_is_waited_for(served, worker):
    served.cuts, served.states = [1_000_000], [503, 200, 503, 502, 429]
    assert read(served, worker) == CONTENT


def test_a_file_that_stays_away_is_an_error_after_some_tries(served):
    pauses: list[float] = []
    served.cuts = [1000] * 50
    with closing(client(pauses)) as worker, pytest.raises(ServerUnavailable, match="broke off while it was read"):
        read(served, worker)
    assert len(served.asked) == 6
    assert pauses


def test_a_file_that_gets_on_has_its_tries_again(served, worker):
    served.content = CONTENT * 40
    served.cuts = [9_000_000] * 12
    assert read(served, worker) == served.content
    assert len(served.asked) == 13


def test_a_file_packed_on_its_way_is_resumed_as_it_is_packed(served, worker):
    packed = gzip.compress(CONTENT, 1)
    served.content, served.headers = packed, {"ETag": '"one"', "Content-Encoding": "gzip"}
    served.cuts = [1_000_000]
    assert read(served, worker) == CONTENT
    assert served.asked == ["", "bytes=1000000-"]


def test_another_packing_than_gzip_is_undone_and_read_anew(served, worker):
    import zlib

    served.content, served.headers = zlib.compress(CONTENT, 1), {"ETag": '"one"', "Content-Encoding": "deflate"}
    served.cuts = [1_000_000]
    assert read(served, worker) == CONTENT
    assert served.asked == ["", ""]


@pytest.mark.parametrize("damage", [lambda data: data[:-4], lambda data: data[:-8] + bytes(8), lambda data: b"x" * 99])
def test_packed_bytes_that_are_damaged_are_an_error(served, worker, damage):
    served.content, served.headers = damage(gzip.compress(CONTENT, 1)), {"Content-Encoding": "gzip"}
    with pytest.raises(OutputUnavailable, match="the file is damaged"):
        read(served, worker)


def test_a_gz_file_is_read_as_the_table_in_it(served, worker):
    served.content = gzip.compress(b"a,b\n1,x\n") + gzip.compress(b"2,y\n")
    assert reading.batches(served.source("csv"), worker).read_all().to_pylist() == [
        {"a": 1, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    assert read(served, worker, "csv") == served.content


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_is_whole_though_its_download_breaks_off(served, worker, kind):
    rows = range(200_000)
    spelled = {"csv": "n\n" + "".join(f"{k}\n" for k in rows), "jsonl": "".join(f'{{"n": {k}}}\n' for k in rows)}
    served.content, served.cuts = spelled[kind].encode(), [100_000, 300_000, 7]
    assert reading.batches(served.source(kind), worker).read_all().column("n").to_pylist() == list(rows)


def test_a_file_whose_length_nobody_tells_is_said_to_be_so(served, worker, caplog):
    served.length = False
    assert read(served, worker) == CONTENT
    assert "does not send the length of the file" in caplog.text


def test_each_break_is_in_the_log(served, worker, caplog):
    served.cuts = [1_000_000]
    read(served, worker)
    assert "broke off after 1,000,000 bytes" in caplog.text


def test_reading_little_by_little_is_the_same(served, worker):
    served.cuts = [1_234_567]
    with closing(Download(served.source(), worker)) as file:
        assert b"".join(iter(lambda: file.read(99_991), b"")) == CONTENT

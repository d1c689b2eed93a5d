"""Files of the sandbox can be read in parts, as object storage and file servers have it (RFC 9110, section 14)."""

from __future__ import annotations

import itertools
import time
from email.utils import formatdate

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from airflow_workflow_provider.sandbox.file_response import PIECE, file_response, part_of

DATA = bytes(itertools.islice(itertools.cycle(range(251)), 2 * PIECE + 100))


@pytest.fixture
def path(tmp_path):
    """A file that is longer than two pieces."""
    path = tmp_path / "rows.csv"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def client(path):
    """A client of a server with one file."""

    async def answer(request):
        return file_response(request, path, "text/csv", filename="Übersicht 1.csv")

    return TestClient(Starlette(routes=[Route("/", answer)]))


def test_the_whole_file(client, path):
    """Without a range the answer is the file, with what a client needs to ask for the rest of it later."""
    answer = client.get("/")
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "text/csv"
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''%C3%9Cbersicht%201.csv"
    assert answer.headers["last-modified"] == formatdate(path.stat().st_mtime, usegmt=True)
    assert not answer.headers["etag"].startswith("W/")


def test_head_has_the_headers_and_no_body(client):
    """A HEAD gives the size of the whole file, also with a range."""
    answer = client.head("/", headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", str(len(DATA)))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-", 10, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        ("bytes=-9999999", 0, len(DATA)),
        ("Bytes= 5-9999999 ", 5, len(DATA)),
        (f"bytes={PIECE - 1}-{2 * PIECE}", PIECE - 1, 2 * PIECE + 1),
    ],
)
def test_one_range(client, asked, start, end):
    """The answer is this part, and says where it lies in the file."""
    answer = client.get("/", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=5-1", "bytes=-", "bytes=0-1,5-6", "rows=0-1", "bytes=\u0661-\u0662"])
def test_a_range_that_is_not_one_is_ignored(client, asked):
    """Another unit, several ranges and nonsense stand for the whole file."""
    assert client.get("/", headers={"Range": asked.encode()}).content == DATA


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=9999999-99999999", "bytes=-0"])
def test_a_range_outside_of_the_file_is_refused(client, asked):
    """Such an answer has the size of the file and no body."""
    answer = client.get("/", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("header", ["etag", "last-modified"])
def test_the_rest_of_the_same_file(client, path, header):
    """If-Range gives the rest while the file is the same, and all of it when it has changed."""
    version = client.get("/").headers[header]
    headers = {"Range": "bytes=100-", "If-Range": version}
    assert client.get("/", headers=headers).content == DATA[100:]
    path.write_bytes(b"another file")
    if header == "last-modified":
        assert client.get("/", headers=headers | {"If-Range": formatdate(0, usegmt=True)}).content == b"another file"
    else:
        answer = client.get("/", headers=headers)
        assert (answer.status_code, answer.content) == (200, b"another file")


def test_an_empty_file(client, path):
    """A file without bytes is an empty answer; no range of it can be given."""
    path.write_bytes(b"")
    assert (client.get("/").status_code, client.get("/").content) == (200, b"")
    assert client.get("/", headers={"Range": "bytes=0-"}).status_code == 416


def test_a_long_header_costs_nothing():
    """Many ranges, and numbers of any length, are refused at once."""
    began = time.process_time()
    for asked in ("bytes=" + "0-," * 100_000, "bytes=" + "9" * 1_000_000 + "-", "bytes=" + " " * 1_000_000):
        assert part_of(asked, 10) == (0, 10, 200)
    assert time.process_time() - began < 0.5

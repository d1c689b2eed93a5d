"""Whatever bytes a server answers with, both drivers end in time, within their memory, and never start twice."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import traceback
import tracemalloc
import zlib

import pytest

from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.exceptions import ProtocolError, ServerUnavailable, UnknownStart, WorkflowError
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import HeaderAuth
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import NoAnswer, NotSent, Request
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.protocol.retry import guarded_start, persist
from tests.client.certificates import self_signed
from tests.client.driving import driven
from tests.client.hostile import hostile

LIMIT = 1 << 20
SMALL = Transport("c", timeout=5.0, max_answer=LIMIT)
SECRET = "secret-token-0123456789"
OK = b'{"id": "7"}'


@pytest.fixture
def server():
    with hostile() as state:
        yield state


def api(server):
    """An API at the hostile server."""
    return Api("c", server.url, HeaderAuth("Authorization", SECRET), secrets=(SECRET,))


def read(mode, server, transport=SMALL):
    """Read a document once."""
    return driven(mode, lambda: api(server).read(Request("GET", server.url + "/x"), "reading"), transport)


def start(mode, server, transport=SMALL):
    """Start a run as a hook does."""
    request = Request("POST", server.url + "/runs", json={})

    def parse(response):
        return response.json()["id"]

    return driven(
        mode, lambda: persist(lambda: guarded_start(api(server).start(request, "starting", parse))), transport
    )


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, lambda data: zlib.compress(data)[2:-4]])
@pytest.mark.parametrize("size", [10, LIMIT - 2, LIMIT + 1, 64 * LIMIT])
def test_a_compressed_answer_is_read_up_to_the_limit(mode, server, pack, size):
    """The limit counts decompressed bytes; what is beyond is not even decompressed."""
    encoding = "gzip" if pack is gzip.compress else "deflate"
    server.page(pack(b'"' + b"a" * size + b'"'), f"Content-Encoding: {encoding}")
    tracemalloc.start()
    drive = read(mode, server)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * LIMIT
    if size + 2 <= LIMIT:
        assert len(drive.value) == size
    else:
        assert isinstance(drive.error, ProtocolError)
        assert "max_answer_bytes" in str(drive.error)


@pytest.mark.parametrize("length", [LIMIT + 1, 10**30, 10**25 - 1])
def test_an_answer_that_announces_too_much_is_not_read(mode, server, length):
    """Nothing of it is waited for."""
    server.raw(f"HTTP/1.1 200 X\r\nContent-Length: {length}\r\n\r\n".encode(), b"", pause=0.2)
    drive = read(mode, server)
    assert isinstance(drive.error, (ProtocolError, ServerUnavailable))


def test_an_endless_answer_without_a_length_is_ended(mode, server):
    """A body that lasts until the connection is closed has the same limit."""

    def answer(head, write):
        write(b"HTTP/1.1 200 X\r\n\r\n")
        for _ in range(10 * LIMIT // 65_536):
            write(b" " * 65_536)

    server.answer = answer
    assert isinstance(read(mode, server).error, ProtocolError)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(OK)[:-9], "gzip"),
        (b"not gzip", "gzip"),
        (OK, "br"),
        (gzip.compress(gzip.compress(OK)), "gzip, gzip"),
        (gzip.compress(b"") * 2000, "gzip"),
        (b"\x1f\x8b", "gzip"),
    ],
    ids=["cut", "no gzip", "brotli", "twice", "many parts", "two bytes"],
)
def test_what_cannot_be_decompressed_is_one_of_our_errors(mode, server, body, encoding):
    """None of it is a value."""
    server.page(body, f"Content-Encoding: {encoding}")
    assert isinstance(read(mode, server).error, (ProtocolError, ServerUnavailable))


def test_parts_of_gzip_are_one_answer(mode, server):
    """RFC 1952 allows several members; zeros may follow."""
    server.page(gzip.compress(OK[:4]) + gzip.compress(OK[4:]) + bytes(10), "Content-Encoding: gzip")
    assert read(mode, server).value == {"id": "7"}


@pytest.mark.parametrize("where", ["head", "body", "chunks", "status"])
def test_a_dripping_answer_ends_with_the_time_out(mode, server, where):
    """A byte now and then does not prolong a request; a worker would wait for days."""
    begins = {
        "status": b"",
        "head": b"HTTP/1.1 200 X\r\nA: ",
        "body": b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n",
        "chunks": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n",
    }
    drip = b"1\r\n \r\n" if where == "chunks" else b"H" if where == "status" else b" "
    server.raw(begins[where], *[drip] * 100, pause=0.05)
    began = time.monotonic()
    drive = read(mode, server, Transport("c", timeout=0.3))
    assert isinstance(drive.error, (ServerUnavailable, ProtocolError))
    assert time.monotonic() - began < 2.0


BROKEN_STARTS = {
    "nothing": b"",
    "overlong chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n{}",
    "negative chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}",
    "no chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}",
    "overlong length": b"HTTP/1.1 200 OK\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n{}",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "words of a proxy": b"Tunnel connection failed: 407\r\n\r\n",
    "words of TLS": b"HTTP/1.1 WRONG_VERSION_NUMBER\r\n\r\n",
    "status of six digits": b"HTTP/1.1 999999 X\r\n\r\n",
    "status 0": b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n",
    "status 100 only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "status 101": b"HTTP/1.1 101 Switching\r\n\r\n",
    "no id": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "no object": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    "null": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
    "deep": b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
    "giant number": b"HTTP/1.1 200 OK\r\n\r\n" + b"1" * 100_000,
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000,
    "a long header": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 300_000 + b"\r\n\r\n{}",
    "bytes that are no text": b"HTTP/1.1 200 \xff\r\n\xff: \xfe\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    "two answers": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a web socket frame": b"\x81\x85\x37\xfa\x21\x3d",
}


@pytest.mark.parametrize("name", BROKEN_STARTS)
def test_a_start_with_a_broken_answer_is_unknown_and_sent_once(mode, server, name):
    """Whatever the HTTP library raises: the run may exist, so no second one is started."""
    server.raw(BROKEN_STARTS[name])
    drive = start(mode, server)
    assert isinstance(drive.error, UnknownStart)
    assert len(server.heard) == 1


def test_a_tls_server_that_speaks_plainly_after_the_request_has_taken_the_start(mode, tmp_path):
    """OpenSSL calls that a wrong version number, as it does before the hand-shake; here the request was sent."""
    certificate = self_signed(tmp_path / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with hostile(context) as server:

        def answer(head, write):
            import socket

            raw = socket.socket(fileno=socket.dup(write.__self__.request.fileno()))
            raw.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            raw.close()

        server.answer = answer
        drive = start(mode, server, Transport("c", verify=str(certificate), timeout=5.0))
        assert isinstance(drive.error, UnknownStart)
        assert len(server.heard) == 1


@pytest.mark.parametrize("name", BROKEN_STARTS)
def test_a_broken_answer_to_a_read_is_one_of_our_errors_and_shows_no_secret(mode, server, name):
    """The error, its chain and its notes show neither the credential nor the query."""
    server.raw(BROKEN_STARTS[name].replace(b"OK\r\n", f"OK\r\nX-Echo: {SECRET}\r\n".encode(), 1))
    url = f"{server.url}/x?signature=abcdef0123456789"
    drive = driven(mode, lambda: api(server).read(Request("GET", url), "reading"), SMALL)
    if drive.error is not None:
        assert isinstance(drive.error, WorkflowError)
        text = "".join(traceback.format_exception(drive.error))
        assert SECRET not in text
        assert "abcdef0123456789" not in text


def test_what_a_network_failure_says_is_ours(mode, server):
    """A server's bytes do not get into the text of a transport error."""
    server.raw(b"EVIL " * 100 + b"\r\n\r\n")

    def flow():
        return (yield Request("GET", f"{server.url}/?key={SECRET}"))

    error = driven(mode, flow, SMALL).error
    assert isinstance(error, NoAnswer)
    assert "EVIL" not in str(error)
    assert SECRET not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("proxied", [True, False])
def test_a_proxy_that_refuses_its_credentials_has_sent_nothing(mode, server, proxied):
    """A 407 of a proxy is no answer of the API, and its page is not shown: it may repeat the password."""
    server.page(b"Basic dTpwYXNzd29yZA==", status=407)
    proxies = {"http": server.url.replace("//", "//u:password@")} if proxied else {}
    target = "http://api.example.com/" if proxied else server.url

    def flow():
        return (yield Request("POST", target, json={}))

    drive = driven(mode, flow, Transport("c", timeout=5.0, proxies=proxies))
    if proxied:
        assert isinstance(drive.error, NotSent)
        assert "dTpwYXNz" not in str(drive.error)
    else:
        assert drive.value.status == 407


async def test_large_answers_are_read_one_at_a_time_and_the_connections_take_turns(server):
    """A connection that is sent many large answers does not keep another one from its own."""
    server.page(gzip.compress(b'"' + b"a" * LIMIT * 2 + b'"'), "Content-Encoding: gzip")
    transports = [Transport(name, timeout=20.0) for name in ("many", "one")]
    order = []

    async def ask(client, name):
        def flow():
            return (yield Request("GET", server.url))

        response = await client.run(flow())
        order.append(name)
        return len(response.json())

    async with TriggererClient(transports[0]) as many, TriggererClient(transports[1]) as one:
        tasks = [asyncio.create_task(ask(many, "many")) for _ in range(8)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(ask(one, "one")))
        assert set(await asyncio.gather(*tasks)) == {LIMIT * 2}
    assert "one" in order[:6]


@pytest.mark.parametrize(
    ("given", "size", "is_read_in"),
    [
        (0, 7 << 20, {"worker", "triggerer"}),
        (0, 9 << 20, {"worker"}),
        (0, 33 << 20, set()),
        (40 << 20, 33 << 20, {"worker", "triggerer"}),
    ],
)
def test_a_triggerer_has_the_smaller_limit_unless_the_connection_says_otherwise(mode, server, given, size, is_read_in):
    """All teams share its memory; what does not fit is polled on a worker by the next try."""
    server.page(gzip.compress(b'"' + b"a" * size + b'"', 1), "Content-Encoding: gzip")
    drive = read(mode, server, Transport("c", timeout=30.0, max_answer=given))
    if mode in is_read_in:
        assert len(drive.value) == size
    else:
        assert isinstance(drive.error, ProtocolError)
        assert drive.error.is_too_large


def test_an_answer_that_needs_too_much_memory_is_too_large_for_a_triggerer(server):
    """Many small objects are little on the wire and a lot in memory."""
    server.page(b"[" + b"{}," * 200_000 + b"{}]")
    drive = read("triggerer", server, Transport("c", timeout=30.0))
    assert drive.error.is_too_large
    assert "MB of memory" in str(drive.error)
    assert len(read("worker", server, Transport("c", timeout=30.0)).value) == 200_001


def test_answers_that_stay_too_large_end_the_wait_but_not_for_good(mode, server):
    """The next try takes the run over, and polls it on a worker at first."""
    server.page(b'"' + b"a" * LIMIT + b'"')
    run = Run("stevesie", "c", "7", "1", RunState.RUNNING)

    def look(run):
        yield from api(server).read(Request("GET", server.url + "/x"), "reading")

    drive = driven(mode, lambda: wait(look, run, poll_interval=5.0), SMALL)
    assert type(drive.error) is ServerUnavailable
    assert "max_answer_bytes" in str(drive.error)
    assert len(server.heard) == 5

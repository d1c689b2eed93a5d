"""A status server in a process of its own: it answers for the runs of every way compared, and counts who asks.

A run's id tells when it ends, ``<milliseconds since 1970>`` and five digits, so the server needs no list of runs but
for the list calls, and whoever waits can tell how late an end was noticed. It speaks just enough HTTP for the clients
of this benchmark. ``python -m benchmarks.polling_server PORT TLS_PORT CERTIFICATE`` runs it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast
from urllib.parse import parse_qs

DIGITS = 100_000  # a run's id is the moment of its end in milliseconds, times this, plus a number
REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}
FAULTS = (0.01, 0.01)  # of the requests: answered 503, cut off without an answer; while faults are on


def run_id(ends_at: float, number: int) -> str:
    """Name a run that ends at this moment."""
    return str(int(ends_at * 1000) * DIGITS + number)


def end_of(run: str) -> float:
    """Read from a run's name when it ends."""
    return int(run) // DIGITS / 1000


class Book:
    """What was asked, and which runs the lists show."""

    def __init__(self) -> None:
        self.open = 0
        self.reset()
        self.listed: dict[str, list[tuple[float, bytes, bytes]]] = {}
        self.faults = False
        self.begin()

    def begin(self) -> None:
        """Let the runs have started now."""
        self.began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def reset(self, interval: float = 0.0) -> None:
        """Count from zero; with an interval, note how late polls are."""
        self.interval = interval
        self.requests = self.connections = self.lists = 0
        self.most_open = self.open
        self.last: dict[str, float] = {}
        self.late: list[float] = []

    def polled(self, run: str) -> None:
        """Note how much later than an interval after the last poll of this run this one came."""
        if self.interval:
            now = time.monotonic()
            last = self.last.get(run)
            self.last[run] = now
            if last is not None:
                self.late.append(round(now - last - self.interval, 4))

    def list_runs(self, shape: str, runs: list[str]) -> None:
        """Show these runs in the lists, newest first as they are given."""
        row = ROWS[shape]
        self.listed[shape] = [(end_of(run), row(self, run, False), row(self, run, True)) for run in runs]

    def page(self, shape: str, query: dict[str, list[str]]) -> bytes:
        """Give a part of a list as JSON rows."""
        now, offset = time.time(), int(query.get("offset", ["0"])[0])
        limit = int(query.get("limit", [str(10**6)])[0])
        rows = self.listed.get(shape, [])[offset : offset + limit]
        self.lists += 1
        return b",".join(over if ends <= now else going for ends, going, over in rows)


def alteryx(book: Book, run: str, over: bool, listed: bool = False) -> bytes:
    """A job of Alteryx V1; a listed one has neither outputs nor messages."""
    status, disposition = ("Completed", "Success") if over else ("Running", "None")
    more = "" if listed else ',"outputs":[],"messages":[],"appId":null'
    text = (
        f'{{"id":"{run}","createDate":"{book.began}","status":"{status}","disposition":"{disposition}",'
        f'"priority":0,"workerTag":null,"runWithE2":true{more}}}'
    )
    return text.encode()


def stevesie(book: Book, run: str, over: bool) -> bytes:
    """An execution of Stevesie."""
    ended = '"2026-11-22T11:00:00Z"' if over else "null"
    results = f'[{{"id":"r1","url":"https://files.example.com/{run}/result.csv?signature=x"}}]' if over else "[]"
    text = (
        f'{{"id":"{run}","workflow_id":"wf","execution_parameters":"{{}}","created_at":"{book.began}",'
        f'"completed_at":{ended},"results":{results}}}'
    )
    return text.encode()


ROWS: dict[str, Callable[[Book, str, bool], bytes]] = {
    "alteryx": lambda book, run, over: alteryx(book, run, over, listed=True),
    "stevesie": stevesie,
}


def answer(book: Book, path: str, query: str, body: bytes) -> tuple[int, bytes]:  # noqa: PLR0911  # one for each API
    """Answer one request: status and body."""
    parts = [part for part in path.split("/") if part]
    if parts[0] == "_control":
        return 200, control(book, parts[1], body)
    book.requests += 1
    if parts[0] == "gallery" and parts[-1] == "jobs":
        return 200, b"[" + book.page("alteryx", parse_qs(query)) + b"]"
    if parts[0] == "stevesie" and parts[-1] == "executions":
        return 200, b'{"objects":[' + book.page("stevesie", parse_qs(query)) + b"]}"
    run = str(json.loads(body)["run_id"]) if parts[-1] == "get" else parts[-1]  # Databricks names it in the body
    book.polled(run)
    over = end_of(run) <= time.time()
    if parts[0] == "gallery":
        return 200, alteryx(book, run, over)
    if parts[0] == "stevesie":
        return 200, b'{"object":' + stevesie(book, run, over) + b"}"
    if parts[0] == "sensor":
        return (200, b"{}") if over else (404, b"{}")
    if "runs" in parts and "accounts" in parts:  # dbt Cloud
        return 200, b'{"status":{"code":200},"data":{"id":%b,"status":%d}}' % (run.encode(), 10 if over else 3)
    state = '"TERMINATED","result_state":"SUCCESS"' if over else '"RUNNING"'  # Databricks
    return 200, f'{{"run_id":{run},"state":{{"life_cycle_state":{state},"state_message":""}},"tasks":[]}}'.encode()


def control(book: Book, what: str, body: bytes) -> bytes:
    """Do what the benchmark asks for, and give the counts."""
    counts = {name: getattr(book, name) for name in ("requests", "connections", "lists", "open", "most_open", "late")}
    if what == "reset":
        book.reset(json.loads(body) or 0.0)
    elif what == "begin":
        book.begin()
    elif what == "list":
        document = json.loads(body)
        book.list_runs(document["shape"], document["runs"])
    elif what == "faults":
        book.faults = bool(json.loads(body))
    return json.dumps(counts).encode()


class Http(asyncio.Protocol):
    """One connection: requests one after the other, each answered at once."""

    def __init__(self, book: Book) -> None:
        self.book, self.buffer = book, b""
        self.counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """One fewer is open."""
        self.book.open -= self.counted

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in what has come."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].decode("latin-1")
            length = next((int(line[15:]) for line in head.split("\r\n") if line[:15].lower() == "content-length:"), 0)
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.respond(head.split(" ", 2)[1], body)

    def respond(self, target: str, body: bytes) -> None:
        """Answer one request, or fail it on purpose."""
        path, _, query = target.partition("?")
        if not path.startswith("/_control"):
            self.count()
            if self.book.faults and self.fails():
                return
        status, content = answer(self.book, path, query, body)
        self.send(status, content)

    def count(self) -> None:
        """Count the connection when it is used for something that counts."""
        if not self.counted:
            self.counted = True
            self.book.connections += 1
            self.book.open += 1
            self.book.most_open = max(self.book.most_open, self.book.open)

    def fails(self) -> bool:
        """Fail every so many requests, in turn."""
        self.book.requests += 1
        every_unavailable, every_cut = (round(1 / share) for share in FAULTS)
        if self.book.requests % every_unavailable == 0:
            self.send(503, b"<html><title>maintenance</title></html>")
            return True
        if self.book.requests % every_cut == every_cut // 2:
            self.transport.abort()
            return True
        self.book.requests -= 1  # it is counted where it is answered
        return False

    def send(self, status: int, content: bytes) -> None:
        """Send one answer."""
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Date: Sun, 22 Nov 2026 10:00:00 GMT\r\nServer: bench\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self.transport.write(head.encode() + content)


async def serve(port: int, tls_port: int, certificate: str) -> None:
    """Serve plain and with TLS until the process is ended."""
    book, loop = Book(), asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    plain = await loop.create_server(lambda: Http(book), "127.0.0.1", port, backlog=1024)
    await loop.create_server(lambda: Http(book), "127.0.0.1", tls_port, ssl=context, backlog=1024)
    await plain.serve_forever()


def main() -> None:
    """Run the server, on uvloop where there is one: the server is not what is measured."""
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))


if __name__ == "__main__":
    main()

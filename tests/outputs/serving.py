"""A server of one file that cuts connections, and does or does not know ranges."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import NoAuth
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import Flow, Request, Response
from airflow_workflow_provider.protocol.results import FileSource


@dataclass
class Served:
    """The file, and what becomes of each answer: how many bytes of its body come before the connection is cut."""

    content: bytes = b""
    cuts: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    ranges: bool = True
    lies: dict[str, str] = field(default_factory=dict)  # headers of a 206
    length: bool = True
    states: list[int] = field(default_factory=list)  # what is answered instead, oldest first
    asked: list[str] = field(default_factory=list)  # the Range of each request
    changes: dict[int, tuple[bytes, dict[str, str]]] = field(default_factory=dict)  # before the request of this number
    url: str = ""

    def source(self, kind: str = "raw", **more: object) -> FileSource:
        """The file as a source."""
        api = Api("c", self.url, NoAuth())

        def flow() -> Flow[Response]:
            return (yield from api.call(Request("GET", f"{self.url}/file", stream=True), "reading the file"))

        return FileSource(kind, flow, **more)  # type: ignore[arg-type]  # a test's own options


@contextmanager
def serving() -> Iterator[Served]:
    """Serve a file on loopback."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = len(served.asked)
            served.asked.append(self.headers.get("Range", ""))
            if number in served.changes:
                served.content, served.headers = served.changes[number]
            if served.states and (status := served.states.pop(0)) != 200:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.answer()

        def answer(self) -> None:
            start, status, headers = 0, 200, dict(served.headers)
            wanted, known = self.headers.get("Range"), self.headers.get("If-Range")
            if wanted and served.ranges and known in (headers.get("ETag"), headers.get("Last-Modified")):
                start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
                headers["Content-Range"] = f"bytes {start}-{len(served.content) - 1}/{len(served.content)}"
                headers |= served.lies
            body = served.content[start:]
            if served.length:
                headers["Content-Length"] = str(len(body))
            cut = served.cuts.pop(0) if served.cuts else None
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = cut is not None or not served.length

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(pauses: list[float] | None = None) -> WorkerClient:
    """A client whose pauses take no time."""
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if pauses is not None:
            pauses.append(seconds)

    return WorkerClient(Transport("c"), sleep=sleep, now=lambda: clock[0])

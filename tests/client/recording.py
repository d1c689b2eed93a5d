"""A real HTTP server on loopback that writes down what it is asked and answers as a script says."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Heard:
    """One request as it arrived; header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}{'?' if self.query else ''}{self.query}"


@dataclass(frozen=True)
class Reply:
    """One answer. ``breaks`` is how the connection goes instead: ``reset``, ``half`` of the body, or ``garbage``."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    breaks: str = ""

    def content(self) -> bytes:
        """The body's bytes; what is neither bytes nor text is JSON."""
        text = self.body if isinstance(self.body, (str, bytes)) else "" if self.body is None else json.dumps(self.body)
        return text.encode() if isinstance(text, str) else text


RESET = Reply(breaks="reset")
HTML_503 = Reply(503, "<html><title>503 Service Unavailable</title></html>", {"Content-Type": "text/html"})


class RecordingServer(ThreadingHTTPServer):
    """Answers with the scripted replies in turn, the last one for ever."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.heard: list[Heard] = []
        self.replies: list[Reply] = []
        self.open_sockets: list[socket.socket] = []
        self.lock = threading.Lock()

    def script(self, replies: Iterable[Reply]) -> None:
        """Forget what was heard, and answer like this from now on."""
        with self.lock:
            self.heard, self.replies = [], list(replies)

    def reply_to(self, heard: Heard) -> Reply:
        """Write down a request, give the next reply."""
        with self.lock:
            self.heard.append(heard)
            if not self.replies:
                return Reply(599, "nothing is scripted")
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def get_request(self) -> Any:
        """Take a connection, and remember it so that it can be closed."""
        made, address = super().get_request()
        self.open_sockets.append(made)
        return made, address

    @property
    def asked(self) -> list[str]:
        """The requests in short."""
        return [str(heard) for heard in self.heard]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: RecordingServer
    # Without this the end of a small answer waits for the client's acknowledgement, 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_one_request(self) -> None:
        """Read a request; a connection that the client drops is no event."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def answer(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.reply_to(Heard(self.command, path, query, headers, body))
        if reply.breaks == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if reply.breaks == "garbage":
            self.wfile.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            self.close_connection = True
            return
        self.send_reply(reply)

    do_GET = do_POST = do_DELETE = do_PUT = do_CONNECT = answer  # noqa: N815  # the names that http.server looks for

    def send_reply(self, reply: Reply) -> None:
        """Send status, headers and body."""
        content = reply.content()
        if reply.headers.get("Content-Encoding") == "gzip":
            content = gzip.compress(content)
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if reply.breaks == "half":
            content, self.close_connection = content[: len(content) // 2], True
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *arguments: Any) -> None:
        """Keep quiet."""


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    """Serve from a thread until the block ends."""
    with RecordingServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            for one in server.open_sockets:
                one.close()

"""A server on loopback that answers with the bytes that a test gives, however broken."""

from __future__ import annotations

import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Hostile:
    """What the server has heard; ``answer`` writes the answer to a request's head."""

    answer: Callable[[bytes, Any], None] = lambda head, write: None
    url: str = ""
    heard: list[bytes] = field(default_factory=list)

    def raw(self, *pieces: bytes, pause: float = 0.0) -> None:
        """Answer with these bytes, then close the connection."""

        def answer(head: bytes, write: Any) -> None:
            for piece in pieces:
                write(piece)
                time.sleep(pause)

        self.answer = answer

    def page(self, body: bytes, *headers: str, status: int = 200) -> None:
        """Answer with a body that has a length."""
        head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers))
        self.raw(f"{head}\r\n".encode() + body)


@contextmanager
def hostile(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Hostile]:
    """Serve until the block ends."""
    state = Hostile()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                head = b""
                while (line := self.rfile.readline()).strip():
                    head += line
                length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b"")
                self.rfile.read(int(length.partition(b":")[2] or 0))
                if head:
                    state.heard.append(head)
                    state.answer(head, self.write)
            except OSError:
                return  # the client has gone

        def write(self, data: bytes) -> None:
            self.request.sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Keep quiet."""

    with Server((host, 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        state.url = f"{'https' if tls else 'http'}://{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()

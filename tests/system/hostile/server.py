"""A server that plays every kind of hostile answer, at random; calm at first."""

from __future__ import annotations

import gzip
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.client.hostile import Hostile
from tests.fuzz.mutating import answer_to, bodies

MEGABYTE = 1 << 20
LOG_IN = b'{"access_token": "token", "expires_in": 36000, "response": {"session_id": "session"}}'
GOING = {
    "carto": b'{"status": "running", "externalId": "run1"}',
    "alteryx": b'{"id": "run1", "status": "Running"}',
    "stevesie": b'{"object": {"id": "run1", "completed_at": null}}',
    "chorus": b'{"meta": {"state": "STARTED", "processId": "run1"}}',
    "invision": b'{"dataFlowRunId": "run1", "status": "Running"}',
}
BOMB = gzip.compress(b'"' + b"a" * (512 * MEGABYTE), 9)
# Just within the limit of a triggerer.
MOST = gzip.compress(b'["' + b"a" * (8 * MEGABYTE - 10) + b'"]', 9)
FULL = gzip.compress(b'["' + b"a" * (32 * MEGABYTE - 10) + b'"]', 9)


def page(body: bytes, *headers: str, status: int = 200) -> bytes:
    """A whole answer."""
    lines = (f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


class Play:
    """Answers as told: calm, or with anything."""

    def __init__(self, hostile: Hostile) -> None:
        self.calm = True
        self.played: Counter[str] = Counter()
        self._samples = {system: bodies(system) for system in GOING}
        self._lock = threading.Lock()
        self._random = random.Random(0)  # noqa: S311  # it guards nothing
        hostile.answer = self.answer

    def answer(self, head: bytes, write: Callable[[bytes], None]) -> None:
        """Answer one request; its path begins with the system's key."""
        system = head.split(b" ")[1].decode("latin-1").split("/")[1]
        if b"token" in head.split(b" ")[1] or b"/sessions" in head.split(b" ")[1]:
            write(page(LOG_IN, "Content-Type: application/json"))
        elif self.calm:
            write(page(GOING[system], "Content-Type: application/json"))
        else:
            with self._lock:
                name = self._random.choice(list(KINDS))
                self.played[name] += 1
            KINDS[name](self, system, write)

    def changed(self, system: str, write: Callable[[bytes], None]) -> None:
        """A sample with some values changed."""
        with self._lock:
            status, _, body = answer_to(self._samples[system], self._random)
        write(page(body, "Content-Type: application/json", status=max(200, status)))

    def dripping(self, system: str, write: Callable[[bytes], None]) -> None:
        """A byte now and then."""
        write(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n{")
        for _ in range(400):
            write(b" ")
            time.sleep(0.1)


def _fixed(answer: bytes) -> Callable[[Play, str, Callable[[bytes], None]], None]:
    return lambda play, system, write: write(answer)


KINDS: dict[str, Callable[[Any, str, Callable[[bytes], None]], None]] = {
    "changed": Play.changed,
    "changed again": Play.changed,
    "dripping": Play.dripping,
    "bomb of 512 MB": _fixed(page(BOMB, "Content-Encoding: gzip")),
    "bomb of 32 MB": _fixed(page(FULL, "Content-Encoding: gzip")),
    "8 MB, which is read": _fixed(page(MOST, "Content-Encoding: gzip")),
    "8 MB as it is": _fixed(page(b'["' + b"a" * (8 * MEGABYTE - 10) + b'"]')),
    "depth of 100,000": _fixed(page(b'{"a":' * 100_000)),
    "a megabyte of titles": _fixed(page(b"<html>" + b"<title" * 170_000, "Content-Type: text/html", status=503)),
    "many values": _fixed(page(b"[" + b"{}," * 300_000 + b"{}]")),
    "overlong chunk": _fixed(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n{}"),
    "no HTTP": _fixed(b"\x00\x01\x02 nothing\r\n\r\n"),
    "reset": _fixed(b""),
    "long message": _fixed(page(b'{"object": {"id": "run1", "error": "' + b"m" * (8 * MEGABYTE) + b'"}}')),
    "NUL and surrogates": _fixed(page(b'{"status": "\\u0000", "object": {"id": "\\ud800"}, "error": "\\ud800"}')),
    "parts of gzip": _fixed(page(gzip.compress(b"") * 50_000, "Content-Encoding: gzip")),
    "escapes": _fixed(page(b'["' + rb"\u0000" * 500_000 + b'"]')),
}

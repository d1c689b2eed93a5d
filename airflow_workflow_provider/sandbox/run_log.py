"""Logs on demand: lines that a run writes while it goes on, and how a server can spoil them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from .settings import Settings
from .system import now

T = TypeVar("T")
TICK = 0.02  # seconds between two looks at which lines are due


@dataclass
class LogSettings(Settings):
    """The switches of a system whose runs have a log; the comments say what each one decides."""

    # How many numbered lines each run writes beside its own, and over how many seconds; 0: all at once.
    log_lines: int = 0
    log_seconds: float = 0.0
    # How much later than their own time these lines appear.
    log_late_seconds: float = 0.0
    # What stands in each of them, such as a secret, and how many characters they have at least.
    log_text: str = ""
    log_line_length: int = 0
    # How many of the newest lines the server keeps; null: all.
    log_kept: int | None = None
    # What a request for the log is answered with instead; null: the log.
    log_status: int | None = None
    # Whether the first of the lines holds bytes that are no UTF-8.
    log_invalid_utf8: bool = False

    def log_line(self, number: int) -> str:
        """The text of a line."""
        return f"line {number} of {self.log_lines} {self.log_text}".rstrip().ljust(self.log_line_length, ".")

    def kept(self, lines: Sequence[T]) -> Sequence[T]:
        """What the server has kept of a log."""
        return lines if self.log_kept is None else lines[max(0, len(lines) - self.log_kept) :]

    def spoiled(self, body: bytes) -> bytes:
        """The body of an answer with a log, as the wire has it."""
        return body.replace(b"line 1 of", b"l\xff\xfene 1 of", 1) if self.log_invalid_utf8 else body


async def play(settings: LogSettings, write: Callable[[str, datetime], None], is_over: Callable[[], bool]) -> None:
    """Write the lines as they are due, and the rest of them when the run is over."""
    began, over_at, done = now(), None, 0
    while done < (count := settings.log_lines):
        moment, late = now(), timedelta(seconds=settings.log_late_seconds)
        if over_at is None and is_over():
            over_at = moment
        past = (moment - began - late).total_seconds()
        share = past / settings.log_seconds if settings.log_seconds else float(past >= 0)
        if over_at is not None and moment >= over_at + late:
            share = 1.0
        for number in range(done + 1, due := int(count * min(max(share, 0.0), 1.0)) + 1):
            write(settings.log_line(number), began + timedelta(seconds=settings.log_seconds * number / count))
        done = max(done, due - 1)
        if done < count:
            await asyncio.sleep(TICK)

"""Progress in the task log, at a pace that a person reads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

PAUSE = 10.0  # seconds between two lines


class Progress:
    """Counts what has passed, and says so now and then.

    ``size`` is in bytes: of the file where its bytes are passed on as they are, else of the rows in memory. ``rows``
    may be an estimate until the end.

    :param doing: what is done, as in ``"Read"``.
    """

    def __init__(self, log: logging.Logger | Any, doing: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._doing, self._clock = log, doing, clock
        self._started = self._said = clock()
        self.rows = self.size = 0

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self._started

    def add(self, rows: int, size: int) -> None:
        """Count rows and bytes."""
        self.rows += rows
        self.size += size
        if self._clock() - self._said >= PAUSE:
            self._said = self._clock()
            self._log.info("%s %s so far", self._doing, self)

    def __str__(self) -> str:
        seconds = max(self.seconds, 1e-3)
        megabytes = self.size / 1e6
        counted = f"{self.rows:,} rows, " if self.rows else ""
        rate = f"{self.rows / seconds:,.0f} rows/s" if self.rows else f"{megabytes / seconds:,.1f} MB/s"
        return f"{counted}{megabytes:,.1f} MB in {seconds:,.1f} s ({rate})"

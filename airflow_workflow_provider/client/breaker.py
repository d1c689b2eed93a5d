"""A circuit breaker: a thousand waiting runs must not hammer a server that is down, or that asked for a pause."""

from __future__ import annotations

import random
from dataclasses import dataclass

TRIES = 5  # failures in a row after which the server counts as down
FIRST, LONGEST = 1.0, 60.0  # seconds of the first pause and of the longest
PROBE = 10.0  # seconds in which one request may find out whether the server is back


@dataclass
class Breaker:
    """Counts the failures of one server. Times are in seconds since 1970."""

    failures: int = 0
    closed_until: float = 0.0

    def wait(self, now: float) -> float:
        """Give the seconds for which nothing is to be sent; 0 lets one request through."""
        if now < self.closed_until:
            return self.closed_until - now
        if self.failures >= TRIES:
            self.closed_until = now + PROBE  # the others wait for what this one finds
        return 0.0

    def answered(self, closed_until: float) -> None:
        """The server answered sensibly. ``closed_until`` is as it was when the request was sent.

        What has closed it since then, an answer to another request has asked for; it is not undone by an older one.
        """
        self.failures = 0
        if self.closed_until == closed_until:
            self.closed_until = 0.0

    def failed(self, now: float, retry_after: float | None, known: int | None = None) -> None:
        """The server did not answer, or said that it cannot; ``retry_after`` is for all who ask it.

        ``known`` is the count when the request was sent: those that were under way together saw the same moment, so
        only one of them counts.
        """
        if known is None or known == self.failures:
            self.failures += 1
        if retry_after is not None:
            self.closed_until = max(self.closed_until, now + min(retry_after, LONGEST * 5))
        elif self.failures >= TRIES:
            pause = min(LONGEST, FIRST * 2 ** min(self.failures - TRIES, 10))
            self.closed_until = now + pause * random.uniform(0.5, 1.0)  # noqa: S311  # spreads triggerers

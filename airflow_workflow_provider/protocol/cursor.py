"""Which runs of a workflow have been dealt with: a moment, and a bounded set of recent ids beside it.

The times are those that the server gives its runs, so the clock of whoever watches plays no part.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from airflow_workflow_provider.protocol.model import Run

KEPT = 500  # ids of runs that are kept, at least
MOST = 1_500  # and at most: with `OPEN` below the 64 KB that Airflow allows a value
OPEN = 1_000  # ids of older runs that are still going
OVERLAP = 3_600.0  # seconds; a list may show a run that much late, and not only the last `KEPT` ones


@dataclass
class Cursor:
    """A run is settled when it has been dealt with, or had ended before anybody watched.

    ``done`` holds the recent ones with their starts (seconds since 1970, None if the server gives none). Whatever
    started at ``moment`` or before is settled too, but for ``open``: those were still going when the moment passed
    them. ``count`` tells which of two cursors is the newer one.
    """

    moment: float | None = None
    done: dict[str, float | None] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    count: int = 0

    def is_settled(self, run: Run) -> bool:
        """True for a run that needs no more attention."""
        mark, start = mark_of(run), start_of(run)
        if mark in self.done:
            return True
        return mark not in self.open and start is not None and self.moment is not None and start <= self.moment

    def settle(self, run: Run) -> None:
        """Take down that a run has been dealt with."""
        if self.is_settled(run):
            return
        self.count += 1
        mark, start = mark_of(run), start_of(run)
        self.open.discard(mark)
        if start is None or self.moment is None or start > self.moment:
            self.done[mark] = start

    def tidy(self, listed: Iterable[Run]) -> None:
        """Forget old ids by moving the moment past them; ``listed`` are all runs that the server shows."""
        timed = sorted((start, mark) for mark, start in self.done.items() if start is not None)
        surplus = len(self.done) - KEPT
        if surplus <= 0 or not timed:
            return
        recent = timed[-1][0] - OVERLAP
        bound = timed[min(surplus, len(timed)) - 1][0]
        if bound > recent:
            forced = len(self.done) - MOST
            older = [start for start, _ in timed if start <= recent] + [start for start, _ in timed[: max(forced, 0)]]
            if not older:
                return
            bound = max(older)
        going = {mark_of(run) for run in listed if not self.is_settled(run) and _began(run, bound)}
        if len(going | self.open) <= OPEN:
            going |= self.open  # one that is not listed may be a slip of the server's
        if len(going) <= OPEN:
            self.moment, self.open = max(bound, self.moment or bound), going
            self.done = {mark: start for mark, start in self.done.items() if start is None or start > bound}

    def to_json(self) -> dict[str, Any]:
        """Give what is stored. It may know fewer runs than the cursor, so that some fire again; never more."""
        newest = sorted(self.done.items(), key=lambda item: (item[1] is None, item[1] or 0.0))[-MOST:]
        return {
            "version": 1,
            "count": self.count,
            "moment": self.moment,
            "done": {mark: None if start is None else round(start, 3) for mark, start in newest},
            "open": sorted(self.open),
        }

    @classmethod
    def from_json(cls, value: Any) -> Cursor | None:
        """Read what was stored; None if it is no cursor."""
        if not isinstance(value, Mapping) or value.get("version") != 1:
            return None
        return cls(value.get("moment"), dict(value.get("done") or {}), set(value.get("open") or ()), value["count"])


def newest(cursors: Iterable[Cursor | None]) -> Cursor | None:
    """Give the cursor that knows most, with the ids that only the others know."""
    known = sorted((cursor for cursor in cursors if cursor), key=lambda cursor: cursor.count)
    if not known:
        return None
    done = {mark: start for cursor in known for mark, start in cursor.done.items()}
    last = known[-1]
    return Cursor(last.moment, done, last.open - done.keys(), last.count)


def mark_of(run: Run) -> str:
    """Give the short mark under which a run's id is kept: 48 bits of its hash."""
    return _mark(run.run_id)


@lru_cache(maxsize=10_000)  # each watcher asks for each listed run at each interval
def _mark(run_id: str) -> str:
    return urlsafe_b64encode(hashlib.blake2b(run_id.encode(), digest_size=6).digest()).decode()


def start_of(run: Run) -> float | None:
    """Give a run's start in seconds since 1970."""
    return None if run.started_at is None else round(run.started_at.timestamp(), 3)


def _began(run: Run, bound: float) -> bool:
    start = start_of(run)
    return start is not None and start <= bound

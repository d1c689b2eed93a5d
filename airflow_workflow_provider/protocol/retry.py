"""When to try again, and how long to wait before it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, cast

from airflow_workflow_provider.exceptions import ServerUnavailable, WorkflowError
from airflow_workflow_provider.protocol.effects import Flow, Request, Shared, Sleep, T, TransportError
from airflow_workflow_provider.protocol.times import as_utc

# 408 and 425 ask for the same request again; 5xx are the server's trouble, whatever else they mean
# (RFC 9110 section 15, RFC 8470). 501 and 505 are no passing trouble, but a proxy that restarts sends them too.
MAX_WAIT = 86_400.0  # seconds; what a server asks for beyond a day is a slip
TRANSIENT = frozenset({408, 425, 429})


def is_transient(status: int) -> bool:
    """True for an HTTP status that may be gone at the next try."""
    return status in TRANSIENT or status >= 500


@dataclass(frozen=True)
class Retry:
    """Full-jitter back-off: a random wait between 0 and ``base * 2**n`` seconds, at most ``cap``.

    ``attempts`` counts all tries. A ``Retry-After`` wins over the back-off; one above ``longest`` seconds ends
    the tries, so that the task can be retried later by Airflow instead of holding a worker.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 30.0
    longest: float = 300.0
    random: Callable[[], float] = random.random  # noqa: S311  # spreads waiters, guards nothing

    def delay(self, failures: int, retry_after: float | None = None) -> float:
        """Seconds to wait after this many failures in a row."""
        jitter: float = self.random() * min(self.cap, self.base * 2 ** min(failures, 16))
        # Waiters that were all told the same moment must not come back in the same moment.
        return jitter if retry_after is None else retry_after + min(jitter, 1.0)


RETRY = Retry()


def persist(make: Callable[[], Flow[T]], retry: Retry = RETRY) -> Flow[T]:
    """Run a flow again while the server is unavailable.

    Safe for a start as well: a start raises `ServerUnavailable` only when it certainly was not taken.
    """
    failures = 0
    while True:
        try:
            return (yield from make())
        except ServerUnavailable as error:
            failures += 1
            if failures >= retry.attempts or (error.retry_after or 0) > retry.longest:
                raise
            yield Sleep(retry.delay(failures, error.retry_after))


def urgently(flow: Flow[T]) -> Flow[T]:
    """Have every request of a flow sent even to a server that counts as down: it has no second chance."""
    reply: Any = None
    error: Exception | None = None
    try:
        while True:
            effect = flow.throw(error) if error else flow.send(reply)
            reply = error = None
            try:
                reply = yield _urgent(effect)
            except (TransportError, WorkflowError) as failure:
                error = failure
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        flow.close()


def _urgent(effect: Any) -> Any:
    if isinstance(effect, Request):
        return effect.changed(urgent=True)
    if isinstance(effect, Shared):
        return Shared(effect.key, lambda: urgently(effect.flow()))
    return effect


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Read a ``Retry-After`` header: seconds or an HTTP date (RFC 9110 section 10.2.3). None if unusable."""
    if not value:
        return None
    text = value.strip()
    if text.replace(".", "", 1).isdecimal():
        return min(float(text), MAX_WAIT) if isfinite(float(text)) else None
    try:
        moment = as_utc(parsedate_to_datetime(text))
        return None if moment is None else min(max(0.0, (moment - now).total_seconds()), MAX_WAIT)
    except (TypeError, ValueError, OverflowError):
        return None

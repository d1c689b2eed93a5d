"""When to try again, and how long to wait before it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from traceback import walk_tb
from typing import Any

from airflow_workflow_provider.exceptions import ProtocolError, ServerUnavailable, UnknownStart, WorkflowError
from airflow_workflow_provider.protocol.effects import (
    Flow,
    Note,
    Request,
    Shared,
    Sleep,
    T,
    TransportError,
    intercept,
)
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.policy import is_transient, treatment
from airflow_workflow_provider.protocol.redact import HIDDEN
from airflow_workflow_provider.protocol.text import REPLACEMENT
from airflow_workflow_provider.protocol.times import as_utc

__all__ = [
    "UNEXPECTED",
    "Retry",
    "guarded_start",
    "is_storable",
    "is_transient",
    "persist",
    "retry_after_seconds",
    "step",
    "understood",
    "urgently",
]
MAX_WAIT = 86_400.0  # seconds; what a server asks for beyond a day is a slip
PACKAGE = "airflow_workflow_provider."
UNREACHABLE_TRIES = 3  # tries where no connection can be made: the host may be wrong, and a person waits for the answer
# What code raises when an answer does not have the shape that it expects. The code of a system may come from another
# package, and raise what its libraries have, so around that code every `Exception` is one of these.
UNEXPECTED = (
    ArithmeticError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


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
    """Run a flow again while the server is unavailable; the first failure is logged at once.

    Safe for a start as well: a start raises `ServerUnavailable` only when it certainly was not taken.
    """
    failures = 0
    while True:
        try:
            return (yield from understood(make()))
        except WorkflowError as error:
            failures += 1
            asked = getattr(error, "retry_after", None)
            tries = min(retry.attempts, UNREACHABLE_TRIES) if _is_unreachable(error) else retry.attempts
            if not treatment(error).is_retried or failures >= tries or (asked or 0) > retry.longest:
                raise
            summary = error.summary
        if failures == 1:
            yield Note(f"{summary} It is tried again, {tries} times in all.", "warning")
        yield Sleep(retry.delay(failures, asked))


def _is_unreachable(error: WorkflowError) -> bool:
    return isinstance(error, ServerUnavailable) and error.is_unreachable


def understood(flow: Flow[T]) -> Flow[T]:
    """Turn what reading an answer of an unexpected shape raises into `ProtocolError`."""
    try:
        return (yield from flow)
    except (WorkflowError, TransportError):
        raise
    except Exception as error:  # noqa: BLE001  # whatever the code of a system raises
        misread = not_understood(error)
    raise misread  # here and not above: the chain of exceptions shows the answer


def step(flow: Flow[Any], reply: Any, error: Exception | None) -> Any:
    """Give a flow the reply to its last effect, or the error, and get the next effect; for drivers.

    Raises StopIteration at the end of the flow, and `ProtocolError` for what reading an odd answer raises in it.
    """
    try:
        return flow.throw(error) if error else flow.send(reply)
    except (StopIteration, WorkflowError, TransportError):
        raise
    except Exception as failure:  # noqa: BLE001  # whatever the code of a system raises
        misread = not_understood(failure)
    raise misread  # here and not above: the chain of exceptions shows the answer


def not_understood(error: BaseException) -> ProtocolError:
    """Make the error for an answer of a shape that the code does not expect."""
    return ProtocolError(f"The answer has an unexpected shape: {unexpected(error)}.")


def unexpected(error: BaseException) -> str:
    """Name an error of our code and its place, without its text, which can hold a part of the answer."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    if not frames:
        return type(error).__name__
    module = frames[-1].f_globals.get("__name__", "?")
    ours = [frame for frame in frames if str(frame.f_globals.get("__name__", "")).startswith(PACKAGE)]
    frame = ours[-1] if ours else frames[-1]
    return f"{type(error).__name__} in {frame.f_globals.get('__name__', module)}, line {frame.f_lineno}"


def guarded_start(flow: Flow[T]) -> Flow[T]:
    """Turn whatever goes wrong after a start was taken into `UnknownStart`, so that no retry starts another run.

    An id that can only be stored with parts replaced is none: no poll finds the run, and a retry would start another.
    """
    taken = ""

    def watched(effect: Any) -> Flow[Any]:
        nonlocal taken
        reply = yield effect
        if isinstance(effect, Request) and effect.starts and 200 <= reply.status < 300:
            taken = str(effect)
        return reply

    try:
        started = yield from intercept(flow, watched)
        if isinstance(started, Run):
            Run.from_json(started.to_json())  # what is stored now must be readable later
            if not is_storable(started):
                raise ProtocolError("its id holds characters or a secret that cannot be stored.")  # noqa: TRY301  # as below
    except UnknownStart:
        raise
    except Exception as error:  # whatever the code of a system raises
        if not taken:
            raise
        what = error.summary if isinstance(error, WorkflowError) else unexpected(error)
    else:
        return started
    raise UnknownStart(
        f"A run was started, and its id is not known: {what} Look for the run before another one is started."
        f"\n  request: {taken}"
    )


def is_storable(run: Run) -> bool:
    """False for an id of which parts were replaced, since they were a secret or no text: no poll finds such a run."""
    return REPLACEMENT not in run.run_id and HIDDEN not in run.run_id


def urgently(flow: Flow[T]) -> Flow[T]:
    """Have every request of a flow sent even to a server that counts as down: it has no second chance."""
    return intercept(flow, _urgent)


def _urgent(effect: Any) -> Flow[Any]:
    if isinstance(effect, Request):
        effect = effect.changed(urgent=True)
    elif isinstance(effect, Shared):
        make = effect.flow
        effect = Shared(effect.key, lambda: urgently(make()))
    return (yield effect)


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

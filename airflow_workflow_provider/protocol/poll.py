"""Waiting for a run: one flow for workers and the triggerer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    InvalidConnection,
    ProtocolError,
    RequestRejected,
    RunTimedOut,
    ServerUnavailable,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.effects import (
    Flow,
    Note,
    Now,
    Request,
    Response,
    Rest,
    RunList,
    Sleep,
    TransportError,
)
from airflow_workflow_provider.protocol.follow_log import LogFollower
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.pace import Pace, Steady
from airflow_workflow_provider.protocol.retry import Retry, understood, urgently

# While a run is going, what fails is the watching and not the run. A server that is down is asked ever more
# seldom; refused credentials or an unknown run may be a deployment or a replica that lags, but not for ever.
WATCH = Retry(base=1.0, cap=60.0)
REFUSALS = 5
REFUSED = (AuthenticationFailed, WorkflowNotFound, RequestRejected, InvalidConnection)


@dataclass(frozen=True)
class Trouble:
    """How many polls in a row failed, how many of these were refused, and how many said that there is no such run."""

    failures: int = 0
    refusals: int = 0
    unknown: int = 0

    def after(self, error: WorkflowError) -> Trouble:
        """Count one more failed poll."""
        return Trouble(
            self.failures + 1,
            self.refusals + 1 if isinstance(error, REFUSED) else 0,
            self.unknown + 1 if isinstance(error, WorkflowNotFound) else 0,
        )


FINE = Trouble()


class Echo:
    """Asks again what the last look asked, and knows the answer: while a server repeats itself, the run is as it was.

    A look that asks several times, or whose credentials change, is simply driven.
    """

    __slots__ = ("answer", "request")

    def __init__(self) -> None:
        self.request: Request | None = None
        self.answer = 0  # its hash

    def look(self, make: Callable[[Run], Flow[Run]], run: Run) -> Flow[Run]:
        """Look at the run; the answer is read only if it is a new one."""
        known, self.request = self.request, None
        first: Response | TransportError | None = None
        if known is not None:
            try:
                first = yield known
            except TransportError as error:
                first = error
            if isinstance(first, Response) and first.status == 200 and hash(first.body) == self.answer:
                self.request = known
                return run
        return (yield from self._driven(make(run), known, first))

    def _driven(self, flow: Flow[Run], known: Request | None, first: Response | TransportError | None) -> Flow[Run]:
        """Drive a look, which is given the answer that is there already, and remember what it asked."""
        asked: list[tuple[Request, Any]] = []
        reply: Any = None
        error: Exception | None = None
        try:
            while True:
                effect = flow.throw(error) if error else flow.send(reply)
                reply = error = None
                is_request = isinstance(effect, Request)
                if known and first and is_request and (effect.method, effect.url) == (known.method, known.url):
                    effect, reply, first = known, first, None
                    if isinstance(reply, TransportError):
                        reply, error = None, reply
                else:
                    try:
                        reply = yield effect
                    except (TransportError, WorkflowError) as failure:
                        error = failure
                if is_request:
                    asked.append((effect, reply))
        except StopIteration as end:
            self._remember(asked, end.value)
            return cast("Run", end.value)
        finally:
            flow.close()

    def _remember(self, asked: list[tuple[Request, Any]], run: Run) -> None:
        if len(asked) != 1:
            return
        ((request, reply),) = asked
        # A run that has an end and goes on all the same waits for something: there the time counts, too.
        if request.lasting and reply is not None and reply.status == 200 and run.ended_at is None:
            self.request, self.answer = request, hash(reply.body)


def wait(
    get_run: Callable[[Run], Flow[Run]],
    run: Run,
    *,
    poll_interval: float,
    deadline: float | None = None,
    watch: Retry = WATCH,
    pace: Pace | Steady | None = None,
    run_list: RunList | None = None,
    repeats: bool = False,
    log: LogFollower | None = None,
) -> Flow[Run]:
    """Poll a run until it has ended, and give the ended run, whatever its state.

    ``deadline`` is in seconds since 1970; when it passes, the run is looked at a last time, whatever the server's
    health, then `RunTimedOut` is raised. Transient errors never end the wait. Five refusals in a row do: in
    `WorkflowNotFound` where all say that the run is unknown, else in `ServerUnavailable`, so that Airflow's next try
    attaches to the run again. With a ``pace`` the interval adapts; with a ``run_list`` the driver may let one call
    answer for many waits. ``repeats`` says that an answer equal to the last one means an unchanged run.
    A ``log`` is followed meanwhile, at its own interval; what is left of it at the end is for the caller to read.
    """
    trouble, last = FINE, ""
    echo = Echo() if repeats else None
    pace = pace or Steady(poll_interval)
    if run_list:  # one who comes to a list that others share need not look alone at first
        now = yield Now()
        at_once = 0.0, pace.pause(run, now)[1]
        yield _rest(run, run_list, at_once, _left(deadline, now), pace.change(run, now))
    while True:
        now = yield Now()
        at_last = deadline is not None and now >= deadline
        try:
            run = yield from understood(_look(get_run, run, echo, at_last))
            if run.state.is_terminal:
                return run
            trouble, last = FINE, ""
        except (ServerUnavailable, ProtocolError, *REFUSED) as error:
            trouble, last = _borne(error, trouble, run), str(error)
            if trouble.failures == 1:
                yield Note(f"Run {run.run_id} cannot be looked at just now, still waiting for it: {error}", "warning")
            back_off = watch.delay(trouble.failures, _asked_for(error, watch))
        now = yield Now()
        if at_last:
            raise _timed_out(run, last)
        if log and not trouble.failures:
            yield from log.step(run)
            now = yield Now()
        left = _left(deadline, now)
        if run_list and not trouble.failures:
            limits = [limit for limit in (pace.change(run, now), log.left(now) if log else None) if limit is not None]
            yield _rest(run, run_list, pace.pause(run, now), left, min(limits, default=None))
            continue
        pause = pace.after(back_off, run, now) if trouble.failures else pace.pause(run, now)[0]
        yield from _sleep(pause if left is None else min(pause, left), None if trouble.failures else log, run)


def _sleep(seconds: float, log: LogFollower | None, run: Run) -> Flow[None]:
    """Sleep until the next poll; a log that is due before is read in between."""
    while log:
        now = yield Now()
        left = log.left(now)
        if left is None or left >= seconds:
            break
        yield Sleep(left)
        yield from log.step(run)
        seconds -= (yield Now()) - now
        if seconds <= 0:
            return
    yield Sleep(seconds)


def _borne(error: WorkflowError, trouble: Trouble, run: Run) -> Trouble:
    """Count one more failed poll, or raise when patience is at its end."""
    if isinstance(error, InvalidArgument):
        raise error
    trouble = trouble.after(error)
    if trouble.refusals >= REFUSALS:
        raise _given_up(error, run, gone=trouble.unknown >= REFUSALS) from error
    return trouble


def _look(get_run: Callable[[Run], Flow[Run]], run: Run, echo: Echo | None, at_last: bool) -> Flow[Run]:
    if at_last:
        return urgently(get_run(run))
    return echo.look(get_run, run) if echo else get_run(run)


def _left(deadline: float | None, now: float) -> float | None:
    return None if deadline is None else max(deadline - now, 0.0)


def _rest(run: Run, run_list: RunList, pause: tuple[float, float], left: float | None, change: float | None) -> Rest:
    """Rest for a pause with its interval, but no longer than is left, nor than until another interval holds."""
    seconds, interval = pause
    longest = min((limit for limit in (left, change) if limit is not None), default=None)
    return Rest(seconds if left is None else min(seconds, left), run.run_id, run_list, interval, longest)


def _given_up(error: WorkflowError, run: Run, *, gone: bool) -> WorkflowError:
    if gone:
        return WorkflowNotFound(f"run {run.run_id} is gone: {error}", status=error.status)
    return ServerUnavailable(
        f"run {run.run_id} may still be going, but {REFUSALS} polls in a row were refused: {error}",
        status=error.status,
    )


def _asked_for(error: WorkflowError, watch: Retry) -> float | None:
    """Give the wait that the server asked for, within reason: the run may end long before a wild ``Retry-After``."""
    wait = getattr(error, "retry_after", None)
    return None if wait is None else min(wait, watch.longest)


def _timed_out(run: Run, last: str) -> RunTimedOut:
    seen = f"it was last seen {run.state}" if not last else f"the last poll failed: {last}"
    return RunTimedOut(f"run {run.run_id} of {run.workflow or run.system} did not end in time; {seen}", run=run)

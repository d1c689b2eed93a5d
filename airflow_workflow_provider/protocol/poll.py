"""Waiting for a run: one flow for workers and the triggerer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    intercept,
)
from airflow_workflow_provider.protocol.follow_log import FollowsLog
from airflow_workflow_provider.protocol.model import Run, place_of
from airflow_workflow_provider.protocol.pace import Pace, Steady
from airflow_workflow_provider.protocol.retry import Retry, persist, understood, urgently

# While a run is going, what fails is the poll and not the run. A server that is down is polled at longer and longer
# intervals. Refused credentials or an unknown run may come from a deployment or a replica that lags, for a time.
WATCH = Retry(base=1.0, cap=60.0)
REFUSALS = 5
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds between the polls of `poll_enduringly`
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
            self.refusals + 1 if isinstance(error, REFUSED) or _is_too_large(error) else 0,
            self.unknown + 1 if isinstance(error, WorkflowNotFound) else 0,
        )


FINE = Trouble()


def _is_too_large(error: WorkflowError) -> bool:
    """Tell whether an answer was too large: it stays so. The next try polls on a worker, which reads larger ones."""
    return isinstance(error, ProtocolError) and error.is_too_large


class UnchangedResponseCache:
    """Sends the request of the last poll again: while the answer is the same, the run is as it was.

    A poll that sends several requests, or whose credentials change, is simply driven.
    """

    __slots__ = ("answer", "request")

    def __init__(self) -> None:
        self.request: Request | None = None
        self.answer = 0  # its hash

    def polled(self, make: Callable[[Run], Flow[Run]], run: Run) -> Flow[Run]:
        """Poll the run; the answer is read only if it is a new one."""
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
        """Drive a poll with the answer that was already received, and remember its request."""
        asked: list[tuple[Request, Any]] = []

        def answered(effect: Any) -> Flow[Any]:
            nonlocal first
            if not isinstance(effect, Request):
                return (yield effect)
            if known and first and (effect.method, effect.url) == (known.method, known.url):
                reply, first = first, None
                asked.append((known, None if isinstance(reply, TransportError) else reply))
                if isinstance(reply, TransportError):
                    raise reply
                return reply
            asked.append((effect, None))
            reply = yield effect
            asked[-1] = (effect, reply)
            return reply

        run = yield from intercept(flow, answered)
        self._remember(asked, run)
        return run

    def _remember(self, asked: list[tuple[Request, Any]], run: Run) -> None:
        if len(asked) != 1:
            return
        ((request, reply),) = asked
        # A run that has an end and goes on all the same waits for something: there the time counts, too.
        if request.lasting and reply is not None and reply.status == 200 and run.ended_at is None:
            self.request, self.answer = request, hash(reply.body)


class CredentialsRefused(BaseException):
    """Ends a watch that may go on after its owner has read the connection again: the credentials were refused.

    It is a signal to the owner and no `Exception`: what turns odd answers into `ProtocolError` must let it pass.
    """

    def __init__(self, error: WorkflowError) -> None:
        super().__init__(str(error))
        self.error = error


class Watch:
    """The wait for the end of one run, in either mode.

    ``deadline`` is in seconds since 1970. When it passes, the run is polled a last time, whatever the server's health,
    then `RunTimedOut` is raised. Transient errors never end the wait. Five refusals in a row do: in `WorkflowNotFound`
    where all say that the run is unknown, else in `ServerUnavailable`, so that Airflow's next try takes the run over.

    :param poll_interval: seconds between two polls of a young run; see `Pace`.
    :param first: seconds before the first poll.
    :param renews: raise `CredentialsRefused` when the server refuses the credentials. The owner reads the connection
        again and drives `flow` again; the counts of failed polls go on.
    """

    __slots__ = ("_back_off", "_first", "_last", "_pace", "_renews", "_retry", "_trouble", "deadline", "run")

    def __init__(
        self,
        run: Run,
        *,
        poll_interval: float,
        deadline: float | None = None,
        retry: Retry | None = None,
        pace: Pace | Steady | None = None,
        first: float = 0.0,
        renews: bool = False,
    ) -> None:
        self.run, self.deadline = run, deadline
        self._retry, self._pace = retry or WATCH, pace or Pace.of(run, poll_interval)
        self._first, self._renews = first, renews
        self._trouble, self._last = FINE, ""
        self._back_off: float | None = None  # seconds, while a refusal has interrupted the flow

    def flow(  # noqa: C901, PLR0912  # the whole wait is read in one place
        self,
        get_run: Callable[[Run], Flow[Run]],
        *,
        run_list: RunList | None = None,
        repeats: bool = False,
        is_renewed: bool = False,
        log: FollowsLog | None = None,
    ) -> Flow[Run]:
        """Poll until the run has ended, and give the ended run, whatever its state.

        With a ``run_list`` the driver may let one call answer for many waits. ``repeats`` says that an answer equal to
        the last one means an unchanged run. ``is_renewed`` says that the credentials are new since the last refusal.
        A ``log`` is followed meanwhile, at its own interval; what is left of it at the end is for the caller to read.
        """
        cache = UnchangedResponseCache() if repeats else None
        if self._back_off is not None and not is_renewed:
            yield from self._pause_after_failure(self._back_off)
        elif self._first:
            now = yield Now()
            left = _left(self.deadline, now)
            yield Sleep(self._first if left is None else min(self._first, left))
        self._first, self._back_off = 0.0, None
        if run_list and not self._trouble.failures:  # one who joins a shared list need not poll alone at first
            now = yield Now()
            at_once = 0.0, self._pace.pause(self.run, now)[1]
            yield _rest(self.run, run_list, at_once, _left(self.deadline, now), self._pace.change(self.run, now))
        while True:
            now = yield Now()
            at_last = self.deadline is not None and now >= self.deadline
            refused: AuthenticationFailed | None = None
            try:
                self.run = yield from understood(_polled(get_run, self.run, cache, at_last))
                if self.run.state.is_terminal:
                    return self.run
                self._trouble, self._last = FINE, ""
            except (ServerUnavailable, ProtocolError, *REFUSED) as error:
                self._trouble, self._last = _borne(error, self._trouble, self.run), error.summary
                if self._trouble.failures == 1:
                    yield Note(
                        f"Run {self.run.run_id} cannot be polled at the moment, it is tried again: {error.summary}",
                        "warning",
                    )
                back_off = self._retry.delay(self._trouble.failures, _asked_for(error, self._retry))
                refused = error if isinstance(error, AuthenticationFailed) else None
            now = yield Now()
            if at_last:
                raise _timed_out(self.run, self._last)
            if refused and self._renews:
                self._back_off = back_off
                raise CredentialsRefused(refused)
            if self._trouble.failures:
                yield from self._pause_after_failure(back_off)
                continue
            if log and log.is_due(self.run, now):
                yield from log.step(self.run)
                now = yield Now()
            # Thousands wait here: what these methods compute is not kept in variables of this one.
            if run_list:
                yield self._until_next(run_list, log, now)
            elif log:
                yield from _sleep(self._seconds_to_next(now), log, self.run)
            else:
                yield Sleep(self._seconds_to_next(now))

    def _until_next(self, run_list: RunList, log: FollowsLog | None, now: float) -> Rest:
        """Rest until the next poll, until another interval holds, or until the log is due."""
        limits = (self._pace.change(self.run, now), log.left(now) if log else None)
        change = min((limit for limit in limits if limit is not None), default=None)
        return _rest(self.run, run_list, self._pace.pause(self.run, now), _left(self.deadline, now), change)

    def _seconds_to_next(self, now: float) -> float:
        left, (seconds, _) = _left(self.deadline, now), self._pace.pause(self.run, now)
        return seconds if left is None else min(seconds, left)

    def _pause_after_failure(self, back_off: float) -> Flow[None]:
        now = yield Now()
        left, pause = _left(self.deadline, now), self._pace.after(back_off, self.run, now)
        yield Sleep(pause if left is None else min(pause, left))


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
    log: FollowsLog | None = None,
) -> Flow[Run]:
    """Wait for the end of a run as `Watch` does, at a steady interval and without reading the credentials again."""
    one = Watch(run, poll_interval=poll_interval, deadline=deadline, retry=watch, pace=pace or Steady(poll_interval))
    return one.flow(get_run, run_list=run_list, repeats=repeats, log=log)


def _sleep(seconds: float, log: FollowsLog, run: Run) -> Flow[None]:
    """Sleep until the next poll; a log that is due before is read in between."""
    while True:
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


def poll_before_deferral(get_run: Callable[[Run], Flow[Run]], run: Run) -> Flow[Run]:
    """Poll a run once before its task defers: a run that ends at once ends here.

    A deferral takes Airflow seconds, and a trigger that fires within them can fail its task (apache/airflow#71580), so
    the trigger also waits some seconds before its first poll. What goes wrong here is for that wait.
    """
    try:
        return (yield from understood(get_run(run)))
    except InvalidArgument:
        raise
    except (ServerUnavailable, ProtocolError, *REFUSED):
        return run


def poll_enduringly(
    get_run: Callable[[Run], Flow[Run]], run: Run, enduring: tuple[type[WorkflowError], ...] = REFUSED
) -> Flow[Run]:
    """Poll a run until one poll is answered: a replica may lag, or a deployment be under way.

    Five refusals end it as they end a wait: in `WorkflowNotFound` if all of them say that the run is unknown, else in
    `ServerUnavailable`.
    """
    trouble = FINE
    for pause in (*PAUSES, 0.0):
        try:
            return (yield from persist(lambda: get_run(run)))
        except InvalidArgument:
            raise
        except enduring as error:
            trouble = _borne(error, trouble, run)
        yield Sleep(pause)
    raise ProtocolError(f"run {run.run_id}: the polls gave nothing")  # five refusals have raised before


def _borne(error: WorkflowError, trouble: Trouble, run: Run) -> Trouble:
    """Count one more failed poll, or raise after too many."""
    if isinstance(error, InvalidArgument):
        raise error
    trouble = trouble.after(error)
    if trouble.refusals >= REFUSALS:
        raise _given_up(error, run, gone=trouble.unknown >= REFUSALS) from error
    return trouble


def _polled(
    get_run: Callable[[Run], Flow[Run]], run: Run, cache: UnchangedResponseCache | None, at_last: bool
) -> Flow[Run]:
    if at_last:
        return urgently(get_run(run))
    return cache.polled(get_run, run) if cache else get_run(run)


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
    return RunTimedOut(f"the run did not end in time; {seen}\n{place_of(run)}", run=run)

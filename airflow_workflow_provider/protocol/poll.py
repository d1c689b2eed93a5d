"""Waiting for a run: one flow for workers and the triggerer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
from airflow_workflow_provider.protocol.effects import Flow, Note, Now, Sleep
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.retry import Retry

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


def wait(
    get_run: Callable[[Run], Flow[Run]],
    run: Run,
    *,
    poll_interval: float,
    deadline: float | None = None,
    watch: Retry = WATCH,
) -> Flow[Run]:
    """Poll a run until it has ended, and give the ended run, whatever its state.

    ``deadline`` is in seconds since 1970; when it passes, the run is looked at a last time, then `RunTimedOut`
    is raised. Transient errors never end the wait. Five refusals in a row do: in `WorkflowNotFound` where all
    say that the run is unknown, else in `ServerUnavailable`, so that Airflow's next try attaches to the run again.
    """
    trouble, last = Trouble(), ""
    while True:
        started = yield Now()
        try:
            run = yield from get_run(run)
            if run.state.is_terminal:
                return run
            trouble, last, pause = Trouble(), "", poll_interval
        except InvalidArgument:
            raise
        except (ServerUnavailable, ProtocolError, *REFUSED) as error:
            trouble, last = trouble.after(error), str(error)
            if trouble.refusals >= REFUSALS:
                raise _given_up(error, run, gone=trouble.unknown >= REFUSALS) from error
            if trouble.failures == 1:
                yield Note(f"Run {run.run_id} cannot be looked at just now, still waiting for it: {error}", "warning")
            pause = max(poll_interval, watch.delay(trouble.failures, _asked_for(error, watch)))
        now = yield Now()
        if deadline is not None and now >= deadline and started >= deadline:
            raise _timed_out(run, last)
        yield Sleep(pause if deadline is None else min(pause, max(deadline - now, 0.0)))


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

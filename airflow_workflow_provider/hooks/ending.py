"""The end of a run, the same whichever way it was awaited."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow_workflow_provider.exceptions import (
    ProtocolError,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.model import Run, RunState

# What a trigger's event says beside the words of `RunState`.
TIMEOUT, UNAVAILABLE, NOT_FOUND = "timeout", "unavailable", "not_found"
_ENDS: Mapping[RunState, type[RunFailed | RunCancelled]] = {
    RunState.FAILED: RunFailed,
    RunState.CANCELLED: RunCancelled,
}


def succeeded(run: Run) -> Run:
    """Give a run that succeeded; raise `RunFailed` or `RunCancelled` for another end."""
    if run.state is RunState.SUCCEEDED:
        return run
    if run.state not in _ENDS:
        raise ProtocolError(f"run {run.run_id} was taken for ended, but is {run.state}")
    said = run.message or "the system gives no reason"
    place = f" ({run.url})" if run.url else ""
    text = (
        f"run {run.run_id} of {run.workflow or run.system} was {run.state}"
        if run.state is RunState.CANCELLED
        else (f"run {run.run_id} of {run.workflow or run.system} failed")
    )
    raise _ENDS[run.state](f"{text}: {said}{place}", run=run)


def event_of(run: Run, error: WorkflowError | None = None) -> dict[str, Any]:
    """Make a trigger's event from what its wait came to."""
    if isinstance(error, RunTimedOut):
        status = TIMEOUT
    elif error is not None:
        status = NOT_FOUND if isinstance(error, WorkflowNotFound) else UNAVAILABLE
    else:
        status = run.state.value
    return {"status": status, "run": run.to_json(), "message": str(error) if error else run.message}


def run_of_event(event: Any) -> Run:
    """Read a trigger's event: give the run that ended, or raise what its wait ended in.

    The event crosses the metadata database between two processes, so anything else in it fails loudly.
    """
    if not isinstance(event, Mapping) or "status" not in event or "run" not in event:
        raise ProtocolError(f"the trigger gave no event of ours: {event!r:.200}")
    run, status, message = Run.from_json(event["run"]), event["status"], str(event.get("message") or "")
    if status == TIMEOUT:
        raise RunTimedOut(message, run=run)
    if status == NOT_FOUND:
        raise WorkflowNotFound(message)
    if status == UNAVAILABLE:
        raise ServerUnavailable(message)
    if status != run.state.value:
        raise ProtocolError(f"the trigger's event says {status!r} of a run that is {run.state}")
    return run


def deadline_of(
    begun: datetime | None, timeout: Any, task_started: datetime | None, execution_timeout: timedelta | None
) -> float | None:
    """Give the moment (seconds since 1970) when a wait is over, or None.

    ``timeout`` belongs to the remote run and counts from its start; ``execution_timeout`` belongs to the task.
    The task's own end comes a little early, so that there is time to cancel the run before Airflow ends the task.
    """
    limit = seconds_of("timeout", timeout)
    ends = [begun.timestamp() + limit] if limit is not None and begun is not None else []
    if execution_timeout is not None and task_started is not None:
        total = execution_timeout.total_seconds()
        ends.append(task_started.timestamp() + total - min(10.0, total / 10))
    return min(ends, default=None)

"""Runs that nobody waits for any more: cancelled without hiding why, or left to the next try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_workflow_provider.exceptions import CancelNotSupported, TaskStopped, WorkflowNotFound
from airflow_workflow_provider.operators.memory import Memory
from airflow_workflow_provider.protocol.capabilities import CanCancel
from airflow_workflow_provider.protocol.model import Run

if TYPE_CHECKING:
    from airflow_workflow_provider.operators.workflow import RunWorkflowOperator
    from airflow_workflow_provider.protocol.system import WorkflowSystem

BRIEF = 2.0  # seconds; Airflow 3 kills a task's process 5 seconds after it asked it to stop


def stop_waiting(task: Any) -> None:
    """Make what a task waits for end soon. Safe in a signal handler: it does not even read a connection.

    The handler may have interrupted just that, and would wait for what only the interrupted code can release.
    """
    hook = vars(task).get("hook")
    if hook is not None and "client" in vars(hook):
        hook.client.stop()


def stop(operator: RunWorkflowOperator, run: Run | None) -> None:
    """Stop waiting and, unless forbidden, cancel the run with one short call."""
    stop_waiting(operator)
    if run is None or run.state.is_terminal:
        return
    if operator.cancel_on_kill:
        cancel_quietly(run, operator.log, "the task was killed", at_once=operator.hook.system)
    else:
        operator.log.info("The task was killed; run %s goes on, as cancel_on_kill=False asks for", run.run_id)


def unless_killed(operator: RunWorkflowOperator, run: Run) -> Run:
    """Give a run as it was seen; what is seen after a kill is our own doing, and not how the run went."""
    if operator.killed:
        raise TaskStopped(f"the task was killed while it waited for run {run.run_id}")
    return run


def cancel_quietly(run: Run, log: Any, why: str, *, at_once: WorkflowSystem | None = None) -> None:
    """Ask the system to stop a run; what goes wrong is logged and never raised over the reason.

    ``at_once`` is a system that is logged in already: it gets one short call, which is all that fits into the
    seconds between being told to stop and being killed.
    """
    from airflow_workflow_provider.client.worker import WorkerClient
    from airflow_workflow_provider.hooks.connections import load_system, mask
    from airflow_workflow_provider.protocol.retry import Retry, persist

    try:
        system = at_once or load_system(run.system, run.conn_id)
        transport = system.transport.within(BRIEF) if at_once else system.transport
        # A client of its own: the task's may be in the middle of a call when a signal handler gets here.
        client = WorkerClient(transport, mask=mask, logger=log)
        client.run(persist(lambda: system.require(CanCancel).cancel(run), Retry(attempts=1 if at_once else 4)))
    except CancelNotSupported as error:
        log.warning("Run %s: %s; %s", run.run_id, why, error)
    except Exception as error:  # noqa: BLE001  # the reason for stopping is the task's outcome, not this
        log.warning("Run %s: %s, but it could not be cancelled and may go on: %s", run.run_id, why, error)
    else:
        log.info("Run %s: %s, so it was cancelled", run.run_id, why)


def leave(operator: RunWorkflowOperator, context: Mapping[str, Any], run: Run | None, error: Exception) -> None:
    """An error ends this try while the run goes on: the next try takes the run over, or else it is cancelled."""
    if run is None or run.state.is_terminal or isinstance(error, (WorkflowNotFound, TaskStopped)):
        return  # there is nothing to leave, or `on_kill` has seen to it
    ti = context["ti"]
    tries_left = ti.try_number <= ti.max_tries and not isinstance(error, AirflowFailException)
    # What the next try does not know of, it cannot take over: an earlier note of it may have failed.
    if tries_left and operator.reattach and Memory(context, operator.retries or 0).holds(run):
        operator.log.info("Run %s goes on; the next try takes it over", run.run_id)
    elif operator.cancel_on_kill:
        cancel_quietly(run, operator.log, f"nobody will wait for it any more ({error})")
    else:
        operator.log.warning("Run %s goes on with nobody waiting for it (cancel_on_kill=False)", run.run_id)

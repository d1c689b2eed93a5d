"""Runs that nobody waits for any more: cancelled without hiding why, or left to the next try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, mask_secret

from airflow_workflow_provider.exceptions import CancelNotSupported, TaskStopped, WorkflowNotFound
from airflow_workflow_provider.operators.memory import Memory
from airflow_workflow_provider.protocol.model import Run

if TYPE_CHECKING:
    from airflow_workflow_provider.operators.workflow import RunWorkflowOperator
    from airflow_workflow_provider.protocol.system import WorkflowSystem

BRIEF = 2.0  # seconds; Airflow 3 kills a task's process 5 seconds after it asked it to stop


def cancel_quietly(run: Run, log: Any, why: str, *, at_once: WorkflowSystem | None = None) -> None:
    """Ask the system to stop a run; what goes wrong is logged and never raised over the reason.

    ``at_once`` is a system that is logged in already: it gets one short call, which is all that fits into the
    seconds between being told to stop and being killed.
    """
    from airflow_workflow_provider.client.worker import WorkerClient
    from airflow_workflow_provider.hooks.connections import load_system
    from airflow_workflow_provider.protocol.retry import Retry, persist

    try:
        system = at_once or load_system(run.system, run.conn_id)
        transport = system.transport.within(BRIEF) if at_once else system.transport
        # A client of its own: the task's may be in the middle of a call when a signal handler gets here.
        client = WorkerClient(transport, mask=mask_secret, logger=log)
        client.run(persist(lambda: system.cancel(run), Retry(attempts=1 if at_once else 4)))
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
    if tries_left and operator.reattach and Memory(context).works:
        operator.log.info("Run %s goes on; the next try takes it over", run.run_id)
    elif operator.cancel_on_kill:
        cancel_quietly(run, operator.log, f"nobody will wait for it any more ({error})")
    else:
        operator.log.warning("Run %s goes on with nobody waiting for it (cancel_on_kill=False)", run.run_id)

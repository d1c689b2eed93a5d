"""Cancelling a run that nobody waits for any more, without hiding why."""

from __future__ import annotations

from typing import Any

from airflow_workflow_provider.exceptions import CancelNotSupported
from airflow_workflow_provider.protocol.model import Run

BRIEF = 2.0  # seconds; Airflow 3 kills a task's process 5 seconds after it asked it to stop


def cancel_quietly(run: Run, log: Any, why: str, *, brief: bool = False) -> None:
    """Ask the system to stop a run; what goes wrong is logged and never raised over the reason.

    ``brief`` makes one short call, for the seconds between being told to stop and being killed.
    """
    from airflow_workflow_provider.client.worker import WorkerClient
    from airflow_workflow_provider.hooks.connections import load_system
    from airflow_workflow_provider.protocol.retry import Retry, persist

    try:
        system = load_system(run.system, run.conn_id)
        transport = system.transport.within(BRIEF) if brief else system.transport
        # A client of its own: the task's may be in the middle of a call when a signal handler gets here.
        client = WorkerClient(transport, logger=log)
        client.run(persist(lambda: system.cancel(run), Retry(attempts=1 if brief else 4)))
    except CancelNotSupported as error:
        log.warning("Run %s: %s; %s", run.run_id, why, error)
    except Exception as error:  # noqa: BLE001  # the reason for stopping is the task's outcome, not this
        log.warning("Run %s: %s, but it could not be cancelled and may go on: %s", run.run_id, why, error)
    else:
        log.info("Run %s: %s, so it was cancelled", run.run_id, why)

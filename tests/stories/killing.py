"""How Airflow ends a task that waits, played as each Airflow does it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from airflow.triggers.base import BaseTrigger

from scripts.airflow_home import AIRFLOW_3
from tests.operators.staging import TaskInstance, first_event


class Supervisor:
    """What answers a triggerer of Airflow 3 that asks for the state of tasks."""

    def __init__(self, task_id: str, run_id: str, state: str) -> None:
        self.states = {run_id: {task_id: state}}

    def send(self, message: Any) -> Any:
        """Answer ``GetTaskStates``; a secret to be masked wants no answer."""
        if type(message).__name__ == "MaskSecret":
            return None
        assert type(message).__name__ == "GetTaskStates"
        return SimpleNamespace(task_states=self.states)


def task_is(ti: TaskInstance, state: str, monkeypatch: Any) -> None:
    """Let Airflow believe that a task instance is in a state, as somebody's click has left it."""
    if AIRFLOW_3:
        from airflow.sdk.execution_time import task_runner

        comms = Supervisor(ti.task_id, ti.run_id, state)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
        return
    from airflow import models
    from airflow.providers.common.compat.sdk import DAG
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.utils.session import create_session

    # Airflow 2's models, which type checkers see as Airflow 3's.
    DagRun, Row = cast("Any", models.DagRun), cast("Any", models.TaskInstance)  # noqa: N806  # classes
    with create_session() as session:
        known = session.query(DagRun).filter_by(dag_id=ti.dag_id, run_id=ti.run_id).first()
        if known is None:
            session.add(DagRun(ti.dag_id, ti.run_id, execution_date=datetime.now(UTC), run_type="manual"))
        task = EmptyOperator(task_id=ti.task_id, dag=DAG(ti.dag_id, schedule=None))
        session.merge(Row(task=task, run_id=ti.run_id, state=state))


async def killed(trigger: Any, ti: TaskInstance, when: Callable[[], None]) -> None:
    """Kill a deferred task once ``when`` returns: Airflow cancels the trigger and, since 3.3, calls ``on_kill``."""
    trigger.task_instance = ti
    waiting = asyncio.ensure_future(first_event(trigger))
    await asyncio.to_thread(when)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    if hasattr(BaseTrigger, "on_kill"):
        await trigger.on_kill()

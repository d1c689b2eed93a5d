"""Was a deferred task killed by a user, or did its trigger just move? Every Airflow tells it differently."""

from __future__ import annotations

import logging
from typing import Any

from airflow.triggers.base import BaseTrigger
from asgiref.sync import sync_to_async

from airflow_workflow_provider.hooks.supervisor import ask

log = logging.getLogger(__name__)
DEFERRED = "deferred"


def kill_is_announced(trigger: BaseTrigger) -> bool:
    """True where Airflow calls ``on_kill`` itself (3.3+)."""
    return hasattr(BaseTrigger, "on_kill")


async def was_killed(trigger: BaseTrigger) -> bool:
    """True when the task is not deferred any more, so no task waits for the run.

    A trigger that moves to another triggerer, or is stopped with it, leaves its task deferred. When the state
    cannot be found out the answer is False: a run that goes on is better than one that is cancelled by mistake.
    """
    ti: Any = getattr(trigger, "task_instance", None)
    if ti is None:
        return False
    try:
        state = await _state(ti, trigger.trigger_id)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not cancel a run
        log.warning("The state of the killed task is not known, so its run is not cancelled: %s", error)
        return False
    return str(getattr(state, "value", state) or "") != DEFERRED


async def _state(ti: Any, trigger_id: Any) -> Any:
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:
        return await sync_to_async(_state_in_database)(ti, trigger_id)
    get_states = sync_to_async(RuntimeTaskInstance.get_task_states)
    place = {"dag_id": ti.dag_id, "task_ids": [ti.task_id], "run_ids": [ti.run_id], "map_index": ti.map_index}
    states = await ask(lambda: get_states(**place))
    return _of_run(states, ti)


def _of_run(states: Any, ti: Any) -> Any:
    """Pick the task's state; the keys of mapped tasks carry their index in some releases."""
    by_task = states.get(ti.run_id) or {}
    names = (ti.task_id, f"{ti.task_id}_{ti.map_index}")
    return next((by_task[name] for name in names if name in by_task), None)


def _state_in_database(ti: Any, trigger_id: Any) -> Any:
    """Airflow 2: the triggerer may read the metadata database.

    A cleared task may be deferred again by now: then it waits for another trigger's row. One that moves to another
    triggerer keeps its row.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        found = (
            session.query(TaskInstance.state, TaskInstance.trigger_id)
            .filter_by(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
            .one_or_none()
        )
    if found is None:
        return None
    state, waits_for = found
    return "deferred again" if state == DEFERRED and waits_for not in (None, trigger_id) else state

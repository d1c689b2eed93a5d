"""Who kills, clears or marks a deferred task does not want its run any more; a trigger that only moves does.

Airflow 3.3 calls ``on_kill``, for a move and for a lingering trigger as well; the Airflows below it just cancel the
coroutine. Whether the task is still deferred tells a kill from a move.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator
from airflow.triggers.base import BaseTrigger

from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger
from scripts.airflow_home import AIRFLOW_3
from tests.operators.carto_stage import SLOW
from tests.operators.staging import revived

ANNOUNCED = hasattr(BaseTrigger, "on_kill")
TASK = {"dag_id": "killed_dag", "task_id": "run", "run_id": "manual__1", "map_index": -1}


@pytest.fixture
def state_is(request, mocker):
    """Tell Airflow in which state the task instance is now: nothing but a whole Airflow could ask itself."""
    if AIRFLOW_3:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        def tell(state):
            states = {TASK["run_id"]: {TASK["task_id"]: state}}
            mocker.patch.object(RuntimeTaskInstance, "get_task_states", return_value=states)

        return tell
    return in_database


def in_database(state):
    """Write a task instance into the metadata database of Airflow 2."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    with DAG(dag_id=TASK["dag_id"], schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        BaseOperator(task_id=TASK["task_id"])
    with create_session() as session:
        for model in (TaskInstance, DagRun, DagModel):
            session.query(model).filter_by(dag_id=TASK["dag_id"]).delete()
        session.add(DagModel(dag_id=TASK["dag_id"]))
        run = DagRun(dag_id=TASK["dag_id"], run_id=TASK["run_id"], run_type=DagRunType.MANUAL)
        session.add(run)
        session.flush()
        session.add(TaskInstance(dag.get_task(TASK["task_id"]), run_id=TASK["run_id"], state=state))


@pytest.fixture
def waiting(carto):
    """A run that is going, and the trigger that waits for it."""
    run = CartoHook().start_run(carto["slow"], SLOW)

    def made(**more):
        given = {"system": "carto", "conn_id": "carto_default", "run": run.to_json(), "poll_interval": 30.0, **more}
        trigger = revived(WorkflowRunTrigger(**given))
        trigger.task_instance = SimpleNamespace(**TASK)
        return trigger

    return made


async def seen(carto, method):
    """Wait until the server has a request of this method before it."""
    async with asyncio.timeout(15):
        while not [line for line in carto.asked() if line.startswith(method)]:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.01)


async def stop(trigger):
    """Stop a trigger that waits as the installed Airflow does it."""
    events = trigger.run()
    waits = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.15)
    assert not waits.done()
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    if ANNOUNCED:
        await trigger.on_kill()


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "scheduled", "queued", "running", "restarting"])
async def test_a_task_that_is_not_deferred_any_more_was_killed(carto, waiting, state_is, state):
    """Marked, cleared or failed: its run is cancelled."""
    state_is(state)
    await stop(waiting())
    assert carto.states() == ["cancelled"]


async def test_a_trigger_that_moves_cancels_nothing(carto, waiting, state_is):
    """To another triggerer, or since its own is restarted: its task is still deferred."""
    state_is("deferred")
    await stop(waiting())
    assert carto.states() == ["running"]


async def test_a_kill_may_leave_the_run_alone(carto, waiting, state_is):
    state_is("failed")
    await stop(waiting(cancel_on_kill=False))
    assert carto.states() == ["running"]


async def test_when_the_state_cannot_be_found_out_nothing_is_cancelled(carto, waiting):
    """A run that goes on is better than one that is cancelled by mistake."""
    trigger = waiting()
    trigger.task_instance = None
    await stop(trigger)
    assert carto.states() == ["running"]


async def test_a_server_that_refuses_the_cancel_does_not_break_the_kill(carto, waiting, state_is):
    state_is("failed")
    carto.fault("status", "/job/", method="DELETE", status=403)
    await stop(waiting())
    assert carto.states() == ["running"]


async def test_a_cancel_is_sent_though_the_server_asked_for_a_pause(carto, waiting, state_is):
    """A kill is worth one request; nobody comes back to cancel the run later. Others wait on the same connection."""
    state_is("failed")
    other = asyncio.ensure_future(anext(waiting().run()))
    await seen(carto, "GET")
    carto.fault("status", "/job/", method="GET", status=429, headers={"Retry-After": "120"})
    await stop(waiting())
    assert carto.states() == ["cancelled"]
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_a_trigger_that_has_fired_cancels_nothing(carto, state_is):
    """Airflow kills it as well when it lingers; its task is not deferred any more, but was not killed."""
    state_is("running")
    run = CartoHook().start_run(carto["every_type"])
    trigger = revived(WorkflowRunTrigger("carto", "carto_default", run.to_json(), 0.02))
    trigger.task_instance = SimpleNamespace(**TASK)
    events = trigger.run()
    await anext(events)
    asked = carto.asked()
    if ANNOUNCED:
        await trigger.on_kill()
    await events.aclose()
    assert carto.asked() == asked


async def test_the_cancel_goes_through_though_airflow_cancels_again(carto, waiting, state_is):
    """Airflow is impatient with a trigger that is being killed."""
    state_is("failed")
    carto.fault("slow", "/job/", method="DELETE", seconds=0.3)
    trigger = waiting()
    waits = asyncio.ensure_future(anext(trigger.run()))
    await seen(carto, "GET")
    waits.cancel()
    killing = asyncio.ensure_future(trigger.on_kill()) if ANNOUNCED else waits
    await seen(carto, "DELETE")
    killing.cancel()
    await asyncio.gather(waits, killing, return_exceptions=True)
    await asyncio.to_thread(carto.ended)
    assert carto.states() == ["cancelled"]


@pytest.mark.skipif(not ANNOUNCED, reason="Airflow below 3.3 does not call on_kill")
async def test_where_airflow_announces_a_kill_a_mere_cancellation_cancels_nothing(carto, waiting, state_is):
    """Or the run would be cancelled when the triggerer is shut down."""
    state_is("failed")
    waits = asyncio.ensure_future(anext(waiting().run()))
    await asyncio.sleep(0.15)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert carto.states() == ["running"]

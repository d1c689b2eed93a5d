"""Credentials that are changed in the connection while a task waits are read again within the try, in both modes."""

from __future__ import annotations

import asyncio

import pytest

from airflow_workflow_provider.exceptions import ServerUnavailable
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.protocol.lifecycle import run_of_event
from airflow_workflow_provider.sandbox.carto.tokens import Token
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger
from tests.operators.staging import MODES, TaskInstance, TaskStateStore, context_of, executed, first_event, hurried

OLD, NEW = "sandbox-carto-token", "rotated-carto-token"


@pytest.fixture
def rotate(carto):
    """Let the server take another token; the function changes the connection and revokes the old token."""
    known = carto.sandbox.app.systems["carto"].api.tokens.known
    carto.sandbox.call(lambda: known.update({NEW: Token()}))

    def changed():
        carto.define("carto_default", {**carto.sandbox.connections()["carto_default"], "password": NEW})
        carto.settings(revoked_tokens=[OLD])

    return changed


def refused(carto):
    """How many requests the server has refused."""
    return len([one for one in carto.sandbox.requests("carto") if one["status"] == 401])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("who", ["operator", "sensor"])
def test_a_wait_goes_on_with_the_new_credentials(carto, rotate, mode, who):
    run = CartoHook().start_run(carto["slow"], {"seconds": 0.6})
    ti = TaskInstance()

    def make():
        given = {"task_id": "run_workflow", "deferrable": mode == "deferrable"}
        if who == "sensor":
            return CartoWorkflowRunSensor(run=run, poke_interval=0.05, timeout=20, **given)
        return CartoRunWorkflowOperator(
            workflow=carto["slow"], query_parameters={"seconds": 0.6}, poll_interval=0.05, **given
        )

    class Rotating(TaskInstance):
        """The credentials change right after the run can be seen."""

        def xcom_push(self, key, value):
            super().xcom_push(key, value)
            if key.startswith("_link"):
                rotate()

    ti = Rotating()
    assert executed(make, context_of(ti, TaskStateStore()))["state"] == "succeeded"
    assert refused(carto) <= 2


def test_a_server_that_also_refuses_the_new_credentials_ends_the_try(carto, rotate):
    operator = CartoRunWorkflowOperator(
        task_id="t", workflow=carto["slow"], query_parameters={"seconds": 60}, poll_interval=1
    )
    hurried(operator.hook)
    carto.fault("status", "/job/", status=401, times=None, method="GET")
    with pytest.raises(ServerUnavailable, match="5 polls in a row were refused"):
        operator.execute(context_of(TaskInstance(max_tries=1), TaskStateStore()))


def test_all_who_wait_with_a_connection_share_one_reading_of_it(carto, rotate):
    """A refusal of each of them would be thousands of refusals, and as many readings."""
    waiters = 20
    hook = CartoHook()
    runs = [hook.start_run(carto["slow"], {"seconds": 1.5}) for _ in range(waiters)]

    async def waited():
        triggers = [WorkflowRunTrigger("carto", "carto_default", run.to_json(), 0.2) for run in runs]
        tasks = [asyncio.create_task(first_event(trigger)) for trigger in triggers]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(rotate)
        return await asyncio.gather(*tasks)

    events = asyncio.run(waited())
    assert {run_of_event(event).state.value for event in events} == {"succeeded"}
    assert refused(carto) <= 2 * waiters

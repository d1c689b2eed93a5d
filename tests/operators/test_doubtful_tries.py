"""Tries that cannot be sure: a refusal that passes, ``retries`` that were changed, a note that failed."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.run_store import RunStore
from tests.operators.carto_stage import SLOW
from tests.operators.staging import MODES, TaskInstance, TaskStateStore, context_of
from tests.operators.test_tries import Task


@pytest.fixture(params=MODES)
def task(request, carto):
    return Task(carto, request.param)


class Deaf(TaskInstance):
    """A task instance whose XComs cannot be pushed, as while the API server restarts."""

    def xcom_push(self, key, value):
        raise RuntimeError("the API server restarts")


class Forgetful(TaskStateStore):
    """A store that takes the intent and nothing else."""

    def set(self, key, value, *, retention=None):
        if self.history:
            raise RuntimeError("the API server restarts")
        super().set(key, value)


def test_a_run_that_is_not_found_for_a_moment_is_taken_over(carto, task):
    """A replica that lags, or a deployment: one answer does not make a run gone."""
    left = task.left()
    carto.fault("status", "/job/", method="GET", status=404, times=4)
    task.retried()
    task.hurry = True
    assert task.tried()["run_id"] == left["run_id"]
    assert carto.states() == ["success"]


def test_a_clear_cancels_a_run_that_is_not_found_for_a_moment(carto, task):
    task.left(query_parameters=SLOW)
    carto.fault("status", "/job/", method="GET", status=404)
    task.cleared()
    task.tried(query_parameters={"seconds": 0.1})
    assert carto.states() == ["cancelled", "success"]


def test_a_clear_after_retries_were_lowered_is_a_clear(carto, task):
    """It sets ``max_tries`` to the tries so far and ``retries`` more, which is the old number then."""
    task.ti.max_tries = 1
    first = task.tried(retries=1)
    task.ti = TaskInstance(try_number=2, max_tries=1)
    assert task.tried(retries=0)["run_id"] != first["run_id"]
    assert carto.states() == ["success", "success"]


def test_a_retry_after_retries_were_raised_takes_its_run_over(carto, task):
    left = task.left(retries=2)
    task.retried()
    assert task.tried(retries=3)["run_id"] == left["run_id"]


def test_what_an_older_version_of_this_package_kept_is_understood(carto, task):
    left = task.left()
    kept = task.store.get("workflow_run")
    del kept["retries"]
    task.store.set("workflow_run", kept)
    task.retried()
    assert task.tried()["run_id"] == left["run_id"]


def test_an_error_right_after_the_start_does_not_leave_the_run_to_nobody(carto, task):
    """Whatever it is: with no next try that knows the run, it is cancelled."""
    task.ti = Deaf(try_number=3, max_tries=2)
    with pytest.raises(RuntimeError):
        task.tried(query_parameters=SLOW)
    assert carto.states() == ["cancelled"]


def test_an_error_right_after_the_start_leaves_the_run_to_the_next_try(carto, task):
    task.ti = Deaf(max_tries=2)
    with pytest.raises(RuntimeError):
        task.tried(query_parameters={"seconds": 0.1})
    task.retried()
    assert task.tried()["state"] == "succeeded"
    assert carto.states() == ["success"]


def test_a_run_that_could_not_be_noted_is_waited_for(carto, task):
    """This process knows of it."""
    task.store = Forgetful()
    assert task.tried()["state"] == "succeeded"
    assert carto.states() == ["success"]


def test_a_run_that_could_not_be_noted_is_not_left_to_the_next_try(carto, task):
    task.store, task.ti = Forgetful(), Deaf(max_tries=2)
    with pytest.raises(RuntimeError):
        task.tried(query_parameters=SLOW)
    assert carto.states() == ["cancelled"]


def test_any_error_of_the_wait_cancels_a_run_that_nobody_takes_over(carto):
    operator = Task(carto, "sync").make()
    operator.query_parameters = SLOW

    def interrupted(seconds):
        raise RuntimeError("the disk is full")

    operator.hook.client = WorkerClient(operator.hook.system.transport, sleep=interrupted)
    with pytest.raises(RuntimeError):
        operator.execute(context_of())
    assert carto.states() == ["cancelled"]


def test_a_try_that_was_taken_for_dead_leaves_its_successors_note_alone(carto):
    """Its own run is known to nobody any more, so the error that ends it is the end of that run, too."""
    store, hook = TaskStateStore(), CartoHook()
    old, new = (hook.start_run(carto["slow"], SLOW) for _ in range(2))
    context = context_of(TaskInstance(try_number=1, max_tries=2), store)
    RunStore(context, 2).keep(new)
    operator = CartoRunWorkflowOperator(task_id="t", workflow=carto["slow"], retries=2)
    operator._abandon(context, [old], RuntimeError("the XComs cannot be reached"))
    assert RunStore(context, 2).recall().run.run_id == new.run_id
    assert [hook.get_run(run).state.value for run in (old, new)] == ["cancelled", "running"]

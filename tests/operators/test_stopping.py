"""A task that stops wanting its run: killed, out of time, its trigger dead, or a teardown that cancels."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException

from airflow_workflow_provider.exceptions import RunCancelled, TaskStopped, WorkflowError
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator
from airflow_workflow_provider.protocol.model import Run
from tests.operators.carto_stage import SLOW
from tests.operators.staging import TaskInstance, TaskStateStore, context_of, deferred, meanwhile


def operator(carto, **arguments):
    """An operator whose run takes long."""
    given = {"task_id": "run_workflow", "workflow": carto["slow"], "query_parameters": SLOW, "poll_interval": 30}
    return CartoRunWorkflowOperator(**{**given, **arguments})


def killed(carto, *, in_a_poll=False, **arguments):
    """Kill a task while it waits; give what its process would end with.

    Airflow's signal handler calls ``on_kill`` in the middle of whatever the process does, which may be a poll.
    """
    ti, task = TaskInstance(), operator(carto, **arguments)
    if in_a_poll:
        carto.fault("slow", "/job/", method="GET", seconds=0.4)

    def kill():
        ti.pushed_soon("run")
        carto.polled(answered=not in_a_poll)
        task.on_kill()

    with meanwhile(kill), pytest.raises(Exception) as caught:  # noqa: PT011  # which one is what the tests are about
        task.execute(context_of(ti))
    return caught.value


@pytest.mark.parametrize("conn_id", ["carto_default", "carto_oauth"])
def test_a_killed_task_cancels_its_run_and_ends(carto, conn_id):
    """At once, though its next poll is half a minute away, and with one short call."""
    error = killed(carto, carto_conn_id=conn_id)
    assert isinstance(error, WorkflowError)
    assert carto.states() == ["cancelled"]
    assert [line for line in carto.asked() if line.startswith("DELETE")] == ["DELETE job_" + carto.runs()[0]["id"][4:7]]


class BusyStore(TaskStateStore):
    """A store that answers no other thread while a signal handler runs: it has interrupted a request to Airflow."""

    def __init__(self) -> None:
        super().__init__()
        self.is_free = threading.Event()
        self.is_free.set()

    def get(self, key, default=None):
        """Give a value, once the store is free."""
        self.is_free.wait()
        return super().get(key, default)


@pytest.mark.parametrize("stays_busy", [False, True])
@pytest.mark.parametrize("has_successor", [False, True])
def test_whose_run_it_is_is_asked_again_after_the_signal_handler(carto, has_successor, stays_busy):
    """A signal may interrupt a request to Airflow, and no other one is answered before its handler has ended."""
    ti, store, task = TaskInstance(max_tries=2), BusyStore(), operator(carto)

    def kill(number, frame):
        store.is_free.clear()
        task.on_kill()
        assert carto.states() == ["running"]
        if not stays_busy:
            store.is_free.set()

    def send():
        ti.pushed_soon("run")
        carto.polled(answered=True)
        if has_successor:
            record = json.loads(store.kept["workflow_run"])
            store.kept["workflow_run"] = json.dumps({**record, "try_number": 2})
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, kill)
    try:
        with meanwhile(send), pytest.raises(TaskStopped):
            task.execute(context_of(ti, store))
    finally:
        signal.signal(signal.SIGUSR1, before)
        store.is_free.set()
    assert carto.states() == ["running" if has_successor and not stays_busy else "cancelled"]


def test_a_killed_task_may_leave_its_run_alone(carto):
    killed(carto, cancel_on_kill=False)
    assert carto.states() == ["running"]


def test_a_kill_is_not_the_runs_end(carto):
    """So that a task that tolerates losses does not report itself skipped when it is killed."""
    error = killed(carto, on_run_failure="skip")
    assert not isinstance(error, (AirflowSkipException, RunCancelled))


def test_a_kill_while_a_poll_is_under_way_is_not_the_runs_end(carto):
    """Though that poll's answer, after the kill has cancelled the run, is that it was cancelled."""
    error = killed(carto, on_run_failure="skip", in_a_poll=True)
    assert carto.states() == ["cancelled"]
    assert not isinstance(error, (AirflowSkipException, RunCancelled))


def test_a_cancel_that_fails_while_being_killed_is_only_logged(carto):
    carto.fault("status", "/job/", method="DELETE", status=500, times=None)
    error = killed(carto)
    assert "HTTP 500" not in str(error)
    assert carto.states() == ["running"]
    assert len([line for line in carto.asked() if line.startswith("DELETE")]) == 1


def test_a_task_that_is_killed_before_it_has_a_run_cancels_nothing(carto):
    task = operator(carto)
    task.on_kill()
    assert carto.asked() == []


def test_a_kill_reads_no_connection(carto):
    """The signal may have come while that was being read, under a lock that only the interrupted code can release."""
    task = operator(carto, carto_conn_id="nobody_defined")
    assert task.hook
    task.on_kill()


def test_a_task_that_was_killed_starts_nothing(carto):
    """Some systems could not cancel it; and the next try does not look for a start that never was."""
    task, store = operator(carto), TaskStateStore()
    task.on_kill()
    with pytest.raises(TaskStopped):
        task.execute(context_of(store=store))
    assert (carto.runs(), store.kept) == ([], {})


def test_a_task_whose_run_has_ended_cancels_nothing(carto):
    task = operator(carto, workflow=carto["every_type"], query_parameters=None, poll_interval=0.02)
    task.execute(context_of())
    asked = carto.asked()
    task.on_kill()
    assert carto.asked() == asked


def died(carto, ti, store=None, **arguments):
    """A deferred task whose trigger has died: Airflow comes back with no event at all."""
    make = lambda: operator(carto, deferrable=True, **arguments)  # noqa: E731
    context = context_of(ti, store)
    deferred(make, context)
    with pytest.raises(AirflowException) as caught:
        make().resume_execution("__fail__", {"error": "Trigger failure"}, context)
    return caught.value


def test_the_last_try_of_a_task_whose_trigger_died_cancels_the_run(carto):
    """There is nobody left to wait for it; the error stays Airflow's own."""
    error = died(carto, TaskInstance(try_number=3, max_tries=2), TaskStateStore())
    assert "Trigger failure" in str(error)
    assert carto.states() == ["cancelled"]


def test_a_task_whose_trigger_died_leaves_the_run_to_its_next_try(carto):
    died(carto, TaskInstance(try_number=1, max_tries=2), TaskStateStore())
    assert carto.states() == ["running"]


def test_without_a_state_store_the_next_try_could_not_find_the_run_so_it_is_cancelled(carto):
    died(carto, TaskInstance(try_number=1, max_tries=2))
    assert carto.states() == ["cancelled"]


def test_a_dead_trigger_of_a_mapped_task_cancels_the_run_of_its_own_index(carto):
    """Without an index Airflow gives the XComs of all of them."""
    error = died(carto, TaskInstance(try_number=3, max_tries=2, map_index=4), TaskStateStore())
    assert "Trigger failure" in str(error)
    assert carto.states() == ["cancelled"]


def test_a_dead_trigger_may_leave_the_run_alone(carto):
    died(carto, TaskInstance(try_number=3, max_tries=2), TaskStateStore(), cancel_on_kill=False)
    assert carto.states() == ["running"]


@pytest.mark.parametrize("form", [lambda run: run, Run.to_json, lambda run: json.dumps(run.to_json())])
def test_a_teardown_cancels_a_run_in_each_form(carto, form):
    run = CartoHook().start_run(carto["slow"], SLOW)
    CancelWorkflowRunOperator(task_id="t", run=form(run)).execute(context_of())
    assert carto.states() == ["cancelled"]


@pytest.mark.parametrize("conn_id", [None, "carto_oauth"])
def test_a_teardown_takes_a_bare_id_with_its_system(carto, conn_id):
    run = CartoHook().start_run(carto["slow"], SLOW)
    CancelWorkflowRunOperator(task_id="t", run=run.run_id, system="carto", conn_id=conn_id).execute(context_of())
    assert carto.states() == ["cancelled"]


def test_a_run_object_tells_its_own_system(carto):
    run = CartoHook().start_run(carto["slow"], SLOW)
    CancelWorkflowRunOperator(task_id="t", run=run, system="stevesie").execute(context_of())
    assert carto.states() == ["cancelled"]


def test_a_teardown_cancels_a_run_that_cannot_be_polled(carto):
    """A server that has trouble with telling how a run stands may still stop it."""
    run = CartoHook().start_run(carto["slow"], SLOW)
    carto.fault("status", "/job/", method="GET", status=200, body=["no job"], times=None)
    CancelWorkflowRunOperator(task_id="t", run=run).execute(context_of())
    assert carto.states() == ["cancelled"]


def test_a_teardown_of_a_run_that_has_ended_is_no_error(carto):
    hook = CartoHook()
    run = hook.wait_for_run(hook.start_run(carto["every_type"]), poll_interval=0.02)
    CancelWorkflowRunOperator(task_id="t", run=run.to_json()).execute(context_of())
    assert carto.states() == ["success"]
    assert not [line for line in carto.asked() if line.startswith("DELETE")]


def test_a_teardown_may_use_another_connection(carto):
    run = CartoHook().start_run(carto["slow"], SLOW).to_json() | {"conn_id": "gone_by_now"}
    CancelWorkflowRunOperator(task_id="t", run=run, conn_id="carto_oauth").execute(context_of())
    assert carto.states() == ["cancelled"]


@pytest.mark.parametrize("run", [None, "", "job_1", {}, 5])
def test_a_teardown_without_a_run_names_its_argument(carto, run):
    with pytest.raises(WorkflowError, match=r"^run: "):
        CancelWorkflowRunOperator(task_id="t", run=run).execute(context_of())
    assert carto.asked() == []

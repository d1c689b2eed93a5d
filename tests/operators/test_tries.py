"""The tries of one task: a retry takes its run over, a clear starts another, and never do two go on by mistake."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred

from airflow_workflow_provider.exceptions import (
    RunCancelled,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    TaskStopped,
    UnknownStart,
)
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.protocol.lifecycle import failure_note
from airflow_workflow_provider.protocol.model import Run
from tests.operators.carto_stage import SLOW
from tests.operators.staging import (
    MODES,
    Deferral,
    TaskInstance,
    TaskStateStore,
    context_of,
    deferred,
    executed,
    hurried,
    meanwhile,
)

BRIEFLY = {"seconds": 0.2}


class Task:
    """A task whose tries share a state store, as in Airflow 3.3."""

    def __init__(self, carto, mode):
        self.carto, self.mode = carto, mode
        self.store, self.ti = TaskStateStore(), TaskInstance(max_tries=2)
        self.hurry = False
        self.arguments = {"workflow": carto["slow"], "query_parameters": BRIEFLY}

    def make(self):
        """The operator, as each try makes it anew."""
        deferrable = self.mode == "deferrable"
        given = {"task_id": "run_workflow", "poll_interval": 0.02, "deferrable": deferrable, **self.arguments}
        operator = CartoRunWorkflowOperator(**given)
        if self.hurry:
            hurried(operator.hook)
        return operator

    def context(self):
        """The context of this try."""
        return context_of(self.ti, self.store)

    def tried(self, **arguments):
        """One try to its end."""
        self.arguments |= arguments
        return executed(self.make, self.context())

    def left(self, **arguments):
        """A try whose worker dies after the start: the run goes on, nobody has waited for it."""
        self.arguments |= arguments
        operator = self.make()
        operator.wait_for_completion = False
        return operator.execute(self.context())

    def died_while_starting(self, **arguments):
        """A try whose worker dies between the start and its answer."""
        self.carto.fault("lost", "/job$")
        with pytest.raises(UnknownStart):
            self.tried(**arguments)

    def retried(self):
        """The next try."""
        self.ti = self.ti.retried()

    def cleared(self):
        """The first try after a clear."""
        self.ti = self.ti.cleared()


@pytest.fixture(params=MODES)
def task(request, carto):
    return Task(carto, request.param)


def test_a_retry_takes_over_the_run_that_is_going(carto, task):
    left = task.left()
    task.retried()
    found = task.tried()
    assert (found["run_id"], found["state"]) == (left["run_id"], "succeeded")
    assert carto.states() == ["success"]
    assert task.ti.xcoms["run_id"] == left["run_id"]


def test_a_retry_takes_the_result_of_a_run_that_has_succeeded(carto, task):
    left = task.left()
    carto.ended()
    task.retried()
    assert task.tried()["run_id"] == left["run_id"]
    assert carto.states() == ["success"]


def test_a_retry_after_a_failed_run_starts_another(carto, task):
    with pytest.raises(RunFailed):
        task.tried(workflow=carto["failing"], query_parameters=None)
    task.retried()
    with pytest.raises(RunFailed):
        task.tried()
    assert carto.states() == ["failure", "failure"]


def test_a_run_that_somebody_cancelled_is_not_replaced(carto, task):
    """A person who cancels a run in the vendor's page does not want another one."""
    CartoHook().cancel_run(task.left(query_parameters=SLOW))
    task.retried()
    with pytest.raises(RunCancelled):
        task.tried(query_parameters=BRIEFLY)
    assert carto.states() == ["cancelled"]


def test_a_retry_after_a_kill_that_cancelled_the_run_starts_another(carto, task):
    """A worker that shuts down kills its tasks; their next try starts anew, as that cancel was this task's own."""
    task.left(query_parameters=SLOW)
    task.retried()
    operator = task.make()
    operator.deferrable, operator.poll_interval = False, 30
    carto.sandbox.app.journal.clear()
    kill = lambda: (carto.polled(answered=True), operator.on_kill())  # noqa: E731
    with meanwhile(kill), pytest.raises(TaskStopped):
        operator.execute(task.context())
    task.retried()
    assert task.tried(query_parameters=BRIEFLY)["state"] == "succeeded"
    assert carto.states() == ["cancelled", "success"]


def test_a_retry_after_a_timeout_starts_another_with_a_full_budget(carto, task):
    """The budget belongs to the remote run: the run that was out of time was cancelled."""
    with pytest.raises(RunTimedOut):
        task.tried(query_parameters=SLOW, timeout=0.3)
    task.retried()
    assert task.tried(query_parameters=BRIEFLY, timeout=10)["state"] == "succeeded"
    assert carto.states() == ["cancelled", "success"]


def test_a_retry_inherits_what_is_left_of_the_runs_time(carto, task):
    """Taking a run over does not make it younger."""
    task.left(query_parameters=SLOW)
    started = datetime.now(UTC) - timedelta(hours=1)
    document = task.store.get("workflow_run")
    document["run"]["started_at"] = started.isoformat()
    task.store.set("workflow_run", document)
    carto.settings(status_style="string")  # this style tells no times
    task.retried()
    with pytest.raises(RunTimedOut):
        task.tried(timeout=timedelta(minutes=59))
    assert carto.states() == ["cancelled"]


def test_a_retry_may_be_told_to_start_another(carto, task):
    left = task.left()
    task.retried()
    assert task.tried(reattach=False)["run_id"] != left["run_id"]
    assert len(carto.runs()) == 2


def test_a_clear_cancels_a_run_that_is_going_and_starts_another(carto, task):
    """Recognised by ``ti.max_tries``, which a clear raises and a retry does not."""
    left = task.left(query_parameters=SLOW)
    task.cleared()
    found = task.tried(query_parameters=BRIEFLY)
    assert found["run_id"] != left["run_id"]
    assert carto.states() == ["cancelled", "success"]


def test_a_clear_after_a_success_runs_again(carto, task):
    first = task.tried()
    task.cleared()
    assert task.tried()["run_id"] != first["run_id"]
    assert carto.states() == ["success", "success"]


def test_a_retry_after_a_clear_takes_over_the_new_run(carto, task):
    task.left(query_parameters=SLOW)
    task.cleared()
    second = task.left(query_parameters=BRIEFLY)
    task.retried()
    assert task.tried()["run_id"] == second["run_id"]
    assert carto.states() == ["cancelled", "success"]


def test_the_intent_is_kept_before_the_start_and_the_run_right_after(carto, task):
    task.left()
    intent, run = task.store.history
    request = {"system": "carto", "conn_id": "carto_default", "workflow": carto["slow"]}
    assert intent["request"] == run["request"] == request
    assert "run" not in intent
    assert run["run"]["run_id"] == carto.runs()[0]["id"]
    assert run["max_tries"] == task.ti.max_tries


def test_a_lost_answer_fails_and_leaves_exactly_one_run(carto, task):
    """CARTO cannot list runs; the message says what happened and what to do."""
    carto.fault("lost", "/job$")
    said = r"look for it.*connection 'carto_default'.*\n  while: starting workflow"
    with pytest.raises(UnknownStart, match=said) as caught:
        task.tried()
    assert str(caught.value).startswith("No answer from ")
    assert carto.ended() == ["success"]


def test_a_retry_after_a_lost_answer_starts_nothing(carto, task):
    task.died_while_starting()
    task.retried()
    with pytest.raises(UnknownStart, match="an earlier try was stopped while it started a run"):
        task.tried()
    assert len(carto.runs()) == 1


def test_after_a_lost_answer_another_may_be_started_by_choice(carto, task):
    task.died_while_starting()
    task.retried()
    assert task.tried(on_unknown_start="restart")["state"] == "succeeded"
    assert len(carto.runs()) == 2


def test_after_a_lost_answer_a_clear_starts_another(carto, task):
    task.died_while_starting()
    task.cleared()
    assert task.tried()["state"] == "succeeded"
    assert len(carto.runs()) == 2


@pytest.mark.parametrize("deferrable", [False, True])
def test_by_choice_a_lost_answer_is_followed_by_another_start_in_the_same_try(carto, deferrable):
    task = Task(carto, "deferrable" if deferrable else "sync")
    carto.fault("lost", "/job$")
    assert task.tried(on_unknown_start="restart")["state"] == "succeeded"
    assert len(carto.runs()) == 2


def test_a_run_that_the_server_has_forgotten_is_replaced(carto, task):
    """A job that is gone cannot be waited for."""
    task.left()
    carto.sandbox.call(carto.sandbox.app.systems["carto"].api.jobs.known.clear)
    task.retried()
    task.hurry = True
    assert task.tried()["state"] == "succeeded"
    assert len(carto.runs()) == 1


def test_a_server_that_is_down_does_not_make_a_retry_start_another(carto, task):
    """Not being able to look is no sign that the run is gone."""
    left = task.left()
    carto.fault("status", "/job/", status=503, times=None, headers={"Retry-After": "400"})
    task.retried()
    with pytest.raises(ServerUnavailable):
        task.tried()
    carto.sandbox.clear_faults()
    task.retried()
    assert task.tried()["run_id"] == left["run_id"]
    assert carto.states() == ["success"]


def test_a_task_that_comes_back_from_the_triggerer_takes_its_own_run(carto):
    """Between deferral and return nothing is started, whatever the store holds."""
    task = Task(carto, "deferrable")
    there = deferred(task.make, task.context())
    event = there.event()
    assert there.resumed(event)["run_id"] == carto.runs()[0]["id"]
    assert carto.states() == ["success"]


def test_a_run_that_somebody_cancels_after_a_retry_took_it_over_is_not_replaced(carto, task):
    left = task.left(query_parameters={"seconds": 2})
    task.retried()
    threading.Timer(0.5, CartoHook().cancel_run, [left]).start()
    with pytest.raises(RunCancelled):
        task.tried()
    assert carto.ended() == ["cancelled"]


def test_a_try_that_was_replaced_leaves_the_run_of_its_successor_alone(carto, task):
    """Airflow replaces a try that it has lost sight of, and kills it when it is seen again."""
    old, first_context = task.make(), task.context()
    old.query_parameters, old.wait_for_completion = SLOW, False
    left = old.execute(first_context)
    task.retried()
    new = task.make()
    new.wait_for_completion = False
    assert new.execute(task.context())["run_id"] == left["run_id"]
    old.on_kill()
    assert carto.states() == ["running"]


def test_a_kill_right_after_a_start_that_is_not_awaited_cancels_the_run(carto, task):
    operator = task.make()
    operator.query_parameters, operator.wait_for_completion = SLOW, False
    operator.execute(task.context())
    operator.on_kill()
    assert carto.states() == ["cancelled"]


def test_a_try_that_was_not_replaced_cancels_its_run(carto, task):
    task.arguments |= {"query_parameters": SLOW, "deferrable": False, "poll_interval": 30}
    operator, context = task.make(), task.context()
    kill = lambda: (task.ti.pushed_soon("run"), carto.polled(answered=True), operator.on_kill())  # noqa: E731
    with meanwhile(kill), pytest.raises(TaskStopped):
        operator.execute(context)
    assert carto.states() == ["cancelled"]


@pytest.mark.parametrize("run_id", ["a\u0000b", "\ud800"])
def test_an_id_that_cannot_be_stored_is_a_lost_start_and_no_retry_starts_another(carto, task, run_id):
    """No poll would find the run, so a retry would take it for gone."""
    carto.fault("status", "/job$", method="POST", status=200, times=1, body={"externalId": run_id})
    for _ in range(2):
        with pytest.raises(UnknownStart):
            task.make().execute(task.context())
        task.ti = task.ti.retried()
    assert carto.states() == []


def test_an_id_that_holds_a_secret_of_the_connection_is_a_lost_start(carto, task):
    secret = json.loads(os.environ["AIRFLOW_CONN_CARTO_DEFAULT"])["password"]
    carto.fault("status", "/job$", method="POST", status=200, times=1, body={"externalId": f"id-{secret}"})
    with pytest.raises(UnknownStart) as caught:
        task.make().execute(task.context())
    assert secret not in str(caught.value)


@pytest.mark.parametrize("field", ["run_id", "conn_id", "system"])
@pytest.mark.parametrize("state", ["cancelled", "succeeded", "timeout"])
def test_an_event_about_another_run_ends_no_task(carto, state, field):
    """SQLite gives the number of a deleted trigger to the next one, so that the old trigger's event may come here."""
    task = Task(carto, "deferrable")
    there = deferred(task.make, task.context())
    own = task.ti.xcoms["run"]
    run = {**own, field: "another", "state": "running" if state == "timeout" else state}
    waits_again(carto, task, there, lambda: there.resumed({"status": state, "run": run, "message": "it took long"}))


@pytest.mark.parametrize("event", [None, True, "2026-12-01T00:00:00Z", {"status": "success", "run_id": 7}])
def test_an_event_of_another_kind_of_trigger_ends_no_task(carto, event):
    task = Task(carto, "deferrable")
    there = deferred(task.make, task.context())
    waits_again(carto, task, there, lambda: there.resumed(event))


def test_the_failure_of_a_trigger_that_waited_for_another_run_ends_no_task(carto):
    task = Task(carto, "deferrable")
    there = deferred(task.make, task.context())
    other = Run.from_json({**task.ti.xcoms["run"], "run_id": "of-an-earlier-try"})
    waits_again(carto, task, there, lambda: failed(task, there.context, other))


def test_the_failure_of_its_own_trigger_ends_a_try(carto):
    task = Task(carto, "deferrable")
    there = deferred(task.make, task.context())
    with pytest.raises(AirflowException, match="Trigger failure"):
        failed(task, there.context, Run.from_json(task.ti.xcoms["run"]))
    assert len(carto.runs()) == 1


def failed(task, context, run):
    """A task whose trigger has failed while it waited for a run."""
    traceback = ["Traceback (most recent call last):\n", "RuntimeError: no\n", f"{failure_note(run)}\n"]
    return task.make().resume_execution("__fail__", {"error": "Trigger failure", "traceback": traceback}, context)


def waits_again(carto, task, there, resume):
    """The task defers again and takes the end of its own run."""
    own = task.ti.xcoms["run"]
    with pytest.raises(TaskDeferred) as again:
        resume()
    assert len(carto.runs()) == 1
    waiting = Deferral(task.make, there.context, again.value)
    assert waiting.resumed(waiting.event())["run_id"] == own["run_id"]
    assert carto.states() == ["success"]


@pytest.mark.parametrize("field", ["system", "conn_id"])
def test_an_xcom_that_names_the_run_of_another_connection_is_not_waited_for(carto, field):
    """Whoever may write XComs cannot make a task wait for what it has not started."""
    task = Task(carto, "deferrable")
    there = deferred(task.make, task.context())
    event = there.event()
    task.ti.xcoms["run"] = {**task.ti.xcoms["run"], "run_id": "foreign", field: "alteryx"}
    assert there.resumed(event)["run_id"] == event["run"]["run_id"]

"""The run of an earlier try belongs to its task from the moment it is recalled: kills and errors look after it."""

from __future__ import annotations

import threading

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    TaskStopped,
    UnknownStart,
    WorkflowError,
)
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.workflow import RunWorkflowOperator
from airflow_workflow_provider.protocol.lifecycle import event_of
from airflow_workflow_provider.protocol.model import Run
from tests.operators.carto_stage import SLOW
from tests.operators.staging import MODES, TaskInstance, TaskStateStore, context_of, hurried, meanwhile


class Task:
    """A task whose first try has left a run that goes on."""

    def __init__(self, carto, mode):
        self.carto, self.mode, self.store = carto, mode, TaskStateStore()
        self.ti = TaskInstance(max_tries=1)
        self.left = self.make(wait_for_completion=False).execute(self.context())
        self.ti = self.ti.retried()

    def make(self, *, hurry=False, **more):
        """The operator of a try."""
        given = {"workflow": self.carto["slow"], "query_parameters": SLOW, "poll_interval": 0.02, "retries": 1}
        given |= {"task_id": "run_workflow", "deferrable": self.mode == "deferrable", **more}
        operator = CartoRunWorkflowOperator(**given)
        if hurry:
            hurried(operator.hook)
        return operator

    def context(self):
        return context_of(self.ti, self.store)

    def with_tries_left(self):
        """As if more retries were allowed from the beginning."""
        self.ti.max_tries = 3
        kept = self.store.get("workflow_run")
        self.store.set("workflow_run", {**kept, "max_tries": 3, "retries": 3})
        return {"retries": 3}


@pytest.fixture(params=MODES)
def task(request, carto):
    return Task(carto, request.param)


def failing(**context):
    raise RuntimeError("the callable fails")


@pytest.mark.parametrize(
    "more",
    [
        {"query_parameters": {"seconds": "thirty"}, "parameter_types": {"seconds": "int64"}},
        {"query_parameters": {"seconds": float("nan")}},
        {"query_parameters": 5},
    ],
)
def test_a_last_try_whose_parameters_are_wrong_cancels_the_run(carto, task, more):
    with pytest.raises(InvalidArgument):
        task.make(**more).execute(task.context())
    assert carto.states() == ["cancelled"]


@pytest.mark.parametrize(
    ("argument", "value"), [("poll_interval", "abc"), ("timeout", "-1"), ("start_options", "{{ not rendered")]
)
def test_a_last_try_whose_rendered_arguments_are_wrong_cancels_the_run(carto, task, argument, value):
    operator = task.make()
    setattr(operator, argument, value)  # as a template has rendered it
    with pytest.raises(InvalidArgument, match=argument):
        operator.execute(task.context())
    assert carto.states() == ["cancelled"]


@pytest.mark.parametrize("is_forbidden", [False, True])
@pytest.mark.parametrize("system", ["nothing", "stevesie"])
def test_a_last_try_that_asks_for_another_system_cancels_the_run(carto, task, system, is_forbidden):
    """Also for one that does not exist, or whose distribution is not installed any more."""
    operator = RunWorkflowOperator(
        task_id="run_workflow", system=system, workflow="w", retries=1, cancel_on_kill=not is_forbidden
    )
    with pytest.raises(WorkflowError):
        operator.execute(task.context())
    assert carto.states() == ["running" if is_forbidden else "cancelled"]


def test_a_task_that_comes_back_from_the_triggerer_as_one_of_an_unknown_system_cancels_the_run(carto, task):
    """The DAG was changed while it was deferred."""
    event = event_of(Run.from_json(task.left), RunTimedOut("late"))
    operator = RunWorkflowOperator(task_id="run_workflow", system="nothing", workflow="w", retries=1)
    with pytest.raises(InvalidArgument, match="nothing"):
        operator.resume_execution("execute_complete", {"event": event}, task.context())
    assert carto.states() == ["cancelled"]


def test_start_options_whose_template_fails_on_the_last_try_do_not_keep_the_run_from_its_cancel(carto, task):
    operator = task.make(start_options="{{ not_defined.at_all }}")
    with pytest.raises(Exception, match="not_defined"):
        operator.render_template_fields(task.context())
    assert carto.states() == ["cancelled"]


@pytest.mark.parametrize("is_forbidden", [False, True])
def test_a_template_that_fails_on_the_last_try_after_a_clear_cancels_the_old_run(carto, task, is_forbidden):
    operator = task.make(query_parameters={"seconds": "{{ 1 / 0 }}"}, retries=0, cancel_on_kill=not is_forbidden)
    task.ti.max_tries, task.ti.try_number = 2, 3
    with pytest.raises(ZeroDivisionError):
        operator.render_template_fields(task.context())
    assert carto.states() == ["running" if is_forbidden else "cancelled"]


@pytest.mark.parametrize("is_forbidden", [False, True])
def test_a_kill_while_the_old_run_of_a_cleared_task_is_polled_cancels_it(carto, task, is_forbidden):
    """Only the next try would look after it, and after a kill there may be none."""
    carto.fault("slow", "/job/", method="GET", seconds=1.0, times=1)
    task.ti.max_tries = 2
    operator = task.make(cancel_on_kill=not is_forbidden)
    kill = lambda: (carto.polled(answered=False), operator.on_kill())  # noqa: E731
    with meanwhile(kill), pytest.raises(TaskStopped):
        operator.execute(task.context())
    assert carto.states() == ["running" if is_forbidden else "cancelled"]
    assert task.store.get("workflow_run")["max_tries"] == 1  # it is still the run of an old request


def test_wrong_parameters_fail_for_good_so_the_run_is_cancelled_also_with_tries_left(carto, task):
    """Airflow does not retry them."""
    more = task.with_tries_left()
    with pytest.raises(AirflowFailException):
        task.make(query_parameters=5, **more).execute(task.context())
    assert carto.states() == ["cancelled"]


def test_a_try_that_cannot_begin_may_leave_the_run_going(carto, task):
    with pytest.raises(InvalidArgument):
        task.make(query_parameters=5, cancel_on_kill=False).execute(task.context())
    assert carto.states() == ["running"]


@pytest.mark.parametrize("tries_left", [False, True])
def test_a_server_that_is_down_ends_a_try_and_only_with_the_last_one_the_run(carto, task, tries_left):
    more = task.with_tries_left() if tries_left else {}
    carto.fault("status", "/job/", method="GET", status=503, times=None, headers={"Retry-After": "400"})
    with pytest.raises(ServerUnavailable):
        task.make(**more).execute(task.context())
    assert carto.states() == ["running" if tries_left else "cancelled"]


@pytest.mark.parametrize("status", [401, 403, 404, 400, 418])
@pytest.mark.parametrize("times", [1, 4])
def test_refusals_that_pass_do_not_end_the_try(carto, task, status, times):
    carto.settings(running_seconds=0.0)
    carto.fault("status", "/job/", method="GET", status=status, times=times)
    seen = task.make(hurry=True, wait_for_completion=False).execute(task.context())
    assert seen["run_id"] == task.left["run_id"]


@pytest.mark.parametrize("status", [401, 403, 400])
def test_refusals_that_stay_end_the_try_and_not_the_task(carto, task, status):
    more = task.with_tries_left()
    carto.fault("status", "/job/", method="GET", status=status, times=None)
    with pytest.raises(ServerUnavailable) as caught:
        task.make(hurry=True, **more).execute(task.context())
    assert not isinstance(caught.value, AirflowFailException)
    assert carto.states() == ["running"]


def test_a_connection_that_is_gone_does_not_end_the_task(carto, task, monkeypatch):
    """A secrets backend that fails for a while says the same. The next try may find it again."""
    more = task.with_tries_left()
    monkeypatch.delenv("AIRFLOW_CONN_CARTO_DEFAULT")
    with pytest.raises(WorkflowError) as caught:
        task.make(**more).execute(task.context())
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("template", ["{{ not_defined.at_all }}", "{{ 1 / 0 }}", "{% if %}"])
def test_a_template_that_fails_on_the_last_try_cancels_the_run(carto, task, template):
    """Templates are rendered before `execute`."""
    operator = task.make(query_parameters={"seconds": template})
    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever Jinja raises
        operator.render_template_fields(task.context())
    assert carto.states() == ["cancelled"]


def test_a_callable_that_fails_on_the_last_try_cancels_the_run(carto, task):
    operator = task.make(query_parameters=lambda context, jinja_env: failing())

    def begun():  # Airflow 3 calls it while it renders, 2.11 does not
        operator.render_template_fields(task.context())
        operator.execute(task.context())

    with pytest.raises(RuntimeError):
        begun()
    assert carto.states() == ["cancelled"]


def test_a_template_that_fails_with_tries_left_leaves_the_run_to_the_next_one(carto, task):
    more = task.with_tries_left()
    with pytest.raises(ZeroDivisionError):
        task.make(query_parameters={"seconds": "{{ 1 / 0 }}"}, **more).render_template_fields(task.context())
    assert carto.states() == ["running"]


def test_a_template_that_fails_on_the_first_try_has_nothing_to_look_after(carto, task):
    operator = task.make(query_parameters={"seconds": "{{ 1 / 0 }}"})
    with pytest.raises(ZeroDivisionError):
        operator.render_template_fields(context_of(TaskInstance(), TaskStateStore()))
    assert carto.states() == ["running"]


def test_a_pre_execute_that_fails_on_the_last_try_cancels_the_run(carto, task):
    def refuse(context):
        raise RuntimeError("not today")

    operator = task.make(pre_execute=refuse)

    def begun():  # Airflow 3 calls the argument itself, 2.11 through the method
        operator._pre_execute_hook(task.context())
        operator.pre_execute(task.context())

    with pytest.raises(RuntimeError, match="not today"):
        begun()
    assert carto.states() == ["cancelled"]


def test_a_kill_while_the_first_poll_is_under_way_cancels_the_run(carto, task):
    carto.fault("slow", "/job/", method="GET", seconds=1.0, times=1)
    operator = task.make()
    kill = lambda: (carto.polled(answered=False), operator.on_kill())  # noqa: E731
    with meanwhile(kill), pytest.raises(TaskStopped):
        operator.execute(task.context())
    assert carto.states() == ["cancelled"]


def test_a_kill_before_the_connection_is_read_cancels_after_it(carto, task):
    """The signal handler reads no connection; the flow that it has interrupted does."""
    operator = task.make()

    class Slow(TaskStateStore):
        """A store during whose first answer the task is killed."""

        def get(self, key, default=None):
            found = super().get(key, default)
            if not operator.killed:
                operator.on_kill()
            return found

    store = Slow()
    store.kept = task.store.kept
    with pytest.raises(TaskStopped):
        operator.execute(context_of(task.ti, store))
    assert carto.states() == ["cancelled"]


def test_a_kill_may_leave_the_recalled_run_going(carto, task):
    carto.fault("slow", "/job/", method="GET", seconds=0.5, times=1)
    operator = task.make(cancel_on_kill=False)
    kill = lambda: (carto.polled(answered=False), operator.on_kill())  # noqa: E731
    with meanwhile(kill), pytest.raises(TaskStopped):
        operator.execute(task.context())
    assert carto.states() == ["running"]


def test_a_run_that_is_gone_is_not_cancelled(carto, task):
    carto.sandbox.call(carto.sandbox.app.systems["carto"].api.jobs.known.clear)
    seen = task.make(hurry=True, query_parameters={"seconds": 0.1}, wait_for_completion=False).execute(task.context())
    assert seen["run_id"] != task.left["run_id"]


def test_a_kill_asks_who_owns_the_run_within_its_seconds(carto, task):
    """A store that does not answer does not keep a kill from cancelling."""
    silent = threading.Event()

    class Silent(TaskStateStore):
        def get(self, key, default=None):
            if operator.killed:
                silent.wait(20)
            return super().get(key, default)

    store = Silent()
    store.kept = task.store.kept
    operator = task.make(deferrable=False, poll_interval=30)
    kill = lambda: (carto.polled(answered=True), operator.on_kill())  # noqa: E731
    carto.sandbox.app.journal.clear()
    with meanwhile(kill), pytest.raises(TaskStopped):
        operator.execute(context_of(task.ti, store))
    silent.set()
    assert carto.states() == ["cancelled"]


def test_the_intent_of_a_start_for_another_workflow_is_not_looked_for(carto):
    """The DAG was corrected after a start whose answer was lost."""
    ti, store = TaskInstance(max_tries=1), TaskStateStore()
    make = lambda name: CartoRunWorkflowOperator(  # noqa: E731
        task_id="t", workflow=carto[name], poll_interval=0.02, retries=1
    )
    carto.fault("lost", "/job$")
    with pytest.raises(UnknownStart):
        make("every_type").execute(context_of(ti, store))
    with pytest.raises(RunFailed):
        make("failing").execute(context_of(ti.retried(), store))
    assert len(carto.runs()) == 2

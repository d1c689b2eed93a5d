"""The sensor: it sees a run to its end, in each of the three modes, and ends alike in all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    InvalidConnection,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    TaskStopped,
    WorkflowNotFound,
    WorkflowSensorTimeout,
)
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.protocol.lifecycle import failure_note
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from tests.operators.carto_stage import SLOW
from tests.operators.staging import TaskInstance, context_of, deferred, hurried, meanwhile
from tests.sensors.watching import MODES, process, watched


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


def started(carto, workflow="airports_by_state", parameters=None, conn_id="carto_default"):
    """A run that is going."""
    given = {"min_airports": 100} if workflow == "airports_by_state" else parameters
    return CartoHook(conn_id).start_run(carto[workflow], given)


def ends(carto, how):
    """A run that ends, or does not, in one of four ways; and what a sensor's task raises for it."""
    if how == "failed":
        return started(carto, "failing"), RunFailed
    run = started(carto, "slow", SLOW)
    if how == "cancelled":
        CartoHook().cancel_run(run)
        return run, RunCancelled
    return run, WorkflowSensorTimeout


@pytest.mark.parametrize("form", ["object", "json", "run", "id"])
def test_it_returns_the_run_object_in_every_mode(carto, mode, form):
    run = started(carto)
    given = {"object": run.to_json(), "json": json.dumps(run.to_json()), "run": run, "id": None}[form]
    arguments = {"run_id": run.run_id} if given is None else {"run": given}
    found = watched(carto, mode, **arguments)
    assert (found["state"], found["run_id"]) == ("succeeded", run.run_id)
    if form != "id":
        assert found["output_location"] == run.output_location
    assert carto.states() == ["success"]


def test_all_modes_return_the_same(carto):
    run = started(carto)
    carto.ended()
    first, *others = [watched(carto, mode, run=run) for mode in MODES]
    assert [other == first for other in others] == [True, True]


@pytest.mark.parametrize("how", ["failed", "cancelled", "late"])
def test_a_bad_end_fails_the_task_alike_in_every_mode(carto, mode, how):
    run, error = ends(carto, how)
    with pytest.raises(error) as caught:
        watched(carto, mode, run=run, timeout=0.3 if how == "late" else 20)
    assert type(caught.value) is error
    assert caught.value.run.run_id == run.run_id
    assert carto.states()[0] == {"failed": "failure", "cancelled": "cancelled", "late": "running"}[how]


@pytest.mark.parametrize("how", ["failed", "cancelled", "late"])
def test_soft_fail_skips_a_bad_end_in_every_mode(carto, mode, how):
    run, _ = ends(carto, how)
    with pytest.raises(AirflowSkipException):
        watched(carto, mode, run=run, timeout=0.3 if how == "late" else 20, soft_fail=True)


def test_a_timeout_is_airflows_and_ours(carto, mode):
    """Airflow does not retry its own; our users catch ours, which carries the run."""
    run = started(carto, "slow", SLOW)
    with pytest.raises(AirflowSensorTimeout) as caught:
        watched(carto, mode, run=run, timeout=0.3)
    assert isinstance(caught.value, RunTimedOut)
    assert caught.value.run.state == "running"
    assert carto.states() == ["running"]  # the run is not the sensor's to cancel


@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"carto_conn_id": "nobody_defined"}, InvalidConnection),
        ({"run_id": "nobody"}, WorkflowNotFound),
        ({"revoked": True}, AuthenticationFailed),
    ],
)
def test_soft_fail_never_skips_bad_credentials_or_an_unknown_run(carto, mode, arguments, error, soft_fail):
    run = started(carto, "slow", SLOW)
    arguments = dict(arguments)
    if arguments.pop("revoked", False):
        carto.settings(revoked_tokens=["sandbox-carto-token"])
    given = {"run": run} if "run_id" not in arguments else {}
    with pytest.raises(error):
        watched(carto, mode, **given, **arguments, soft_fail=soft_fail, timeout=5)


@pytest.mark.parametrize("error", ["failed", "unknown"])
def test_never_fail_skips_whatever_happens(carto, mode, error):
    """Airflow's own switch for that."""
    arguments = {"run": ends(carto, "failed")[0]} if error == "failed" else {"run_id": "nobody"}
    with pytest.raises(AirflowSkipException):
        watched(carto, mode, **arguments, never_fail=True, timeout=5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "run, run_id: give one of the two"),
        ({"run": {"a": 1}, "run_id": "1"}, "run, run_id: give one of the two"),
        ({"run": ""}, "^run: "),
        ({"run_id": " "}, "^run: "),
        ({"run": {"system": "carto"}}, "^run: the run object lacks conn_id, run_id"),
        ({"run": "{'system': 'carto'}"}, "^run: this is not JSON"),
        ({"run": Run("stevesie", "c", "w", "1")}, "belongs to the system 'stevesie'"),
    ],
)
def test_a_run_that_is_none_is_one_clear_error(carto, mode, arguments, said):
    with pytest.raises(InvalidArgument, match=said):
        watched(carto, mode, **arguments)
    assert carto.asked() == []


@pytest.mark.parametrize("kind", ["html", "reset", "truncate"])
def test_a_hiccup_at_the_first_look_does_not_end_it(carto, mode, kind):
    run = started(carto)
    carto.fault(kind, "/job/")
    assert watched(carto, mode, run=run)["state"] == "succeeded"


def test_a_server_that_is_down_for_long_does_not_end_it(carto):
    """The first look has the patience of all the others."""
    run = started(carto)
    carto.fault("html", "/job/", times=12)
    sensor = CartoWorkflowRunSensor(task_id="t", run=run, poke_interval=1, timeout=10_000)
    hurried(sensor.hook)
    assert sensor.execute(context_of())["state"] == "succeeded"


def test_the_tasks_own_end_counts_too(carto):
    run = started(carto, "slow", SLOW)
    ti = TaskInstance(start_date=datetime.now(UTC) - timedelta(seconds=59.9))
    for mode in ("poke", "deferrable"):
        with pytest.raises(WorkflowSensorTimeout):
            watched(carto, mode, context=context_of(ti), run=run, execution_timeout=timedelta(minutes=1))


def test_a_job_that_runs_through_another_connection_inside_carto(carto, mode):
    """A bare id does not tell it, a run object does."""
    run = started(carto, "sf_airports_in_state", ["TX"], "carto_snowflake")
    assert watched(carto, mode, run=run)["state"] == "succeeded"
    found = watched(carto, mode, run_id=run.run_id, carto_connection="snowflake_dw")
    assert found["details"]["carto_connection"] == "snowflake_dw"


def test_a_killed_sensor_stops_waiting_and_leaves_the_run_alone(carto):
    run = started(carto, "slow", SLOW)
    sensor = CartoWorkflowRunSensor(task_id="t", run=run, poke_interval=30, soft_fail=True)

    def kill():
        carto.polled(answered=True)
        sensor.on_kill()

    with meanwhile(kill), pytest.raises(TaskStopped):
        sensor.execute(context_of())
    assert carto.states() == ["running"]


def test_a_kill_reads_no_connection(carto):
    """The signal may have come while that was being read, under a lock that only the interrupted code can release."""
    sensor = CartoWorkflowRunSensor(task_id="t", run_id="job_1", carto_conn_id="nobody_defined")
    assert sensor.hook
    sensor.on_kill()


def test_a_sensor_that_is_killed_before_it_waits_does_not_wait(carto):
    sensor = CartoWorkflowRunSensor(task_id="t", run=started(carto, "slow", SLOW))
    sensor.on_kill()
    with pytest.raises(TaskStopped):
        sensor.execute(context_of())


def looked_again(carto, *, status, times):
    """A later process of a sensor in reschedule mode, whose looks are refused some times."""
    run = started(carto, "slow", SLOW)
    carto.fault("status", "/job/", method="GET", status=status, times=times)

    def make():
        sensor = CartoWorkflowRunSensor(task_id="t", run=run, mode="reschedule", poke_interval=1)
        hurried(sensor.hook)
        return sensor

    context = context_of()
    first = context["ti"].rescheduled_at = datetime.now(UTC)
    return process(make, context, first, 1)


@pytest.mark.parametrize("status", [401, 403, 404, 400])
def test_refusals_that_pass_do_not_end_a_sensor_that_is_rescheduled(carto, status):
    with pytest.raises(AirflowRescheduleException):
        looked_again(carto, status=status, times=4)


@pytest.mark.parametrize("status", [401, 403, 400])
def test_refusals_that_stay_are_left_to_the_next_try(carto, status):
    with pytest.raises(ServerUnavailable, match=f"HTTP {status}") as caught:
        looked_again(carto, status=status, times=None)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_run_that_stays_unknown_is_gone(carto):
    with pytest.raises(WorkflowNotFound):
        looked_again(carto, status=404, times=None)


def test_it_asks_through_the_connection_of_the_run(carto, mode, monkeypatch):
    """Unless it was given one: elsewhere the same id may be another run's."""
    run = started(carto, conn_id="carto_oauth").to_json()
    monkeypatch.delenv("AIRFLOW_CONN_CARTO_DEFAULT")
    assert watched(carto, mode, run=run)["state"] == "succeeded"
    given = {**run, "conn_id": "nobody_defined"}
    assert watched(carto, mode, run=given, carto_conn_id="carto_oauth")["state"] == "succeeded"


@pytest.mark.parametrize(
    "other",
    [
        {"run_id": "another"},
        {"conn_id": "another"},
        {"run_id": "another", "state": "running", "status": "timeout"},
        {"run_id": "another", "status": "unavailable"},
        {},
    ],
)
@pytest.mark.parametrize("form", ["object", "id"])
def test_an_event_about_another_run_ends_no_sensor(carto, other, form):
    """SQLite gives the number of a deleted trigger to the next one, so that the old trigger's event may come here."""
    run = started(carto, "slow", SLOW).to_json()
    there = waiting(run if form == "object" else run["run_id"])
    changes = {"state": "succeeded", **other}
    event = {"status": changes.pop("status", changes["state"]), "run": {**run, **changes}, "message": ""}
    with pytest.raises(TaskDeferred) as again:
        there.resumed(event if other else True)
    assert again.value.trigger.run_json["run_id"] == run["run_id"]
    CartoHook().cancel_run(run)
    with pytest.raises(RunCancelled):
        there.resumed(there.event())


@pytest.mark.parametrize("is_own", [True, False])
def test_a_failure_of_a_trigger_ends_a_sensor_only_if_it_waited_for_its_run(carto, is_own):
    run = started(carto, "slow", SLOW)
    there = waiting(run.to_json())
    note = failure_note(run if is_own else replace(run, run_id="another"))
    failure = {"error": "Trigger failure", "traceback": ["RuntimeError: no\n", f"{note}\n"]}
    with pytest.raises(AirflowException if is_own else TaskDeferred):
        there.make().resume_execution("__fail__", failure, there.context)


def waiting(run):
    """A sensor that is deferred."""
    given = {"run_id" if isinstance(run, str) else "run": run}
    return deferred(
        lambda: CartoWorkflowRunSensor(task_id="t", **given, deferrable=True, poke_interval=0.05, timeout=600),
        context_of(),
    )


def test_its_trigger_never_cancels(carto):
    """The run is another task's."""
    run = started(carto, "slow", SLOW)
    there = deferred(lambda: CartoWorkflowRunSensor(task_id="t", run=run, deferrable=True, timeout=60), context_of())
    kwargs = there.deferred.trigger.serialize()[1]
    assert kwargs["cancel_on_kill"] is False
    assert kwargs["poll_interval"] == 15.0


@pytest.mark.parametrize("interval", [20, timedelta(seconds=20)])
def test_the_interval_is_seconds_or_a_timedelta(interval):
    assert CartoWorkflowRunSensor(task_id="t", run_id="1", poke_interval=interval).poke_interval == 20


@pytest.mark.parametrize("interval", [0, timedelta(0)])
def test_an_interval_of_nothing_is_refused(carto, mode, interval):
    """A triggerer that looked again without a pause would do nothing else."""
    with pytest.raises(InvalidArgument, match=r"^poke_interval: expected seconds above 0"):
        watched(carto, mode, run_id="job_1", poke_interval=interval)
    assert carto.asked() == []


def test_what_an_operator_leaves_is_what_a_sensor_takes(carto, mode):
    operator = CartoRunWorkflowOperator(task_id="t", workflow=carto["every_type"], wait_for_completion=False)
    assert watched(carto, mode, run=operator.execute(context_of()))["state"] == "succeeded"

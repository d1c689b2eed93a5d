"""The run operator: start, wait, cancel and what comes of it, the same in both modes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_workflow_provider.exceptions import RunCancelled, RunFailed, RunTimedOut, ServerUnavailable
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.protocol.model import Run
from tests.operators.carto_stage import SLOW
from tests.operators.staging import (
    MODES,
    TaskInstance,
    TaskStateStore,
    context_of,
    deferred,
    executed,
    hurried,
    meanwhile,
)

BY_STATE = {"min_airports": 100}


@pytest.fixture(params=MODES)
def operator(request, carto):
    """Make the operator's maker, for one of the modes."""

    def maker(workflow="airports_by_state", **arguments):
        given = {
            "task_id": "run_workflow",
            "workflow": carto[workflow],
            "query_parameters": BY_STATE if workflow == "airports_by_state" else None,
            "poll_interval": 0.02,
            "deferrable": request.param == "deferrable",
        }
        return lambda: CartoRunWorkflowOperator(**{**given, **arguments})

    return maker


def test_it_returns_the_run_object_of_a_run_that_succeeded(carto, operator):
    ti = TaskInstance()
    found = executed(operator(), context_of(ti))
    (served,) = carto.runs()
    run = Run.from_json(found)
    assert run.to_json() == found
    assert (found["state"], found["run_id"], found["system"]) == ("succeeded", served["id"], "carto")
    assert found["output_location"] == served["details"]["output_table"]
    assert run.ended_at >= run.started_at  # as times: a text has no fraction where it is zero
    assert served["state"] == "success"


def test_the_run_can_be_seen_from_its_start(carto, operator):
    """Links, callbacks and other tasks see a run that is still going; at the end its last state is pushed."""
    ti = TaskInstance()
    found = executed(operator(), context_of(ti))
    assert [key for key, _ in ti.pushed] == [
        *("run_id", "run_url", "run", "_link_WorkflowRunLink"),
        *("run", "_link_WorkflowOutputLink"),
    ]
    assert ti.pushed[0][1] == found["run_id"]
    assert ti.pushed[1][1] == found["url"]
    assert ti.pushed[2][1]["state"] in ("queued", "running")
    assert ti.pushed[3][1] == found["url"]
    assert ti.pushed[4][1] == found


@pytest.mark.parametrize("style", ["object", "string"])
def test_a_failure_tells_what_the_system_said(carto, operator, style):
    carto.settings(status_style=style)
    ti = TaskInstance()
    with pytest.raises(RunFailed) as caught:
        executed(operator("failing"), context_of(ti))
    (served,) = carto.runs()
    said = str(caught.value)
    assert all(part in said for part in (served["id"], served["details"]["error"], caught.value.run.url))
    assert (caught.value.run.state, ti.xcoms["run"]["state"]) == ("failed", "failed")
    assert ti.xcoms["run"]["message"] == served["details"]["error"]


def test_a_run_that_somebody_cancels_is_cancelled(carto, operator):
    ti = TaskInstance()

    with (
        meanwhile(lambda: CartoHook().cancel_run(ti.pushed_soon("run"))),
        pytest.raises(RunCancelled, match="was cancelled") as caught,
    ):
        executed(operator("slow", query_parameters=SLOW), context_of(ti))
    assert caught.value.run.state == ti.xcoms["run"]["state"] == "cancelled"


@pytest.mark.parametrize("workflow", ["failing", "slow"])
def test_a_fan_out_may_tolerate_losses(carto, operator, workflow):
    """``on_run_failure="skip"``: the reason is in the log and in the XCom."""
    ti = TaskInstance()
    make = operator(workflow, on_run_failure="skip", timeout=0.3, query_parameters=SLOW if workflow == "slow" else None)
    with pytest.raises(AirflowSkipException):
        executed(make, context_of(ti))
    assert ti.xcoms["run"]["run_id"] == carto.runs()[0]["id"]


@pytest.mark.parametrize("timeout", [0.3, "0.3", timedelta(seconds=0.3)])
def test_a_run_that_takes_too_long_is_cancelled(carto, operator, timeout):
    """A timeout is told apart from a failure, and nothing goes on behind it."""
    ti = TaskInstance()
    with pytest.raises(RunTimedOut, match="did not end in time") as caught:
        executed(operator("slow", query_parameters=SLOW, timeout=timeout), context_of(ti))
    assert not isinstance(caught.value, RunFailed)
    assert caught.value.run.run_id == ti.xcoms["run"]["run_id"]
    assert carto.states() == ["cancelled"]


def test_a_run_that_takes_too_long_may_be_left_alone(carto, operator):
    with pytest.raises(RunTimedOut):
        executed(operator("slow", query_parameters=SLOW, timeout=0.3, cancel_on_timeout=False))
    assert carto.states() == ["running"]


def test_a_cancel_that_fails_does_not_hide_the_reason(carto, operator):
    carto.fault("status", "/job/", method="DELETE", status=403, times=None)
    with pytest.raises(RunTimedOut):
        executed(operator("slow", query_parameters=SLOW, timeout=0.3))
    assert carto.states() == ["running"]


def test_the_tasks_own_end_comes_with_time_to_cancel(carto, operator):
    """``execution_timeout`` belongs to the task: what is left of it is the deadline."""
    ti = TaskInstance(start_date=datetime.now(UTC) - timedelta(seconds=59.9))
    with pytest.raises(RunTimedOut):
        executed(operator("slow", query_parameters=SLOW, execution_timeout=timedelta(minutes=1)), context_of(ti))
    assert carto.states() == ["cancelled"]


def test_it_may_return_right_after_the_start(carto, operator):
    ti = TaskInstance()
    found = executed(operator("slow", query_parameters=SLOW, wait_for_completion=False), context_of(ti))
    assert (found["state"], ti.xcoms["run"]) == ("queued", found)
    assert carto.asked() == ["POST query", "POST job"]  # what parameters the workflow has, and the start


def test_a_fault_of_the_network_does_not_end_a_run(carto, operator):
    """In either mode; the transcripts in tests/client have all the faults."""
    carto.fault("html", "/job/")
    found = executed(operator())
    assert (found["state"], carto.states()) == ("succeeded", ["success"])


def test_a_token_that_ends_while_the_run_is_going_is_renewed(carto, operator):
    ti = TaskInstance()

    def end_all_tokens():
        ti.pushed_soon("run")
        carto.sandbox.call(carto.sandbox.app.systems["carto"].api.tokens.reset)

    make = operator("slow", query_parameters={"seconds": 0.4}, carto_conn_id="carto_oauth")
    with meanwhile(end_all_tokens):
        assert executed(make, context_of(ti))["state"] == "succeeded"
    assert len(carto.runs()) == 1


def test_a_server_that_refuses_for_good_ends_the_try_so_that_the_next_can_attach(carto):
    """Not with an AirflowFailException: the run is going, and Airflow is to retry."""
    operator = CartoRunWorkflowOperator(task_id="t", workflow=carto["slow"], query_parameters=SLOW, poll_interval=1)
    hurried(operator.hook)
    carto.fault("status", "/job/", status=401, times=None)
    with pytest.raises(ServerUnavailable, match="HTTP 401"):
        operator.execute(context_of(TaskInstance(max_tries=1), TaskStateStore()))
    assert carto.states() == ["running"]


def test_the_trigger_gets_what_it_needs_and_nothing_else(carto):
    """JSON values only; everything else comes from the connection."""
    make = lambda: CartoRunWorkflowOperator(  # noqa: E731
        task_id="t",
        workflow=carto["slow"],
        query_parameters=SLOW,
        deferrable=True,
        poll_interval=timedelta(seconds=7),
        timeout=600,
        cancel_on_kill=False,
    )
    ti = TaskInstance()
    there = deferred(make, context_of(ti))
    path, kwargs = there.deferred.trigger.serialize()
    assert path == "airflow_workflow_provider.triggers.workflow.WorkflowRunTrigger"
    started_at = Run.from_json(kwargs["run"]).started_at.timestamp()
    assert kwargs == {
        "system": "carto",
        "conn_id": "carto_default",
        "run": ti.xcoms["run"],
        "poll_interval": 7.0,
        "deadline": started_at + 600,
        "cancel_on_kill": False,
        "options": {},
        "run_log": {"interval": 30.0},
    }
    assert there.deferred.method_name == "execute_complete"

"""What a run operator is given: what reaches the server, and what is refused before anything is started."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    InvalidConnection,
    PermissionDenied,
    ServerUnavailable,
    WorkflowNotFound,
)
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from tests.operators.staging import TaskInstance, TaskStateStore, context_of, executed, hurried


def run(carto, workflow="airports_by_state", *, context=None, **arguments):
    """Start a workflow and do not wait for it."""
    given = {"task_id": "t", "workflow": carto.workflows[workflow].workflow if workflow else "", **arguments}
    return executed(lambda: CartoRunWorkflowOperator(wait_for_completion=False, **given), context)


def test_a_mapping(carto):
    run(carto, query_parameters={"min_airports": 100})
    assert carto.runs()[0]["parameters"] == {"min_airports": 100}


def test_a_list(carto):
    run(carto, "sf_airports_in_state", query_parameters=["TX"], carto_conn_id="carto_snowflake")
    assert carto.runs()[0]["parameters"] == ["TX"]


def test_a_callable(carto):
    """It is given the context and the template environment, on every Airflow."""
    seen = {}

    def build(context, jinja_env):
        seen.update(ti=context["ti"], rendered=jinja_env.from_string("{{ 40 + 2 }}").render())
        return {"min_airports": int(seen["rendered"])}

    context = context_of()
    run(carto, query_parameters=build, context=context)
    assert carto.runs()[0]["parameters"] == {"min_airports": 42}
    assert seen["ti"] is context["ti"]


def test_json_text(carto):
    run(carto, query_parameters='{"min_airports": 7}')
    assert carto.runs()[0]["parameters"] == {"min_airports": 7}


def test_none(carto):
    run(carto, "every_type")
    assert carto.runs()[0]["parameters"] == {}


def test_text_becomes_values_before_the_start(carto):
    """Rendered templates are text, and CARTO tells numbers from text."""
    run(carto, query_parameters={"min_airports": "100"}, parameter_types={"min_airports": "int64"})
    assert carto.runs()[0]["parameters"] == {"min_airports": 100}


def test_moments_are_spelled_with_z(carto):
    moment = {"label": datetime(2026, 1, 1, tzinfo=UTC)}
    run(carto, "clock", query_parameters=moment)
    run(carto, "clock", query_parameters={"label": "2026-01-01 00:00:00"}, parameter_types={"label": "timestamp"})
    assert [one["parameters"] for one in carto.runs()] == [{"label": "2026-01-01T00:00:00Z"}] * 2


def test_a_whole_call(carto):
    """As CARTO's dialog shows it."""
    call = f"CALL `{carto['airports_by_state']}`(@min_airports)"
    arguments = {"workflow": call, "query_parameters": {"min_airports": 5}, "poll_interval": 0.02}
    found = executed(lambda: CartoRunWorkflowOperator(task_id="t", **arguments))
    assert (found["state"], carto.runs()[0]["details"]["query"]) == ("succeeded", call)


def test_a_connection_inside_carto_for_this_task(carto):
    run(carto, "sf_airports_in_state", query_parameters=["TX"], carto_connection="snowflake_dw",
        carto_conn_id=carto.connection(extra={"warehouse": "snowflake"}))  # fmt: skip
    assert carto.runs()[0]["details"]["connection"] == "snowflake_dw"


BAD = {
    "an unknown connection": (
        {"carto_conn_id": "nobody_defined"},
        InvalidConnection,
        "'nobody_defined' is not defined",
    ),
    "an empty connection id": ({"carto_conn_id": ""}, InvalidConnection, "carto_conn_id: is empty"),
    "an empty workflow": ({"workflow": ""}, InvalidArgument, "workflow: is empty"),
    "a blank workflow": ({"workflow": "  "}, InvalidArgument, "workflow: is empty"),
    "no procedure's name": ({"workflow": "SELECT 1"}, InvalidArgument, "workflow: 'SELECT 1' is not a full name"),
    "parameters that are text": ({"query_parameters": "abc"}, InvalidArgument, "query_parameters: expected a mapping"),
    "parameters that are a number": ({"query_parameters": 5}, InvalidArgument, "query_parameters: expected a mapping"),
    "a parameter without a name": ({"query_parameters": {1: 2}}, InvalidArgument, "query_parameters: every key"),
    "a value without a spelling": ({"query_parameters": {"a": b"x"}}, InvalidArgument, r"query_parameters\['a'\]"),
    "a callable that gives nonsense": ({"query_parameters": lambda **_: 5}, InvalidArgument, "query_parameters: exp"),
    "a misfit": (
        {"query_parameters": {"a": "x"}, "parameter_types": {"a": "int64"}},
        InvalidArgument,
        r"query_parameters\['a'\]: 'x' is not of type int64",
    ),
    "an unknown type": (
        {"query_parameters": {"a": "x"}, "parameter_types": {"a": "int65"}},
        InvalidArgument,
        r"parameter_types\['a'\]: unknown type 'int65'",
    ),
    "a type for nothing": ({"parameter_types": {"a": "int64"}}, InvalidArgument, r"parameter_types\['a'\]"),
    "no interval": ({"poll_interval": 0}, InvalidArgument, "poll_interval: expected seconds above 0"),
    "a negative timeout": ({"timeout": -5}, InvalidArgument, "timeout: expected seconds above 0"),
    "a timeout that is text": ({"timeout": "soon"}, InvalidArgument, "timeout: expected seconds above 0"),
}


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error_and_starts_nothing(carto, case, deferrable):
    """It names the argument, is not retried by Airflow, and leaves nothing to re-attach to."""
    changes, error, said = BAD[case]
    store = TaskStateStore()
    given = {"task_id": "t", "workflow": carto["airports_by_state"], "deferrable": deferrable, **changes}
    with pytest.raises(error, match=said):
        executed(lambda: CartoRunWorkflowOperator(**given), context_of(store=store))
    assert (carto.asked(), store.kept) == ([], {})


@pytest.mark.parametrize(
    ("name", "value"), [("on_unknown_start", "guess"), ("on_run_failure", "ignore"), ("on_run_failure", None)]
)
def test_a_word_that_is_no_choice_is_refused_where_the_dag_is_written(name, value):
    with pytest.raises(InvalidArgument, match=f"^{name}: expected 'fail' or "):
        CartoRunWorkflowOperator(task_id="t", workflow="w", **{name: value})


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 401}, AuthenticationFailed),
        ({"kind": "status", "status": 403, "body": {"error": "no right"}}, PermissionDenied),
        ({"kind": "status", "status": 404}, WorkflowNotFound),
    ],
)
def test_what_the_server_refuses_fails_at_once_and_leaves_nothing(carto, fault, error):
    """No retries are burnt, and no later try looks for a run that never was."""
    carto.fault(path="/job$", **fault)
    store = TaskStateStore()
    with pytest.raises(error, match=r"connection 'carto_default'.*\n  while: starting workflow"):
        run(carto, query_parameters={"min_airports": 1}, context=context_of(store=store))
    assert (carto.runs(), store.kept) == ([], {})


def test_a_server_that_is_down_may_be_tried_again_by_airflow(carto):
    operator = CartoRunWorkflowOperator(
        task_id="t", workflow=carto["every_type"], carto_conn_id=carto.connection(host="http://127.0.0.1:9")
    )
    hurried(operator.hook)
    store = TaskStateStore()
    with pytest.raises(ServerUnavailable):
        operator.execute(context_of(store=store))
    assert store.kept == {}


def test_an_id_that_native_rendering_made_a_number_is_text_again(carto):
    operator = CartoRunWorkflowOperator(task_id="t", workflow=1501, wait_for_completion=False)
    operator.execute(context_of(TaskInstance()))
    assert carto.runs()[0]["details"]["query"] == "CALL `1501`()"

"""Wrong literals fail while the DAG file is parsed; a template is checked when the task runs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.operators.alteryx import PRIORITIES, AlteryxRunWorkflowOperator
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.chorus import RUN_MODES, ChorusRunWorkflowOperator
from airflow_workflow_provider.operators.invision import WORKFLOW_APIS, InvisionRunDataFlowOperator
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator, StevesieUpdateCollectionOperator
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator, RunWorkflowOperator
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor

RUN = {"task_id": "t", "workflow": "w"}
WRONG = [
    (CartoRunWorkflowOperator, {"timeout": 0}, "timeout"),
    (CartoRunWorkflowOperator, {"timeout": timedelta(0)}, "timeout"),
    (CartoRunWorkflowOperator, {"timeout": -5}, "timeout"),
    (CartoRunWorkflowOperator, {"timeout": True}, "timeout"),
    (CartoRunWorkflowOperator, {"poll_interval": 0}, "poll_interval"),
    (CartoRunWorkflowOperator, {"poll_interval": "1m"}, "poll_interval"),
    (CartoRunWorkflowOperator, {"poll_interval": float("nan")}, "poll_interval"),
    (CartoRunWorkflowOperator, {"expected_duration": "soon"}, "expected_duration"),
    (CartoRunWorkflowOperator, {"on_run_failure": "ignore"}, "on_run_failure"),
    (CartoRunWorkflowOperator, {"on_unknown_start": "retry"}, "on_unknown_start"),
    (CartoRunWorkflowOperator, {"workflow": " "}, "workflow"),
    (AlteryxRunWorkflowOperator, {"priority": "Urgent"}, "priority"),
    (ChorusRunWorkflowOperator, {"run_mode": "Job"}, "run_mode"),
    (InvisionRunDataFlowOperator, {"workflow_api": "flows"}, "workflow_api"),
    (StevesieRunWorkflowOperator, {"output_aggregation_format": "xml"}, "output_aggregation_format"),
    (RunWorkflowOperator, {}, "system"),
    (RunWorkflowOperator, {"system": ""}, "system"),
]


@pytest.mark.parametrize(("operator", "arguments", "name"), WRONG)
def test_a_wrong_literal_is_refused_where_the_dag_is_written(operator, arguments, name):
    with pytest.raises(InvalidArgument, match=rf"^{name}"):
        operator(**{**RUN, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": "{{ params.timeout }}", "poll_interval": "{{ 5 }}"},
        {"timeout": "90", "poll_interval": 2.5, "expected_duration": timedelta(minutes=1)},
        {"query_parameters": "{{ params.all | tojson }}"},
        {"query_parameters": '{"state": "TX"}'},
        {"query_parameters": {"n": "{{ ds }}", "m": "5"}, "parameter_types": {"n": "date", "m": "int64"}},
        {"query_parameters": lambda context, jinja_env: {}},
        {"query_parameters": {"n": "x"}, "parameter_types": {"other": "int64"}},
        {"workflow": "{{ params.workflow }}"},
        {"query_parameters": "state=TX"},
    ],
)
def test_what_may_be_right_is_left_to_the_task(arguments):
    CartoRunWorkflowOperator(**{**RUN, **arguments})


@pytest.mark.parametrize("priority", ["low", " Medium ", 2, "3", "{{ params.priority }}", None])
def test_a_priority_has_several_spellings(priority):
    AlteryxRunWorkflowOperator(**RUN, priority=priority)


@pytest.mark.parametrize("arguments", [{}, {"run": "x", "run_id": "y"}])
def test_a_sensor_takes_one_of_run_and_run_id(arguments):
    with pytest.raises(InvalidArgument, match="give one of the two"):
        CartoWorkflowRunSensor(task_id="t", **arguments)


@pytest.mark.parametrize("arguments", [{"poke_interval": -1}, {"timeout": 0}, {"expected_duration": "x"}])
def test_a_sensor_refuses_a_wrong_duration(arguments):
    with pytest.raises(InvalidArgument):
        WorkflowRunSensor(task_id="t", run="{{ 1 }}", **arguments)


def test_a_collection_is_changed_in_three_ways():
    with pytest.raises(InvalidArgument, match=r"^method"):
        StevesieUpdateCollectionOperator(task_id="t", collection_id="c", items=[], method="append")


def test_a_cancel_needs_a_run():
    with pytest.raises(InvalidArgument, match=r"^run: "):
        CancelWorkflowRunOperator(task_id="t", run=None)


def test_the_choices_are_those_of_the_systems():
    from airflow_workflow_provider.hooks.stevesie import METHODS
    from airflow_workflow_provider.operators import stevesie

    assert METHODS == stevesie.METHODS
    assert RUN_MODES == ("engine", "job", "workfile")
    assert WORKFLOW_APIS == ("dataflow", "flow")
    assert "Default" in PRIORITIES

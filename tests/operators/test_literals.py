"""Wrong literals fail while the DAG file is parsed; a template is checked when the task runs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection
from airflow_workflow_provider.operators.alteryx import PRIORITIES, AlteryxRunWorkflowOperator
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.chorus import ChorusRunWorkflowOperator
from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator, StevesieUpdateCollectionOperator
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator, RunWorkflowOperator
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.sensors.chorus import ChorusWorkflowRunSensor
from airflow_workflow_provider.sensors.invision import InvisionDataFlowRunSensor
from airflow_workflow_provider.sensors.stevesie import StevesieWorkflowRunSensor
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor
from airflow_workflow_provider.systems.chorus.choices import RUN_MODES
from airflow_workflow_provider.systems.invision.choices import WORKFLOW_APIS
from tests.operators.staging import executed

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
    (CartoRunWorkflowOperator, {"workflow": None}, "workflow"),
    (CartoRunWorkflowOperator, {"workflow": ["a"]}, "workflow"),
    (CartoRunWorkflowOperator, {"timeout": [60]}, "timeout"),
    (CartoRunWorkflowOperator, {"log_interval": {}}, "log_interval"),
    (CartoRunWorkflowOperator, {"deferrable": "false"}, "deferrable"),
    (CartoRunWorkflowOperator, {"reattach": "no"}, "reattach"),
    (CartoRunWorkflowOperator, {"cancel_on_kill": None}, "cancel_on_kill"),
    (CartoRunWorkflowOperator, {"get_logs": "{{ params.logs }}"}, "get_logs: .* it is no template field"),
    (CartoRunWorkflowOperator, {"carto_conn_id": ""}, "carto_conn_id: is empty"),
    (CartoRunWorkflowOperator, {"carto_connection": " "}, "carto_connection"),
    (CartoRunWorkflowOperator, {"check_parameters": "yes"}, "check_parameters"),
    (AlteryxRunWorkflowOperator, {"worker_tag": ["a"]}, "worker_tag"),
    (AlteryxRunWorkflowOperator, {"credential_id": True}, "credential_id"),
    (StevesieRunWorkflowOperator, {"maximum_requests_count": 0}, "maximum_requests_count"),
    (StevesieRunWorkflowOperator, {"maximum_requests_count": "many"}, "maximum_requests_count"),
    (StevesieRunWorkflowOperator, {"results_grace": -1}, "results_grace"),
    (StevesieRunWorkflowOperator, {"proxy": {"url": "http://user:password@host"}}, "proxy"),
    (StevesieRunWorkflowOperator, {"proxy": "shared"}, "proxy"),
    (InvisionRunDataFlowOperator, {"execution_arguments": [1]}, "execution_arguments"),
    (RunWorkflowOperator, {"system": "carto", "start_options": "priority=High"}, "start_options"),
    (RunWorkflowOperator, {}, "system"),
    (RunWorkflowOperator, {"system": ""}, "system"),
]


@pytest.mark.parametrize(("operator", "arguments", "name"), WRONG)
def test_a_wrong_literal_is_refused_where_the_dag_is_written(operator, arguments, name):
    with pytest.raises((InvalidArgument, InvalidConnection), match=rf"^{name}"):
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
        {"workflow": "{{ params.workflow }}", "carto_conn_id": "{{ params.conn_id }}"},
        {"workflow": 17, "reattach": 0, "carto_conn_id": None},
        {"query_parameters": "state=TX"},
    ],
)
def test_what_may_be_right_is_left_to_the_task(arguments):
    CartoRunWorkflowOperator(**{**RUN, **arguments})


def test_a_mapped_task_is_checked_when_it_runs(carto):
    """Before it is refused, it must look after the run that an earlier try may have started."""
    arguments = {**RUN, "workflow": carto["airports_by_state"], "reattach": "no", "check_parameters": "no"}
    task = CartoRunWorkflowOperator(**arguments, _airflow_from_mapped=True)
    with pytest.raises(InvalidArgument, match=r"^reattach: expected True or False, not 'no'"):
        executed(lambda: task)
    assert carto.asked() == []


def test_a_template_is_checked_when_the_task_runs(carto):
    task = CartoRunWorkflowOperator(**RUN, carto_connection="{{ params.connection }}")
    task.carto_connection = " "  # what the template has rendered to
    with pytest.raises(InvalidArgument, match=r"^carto_connection: is empty"):
        executed(lambda: task)
    assert carto.asked() == []


@pytest.mark.parametrize("priority", ["low", " Medium ", 2, "3", "{{ params.priority }}", None])
def test_a_priority_has_several_spellings(priority):
    AlteryxRunWorkflowOperator(**RUN, priority=priority)


@pytest.mark.parametrize("arguments", [{}, {"run": "x", "run_id": "y"}])
def test_a_sensor_takes_one_of_run_and_run_id(arguments):
    with pytest.raises(InvalidArgument, match="give one of the two"):
        CartoWorkflowRunSensor(task_id="t", **arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"run": ""}, "run: is empty"),
        ({"run": '{"system": "carto"}'}, "run: the run object lacks"),
        ({"run": True}, "run: expected a run object"),
        ({"run_id": "1"}, "system: is missing"),
        ({"run_id": "1", "system": "carto", "workflow": []}, "workflow: expected text"),
        ({"run": "{{ 1 }}", "deferrable": "no"}, "deferrable: expected True or False"),
        ({"run": "{{ 1 }}", "system": 5}, "system: expected text"),
        ({"run": "{{ 1 }}", "conn_id": ""}, "conn_id: is empty"),
    ],
)
def test_a_sensor_refuses_a_wrong_literal(arguments, said):
    with pytest.raises((InvalidArgument, InvalidConnection), match=f"^{said}"):
        WorkflowRunSensor(task_id="t", **arguments)


@pytest.mark.parametrize(
    ("sensor", "arguments", "name"),
    [
        (ChorusWorkflowRunSensor, {"run_mode": "flow"}, "run_mode"),
        (InvisionDataFlowRunSensor, {"workflow_api": "flows"}, "workflow_api"),
        (StevesieWorkflowRunSensor, {"results_grace": "soon"}, "results_grace"),
        (StevesieWorkflowRunSensor, {"fail_on_empty_results": "no"}, "fail_on_empty_results"),
        (CartoWorkflowRunSensor, {"carto_connection": ""}, "carto_connection"),
        (CartoWorkflowRunSensor, {"run_id": Run("stevesie", "c", "w", "1")}, "run: belongs to the system 'stevesie'"),
    ],
)
def test_a_sensor_refuses_a_wrong_literal_of_its_own(sensor, arguments, name):
    with pytest.raises(InvalidArgument, match=f"^{name}"):
        sensor(task_id="t", **{"run_id": "1", **arguments})


@pytest.mark.parametrize("arguments", [{"poke_interval": -1}, {"timeout": 0}, {"expected_duration": "x"}])
def test_a_sensor_refuses_a_wrong_duration(arguments):
    with pytest.raises(InvalidArgument):
        WorkflowRunSensor(task_id="t", run="{{ 1 }}", **arguments)


def test_a_collection_is_changed_in_three_ways():
    with pytest.raises(InvalidArgument, match=r"^method"):
        StevesieUpdateCollectionOperator(task_id="t", collection_id="c", items=[], method="append")


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (None, "expected a list, not NoneType"),
        ("abc", "expected a list, not str"),
        ({"a": 1}, "expected a list, not dict"),
        (["a", None], "expected text or numbers, not None"),
        ([["a"]], "expected text or numbers, not"),
    ],
)
def test_a_collection_takes_a_list_of_text_or_numbers(items, said):
    with pytest.raises(InvalidArgument, match=f"^items: {said}"):
        StevesieUpdateCollectionOperator(task_id="t", collection_id="c", items=items)


@pytest.mark.parametrize("run", [None, "", "17", True, '{"system": "carto"}'])
def test_a_cancel_needs_a_run(run):
    with pytest.raises(InvalidArgument, match=r"^run: "):
        CancelWorkflowRunOperator(task_id="t", run=run)


def test_the_choices_are_those_of_the_systems():
    from airflow_workflow_provider.hooks.stevesie import METHODS
    from airflow_workflow_provider.operators import stevesie

    assert METHODS == stevesie.METHODS
    assert RUN_MODES == ("engine", "job", "workfile")
    assert WORKFLOW_APIS == ("dataflow", "flow")
    assert "Default" in PRIORITIES

"""`run_task` and `run_dag` do what Airflow does with a task, in every mode."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_workflow_provider.exceptions import RunFailed, WorkflowSensorTimeout
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.testing import run_dag, run_task
from airflow_workflow_provider.testing.plugin import QUICK, RUN_TIMES

AIRPORTS = "CALL `carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_307b59a91fd55ef6`(@state)"


@pytest.fixture(autouse=True)
def quick_sandbox(sandbox):
    """A sandbox whose runs take a moment."""
    for key, system in sandbox.app.systems.items():
        sandbox.settings(key, **{name: QUICK for name in RUN_TIMES if name in system.settings.to_json()})
    return sandbox


def carto(**changes):
    return CartoRunWorkflowOperator(
        **{"task_id": "run", "workflow": AIRPORTS, "query_parameters": {"state": "TX"}, **changes}
    )


@pytest.mark.parametrize("mode", ["sync", "deferrable"])
def test_an_error_of_the_task_is_raised(mode):
    with pytest.raises(RunFailed):
        run_task(carto(workflow=AIRPORTS.replace("55ef6", "55ef7")), mode=mode)


def test_the_task_of_the_caller_is_not_changed(sandbox):
    operator = carto(poll_interval=7, query_parameters={"state": "{{ params.state }}"}, params={"state": "AK"})
    run_task(operator, mode="deferrable")
    assert (operator.deferrable, operator.poll_interval) == (False, 7)
    assert operator.query_parameters == {"state": "{{ params.state }}"}
    assert [run["parameters"] for run in sandbox.runs("carto")] == [{"state": "AK"}]


@pytest.mark.parametrize("how", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=str)
def test_a_sensor_runs_in_each_of_its_modes(how):
    started = run_task(carto(wait_for_completion=False)).value
    ended = run_task(CartoWorkflowRunSensor(task_id="wait", run=started, timeout=60, **how))
    assert ended.value["state"] == "succeeded"


def test_a_sensor_times_out(sandbox):
    sandbox.settings("carto", running_seconds=600)
    started = run_task(carto(wait_for_completion=False)).value
    with pytest.raises(WorkflowSensorTimeout):
        run_task(CartoWorkflowRunSensor(task_id="wait", run=started, timeout=timedelta(seconds=0.3), mode="poke"))


def test_the_output_of_an_earlier_task_has_to_be_given():
    with DAG("dag", schedule=None):
        start = carto(task_id="start", wait_for_completion=False)
        wait = CartoWorkflowRunSensor(task_id="wait", run=start.output, timeout=60)
    with pytest.raises(KeyError, match=r"no XCom of task 'start'; give xcoms"):
        run_task(wait)
    assert run_task(wait, xcoms={"start": run_task(start).value}).value["state"] == "succeeded"


def test_a_decorated_task_runs_by_its_output():
    @task
    def double(value: int) -> int:
        return 2 * value

    with DAG("dag", schedule=None):
        doubled = double(21)
    assert run_task(doubled).value == 42


def test_a_mapped_task_is_refused():
    mapped = CartoRunWorkflowOperator.partial(task_id="run", workflow=AIRPORTS).expand(query_parameters=[{}])
    with pytest.raises(TypeError, match="'run' is mapped"):
        run_task(mapped)


@pytest.mark.system
def test_a_dag_with_a_mapped_task_runs_in_the_mode_that_is_wanted(sandbox):
    with DAG("mapped", schedule=None) as dag:
        runs = CartoRunWorkflowOperator.partial(task_id="run", workflow=AIRPORTS).expand(
            query_parameters=[{"state": "AK"}, {"state": "TX"}]
        )
    ended = run_dag(dag, mode="deferrable")
    assert ended.state == "success"
    assert ended.tasks == {"run[0]": "success", "run[1]": "success"}
    assert len(sandbox.runs("carto")) == 2
    assert "deferrable" not in runs.partial_kwargs


@pytest.mark.system
def test_a_failed_task_does_not_raise_but_shows():
    with DAG("failing", schedule=None) as dag:
        carto(workflow=AIRPORTS.replace("55ef6", "55ef7"))
    ended = run_dag(dag)
    assert (ended.state, ended.tasks) == ("failed", {"run": "failed"})

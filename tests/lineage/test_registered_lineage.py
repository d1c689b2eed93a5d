"""Tasks of a system of another distribution tell OpenLineage what those of a built-in one tell."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from openlineage.client.event_v2 import RunState

from airflow_workflow_provider.exceptions import RunFailed
from airflow_workflow_provider.lineage.facets import JOB, RUN
from airflow_workflow_provider.operators.workflow import RunWorkflowOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from tests.operators.staging import Deferral, TaskInstance, context_of
from tests.systems import house as houses
from tests.systems.installing import installations


@pytest.fixture
def house(tmp_path, monkeypatch):
    """The server, a connection to it, and its system as a distribution."""
    with installations(tmp_path, monkeypatch) as install, houses.running() as server:
        install("house", "house", value="tests.systems.house:HouseSystem")
        monkeypatch.setenv("AIRFLOW_CONN_HOUSE_DEFAULT", json.dumps(server.connection))
        server.ends_at_once = True
        yield server


def ended(make, context):
    """Run a task to its end in the mode that it is made for; give the operator that saw it, and what it returned."""
    operator = make()
    try:
        return operator, operator.execute(context)
    except TaskDeferred as signal:
        event = Deferral(make, context, signal).event()
    operator = make()
    return operator, operator.execute_complete(context, event)


def task(mode):
    """The run operator."""
    return RunWorkflowOperator(
        task_id="run",
        system="house",
        workflow="report",
        query_parameters={"n": 3, "name": "not for everybody"},
        poll_interval=0.02,
        deferrable=mode == "deferrable",
    )


def test_a_run_that_succeeded_is_described_with_its_outputs(house, mode, told):
    operator, run = ended(lambda: task(mode), context_of(TaskInstance()))
    event = told(operator.get_openlineage_facets_on_complete(None))
    facet = event["run"]["facets"][RUN]
    (job,) = house.jobs
    assert (facet["system"], facet["workflow"], facet["runId"], facet["state"]) == ("house", "report", job, "succeeded")
    assert facet["parameterNames"] == ["n", "name"]
    assert "not for everybody" not in json.dumps(event)
    assert event["job"]["facets"][JOB]["system"] == "house"
    assert event["run"]["facets"]["externalQuery"]["externalQueryId"] == run["run_id"] == job
    server = house.url.partition("//")[2]
    names = [(output["namespace"], output["name"]) for output in event["outputs"]]
    assert names == [(f"house://{server}", "report/a table"), (f"house://{server}", "report/odd/name")]


def test_a_run_that_failed_is_described_with_the_words_of_its_server(house, mode, told):
    house.ends_at_once = False
    original = house.submitted

    def failing(*arguments, **more):
        job = original(*arguments, **more)
        job.code, job.why = 3, "no space"
        return job

    house.submitted = failing
    made = []

    def make():
        made.append(task(mode))
        return made[-1]

    with pytest.raises(RunFailed, match="no space"):
        ended(make, context_of(TaskInstance()))
    event = told(made[-1].get_openlineage_facets_on_failure(None), RunState.FAIL)
    facets = event["run"]["facets"]
    assert (facets[RUN]["system"], facets[RUN]["state"]) == ("house", "failed")
    assert "no space" in facets["errorMessage"]["message"]
    assert not event.get("outputs")


def test_a_run_and_a_load_name_the_same_dataset(house, mode, told, tmp_path, monkeypatch):
    """What the run gives is what the load takes."""
    operator, run = ended(lambda: task(mode), context_of(TaskInstance()))
    given = told(operator.get_openlineage_facets_on_complete(None))["outputs"]
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "t.db")}))
    load = WorkflowOutputToSqlOperator(task_id="load", run=run, output_name="a table", sql_conn_id="db", table="t")
    load.execute(context_of(TaskInstance()))
    event = told(load.get_openlineage_facets_on_complete(None))
    (taken,) = event["inputs"]
    assert (taken["namespace"], taken["name"]) in [(one["namespace"], one["name"]) for one in given]
    assert event["outputs"][0]["name"].endswith("t")

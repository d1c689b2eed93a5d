"""What tasks tell OpenLineage, from what they know when they end; every event is one that its client takes."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import Asset, TaskDeferred
from openlineage.client.event_v2 import RunState

from airflow_workflow_provider.assets.places import landed
from airflow_workflow_provider.exceptions import RunFailed, WorkflowError
from airflow_workflow_provider.lineage.facets import JOB, RUN
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.protocol import model
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from tests.assets.collecting import new_events
from tests.operators.staging import Deferral, TaskInstance, context_of

SECRET = "not for everybody"


def ended(make, context):
    """Run a task to its end; give the operator that saw it, and the error that it ended with."""
    operator = make()
    try:
        operator.execute(context)
    except TaskDeferred as signal:
        event = Deferral(make, context, signal).event()
        operator = make()
        try:
            operator.execute_complete(context, event)
        except WorkflowError as error:
            return operator, error
    except WorkflowError as error:
        return operator, error
    return operator, None


def test_a_run_that_succeeded_is_described(story, told):
    """Of every system, in both modes: which run of which workflow, its outputs, and its parameters by name only."""
    operator, error = ended(story.operator(), story.context)
    asked = len(story.sandbox.requests(story.case.system))
    event = told(operator.get_openlineage_facets_on_complete(None))
    run = model.Run.from_json(story.ti.xcoms["run"])
    facet = event["run"]["facets"][RUN]
    assert error is None
    assert (facet["system"], facet["runId"], facet["state"]) == (story.case.system, run.run_id, "succeeded")
    assert facet["parameterNames"] == sorted(story.case.good.parameters or {})
    assert event["job"]["facets"][JOB]["workflow"] == run.workflow == story.case.good.workflow
    assert event["run"]["facets"]["externalQuery"]["externalQueryId"] == run.run_id
    assert len(event["outputs"]) == len(run.outputs)
    assert len(story.sandbox.requests(story.case.system)) == asked, "lineage asks no API"


def test_a_run_that_failed_is_described_with_its_error(story, told):
    operator, error = ended(story.operator(story.case.bad), story.context)
    assert isinstance(error, RunFailed)
    event = told(operator.get_openlineage_facets_on_failure(None), RunState.FAIL)
    facets = event["run"]["facets"]
    assert facets[RUN]["state"] == "failed"
    assert story.case.blame in facets["errorMessage"]["message"] == facets[RUN]["message"]
    assert "outputs" not in event or event["outputs"] == []


def test_an_output_table_has_the_name_that_its_warehouse_has_in_lineage(sandbox, told):
    operator, _ = ended(
        lambda: CartoRunWorkflowOperator(
            task_id="t",
            workflow=procedure(sandbox, "airports_in_state"),
            query_parameters={"state": "VT"},
            poll_interval=0.02,
        ),
        context_of(TaskInstance()),
    )
    event = told(operator.get_openlineage_facets_on_complete(None))
    (output,) = event["outputs"]
    assert output["namespace"] == "bigquery"
    assert output["name"] == operator._run.output_location


def test_columns_are_told_where_the_run_tells_them(told):
    operator = CartoRunWorkflowOperator(task_id="t", workflow="w")
    output = model.Output("t", "table", "p.d.t")
    details = {"columns": {"t": [["id", "number"], ["name", "string"]]}}
    operator._run = model.Run("carto", "c", "w", "1", model.RunState.SUCCEEDED, outputs=(output,), details=details)
    operator._landed = landed(operator._run, {})
    (found,) = told(operator.get_openlineage_facets_on_complete(None))["outputs"]
    assert [(one["name"], one["type"]) for one in found["facets"]["schema"]["fields"]] == [
        ("id", "number"),
        ("name", "string"),
    ]


def test_a_task_that_ended_before_there_was_a_run_tells_nothing(sandbox):
    sandbox.settings("carto", revoked_tokens=["sandbox-carto-token"])
    operator, error = ended(lambda: CartoRunWorkflowOperator(task_id="t", workflow="a.b.c"), context_of(TaskInstance()))
    assert isinstance(error, WorkflowError)
    assert operator.get_openlineage_facets_on_failure(None) is None


def test_no_parameter_is_told_by_its_value(sandbox, told):
    operator, _ = ended(
        lambda: CartoRunWorkflowOperator(
            task_id="t",
            workflow=procedure(sandbox, "airports_in_state"),
            query_parameters=lambda context, jinja_env: {"state": SECRET},
            poll_interval=0.02,
        ),
        context_of(TaskInstance()),
    )
    event = told(operator.get_openlineage_facets_on_complete(None))
    assert event["run"]["facets"][RUN]["parameterNames"] == ["state"]
    assert SECRET not in json.dumps(event)


@pytest.fixture
def run(sandbox):
    """A run that has succeeded."""
    operator, _ = ended(
        lambda: CartoRunWorkflowOperator(
            task_id="t",
            workflow=procedure(sandbox, "airports_in_state"),
            query_parameters={"state": "VT"},
            poll_interval=0.02,
        ),
        context_of(TaskInstance()),
    )
    return operator._run


def test_the_columns_of_an_output_table_are_told(run):
    """The run has seen them when it ended."""
    assert [name for name, _ in run.details["columns"][run.outputs[0].name]][:2] == ["iata", "name"]


def test_a_load_leads_from_the_runs_output_to_the_table(run, told, tmp_path, monkeypatch):
    place = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({"conn_type": "sqlite", "host": str(place)}))
    operator = WorkflowOutputToSqlOperator(task_id="land", run=run, sql_conn_id="target", table="airports")
    returned = operator.execute(context_of(TaskInstance(task_id="land")))
    event = told(operator.get_openlineage_facets_on_complete(None))
    assert [(one["namespace"], one["name"]) for one in event["inputs"]] == [("bigquery", run.output_location)]
    (output,) = event["outputs"]
    assert (output["namespace"], output["name"]) == (f"sqlite://{place}", "airports")
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == returned["rows"] > 0


def test_the_checks_of_a_load_are_told(run, told, tmp_path, monkeypatch):
    """In the dataset's facet of data quality, and in the event of an asset in the outlets."""
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "w.db")}))
    asset = Asset("x://airports")
    operator = WorkflowOutputToSqlOperator(
        task_id="land",
        run=run,
        sql_conn_id="target",
        table="airports",
        expect={"min_rows": 1, "not_null": ["iata"], "sql": "iata <> ''"},
        outlets=[asset],
    )
    events = new_events()
    returned = operator.execute({**context_of(TaskInstance(task_id="land")), "outlet_events": events})
    (output,) = told(operator.get_openlineage_facets_on_complete(None))["outputs"]
    found = output["facets"]["dataQualityAssertions"]["assertions"]
    assert [(one["assertion"], one["success"], one.get("column")) for one in found] == [
        ("min_rows", True, None),
        ("not_null", True, "iata"),
        ("sql: iata <> ''", True, None),
    ]
    extra = events[asset].extra
    assert extra["row_count"] == returned["rows"]
    told_checks = extra["checks"] if not isinstance(extra["checks"], str) else json.loads(extra["checks"])
    assert list(map(dict, told_checks)) == returned["checks"]


def test_a_file_is_named_by_its_address(run, told, tmp_path):
    operator = WorkflowOutputToObjectStorageOperator(
        task_id="land", run=run, path=f"{tmp_path.as_uri()}/{{output}}.csv", format="csv"
    )
    operator.execute(context_of(TaskInstance(task_id="land")))
    event = told(operator.get_openlineage_facets_on_complete(None))
    (output,) = event["outputs"]
    assert (output["namespace"], output["name"]) == ("file", f"{tmp_path}/{run.outputs[0].name}.csv")


def test_a_transfer_that_failed_tells_what_it_was_to_read(run, told, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "w.db")}))
    operator = WorkflowOutputToSqlOperator(
        task_id="land", run=run, sql_conn_id="target", table="airports", column_types={"name": "int64"}
    )
    with pytest.raises(WorkflowError, match="name"):
        operator.execute(context_of(TaskInstance(task_id="land")))
    event = told(operator.get_openlineage_facets_on_failure(None), RunState.FAIL)
    assert [one["name"] for one in event["inputs"]] == [run.output_location]
    assert event.get("outputs", []) == []


def procedure(sandbox, name):
    """The full name of a workflow's procedure."""
    return next(one.workflow for one in sandbox.app.systems["carto"].describe() if one.name == name)

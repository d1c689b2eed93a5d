"""A DAG that the tests run whole: mapped runs into one table and into a file each, and what comes by XCom."""

from __future__ import annotations

import json
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.sandbox.carto.catalog import WORKFLOWS
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

PROCEDURES = {workflow.name: workflow.procedure for workflow in WORKFLOWS}

with DAG(dag_id="landing", schedule=None, params={"state": "CA"}) as landing:
    runs = CartoRunWorkflowOperator.partial(
        task_id="run", workflow=PROCEDURES["airports_in_state"], poll_interval=0.1
    ).expand(query_parameters=[{"state": state} for state in ("TX", "CA")])

    land_all = WorkflowOutputToSqlOperator(
        task_id="land_all",
        run=runs.output,
        sql_conn_id="warehouse",
        table="{{ 'airports' }}",
        if_exists="replace_where",
        where="state = '{{ params.state }}'",
        columns="{{ ['iata', 'state'] | tojson }}",
        column_types={"iata": "string"},
    )
    land_each = WorkflowOutputToObjectStorageOperator.partial(
        task_id="land_each", path="{{ dag_run.conf['folder'] }}/{run_id}.csv", format="csv"
    ).expand(run=runs.output)

    @task
    def report(whole, rows, paths, dag_run=None):
        """Write down what came by XCom."""
        found = {"whole": whole, "rows": rows, "paths": list(paths)}
        (Path(dag_run.conf["folder"]) / "report.json").write_text(json.dumps(found))

    report(land_all.output, land_all.output["rows"], land_each.output["path"])  # type: ignore[index]

"""From an app of Alteryx Server to a table and two files.

An app runs with answers to its questions and leaves two files: the months become rows of a SQL table, the days a
Parquet file. A second app is found by its name, started by one task and awaited by another; its file is kept as it is.

To run it against the sandbox: start ``python -m airflow_workflow_provider.sandbox``, copy the connections that it
prints, and add a connection ``warehouse`` to any SQL database. For your own server change ``alteryx_default`` and, when
you trigger the DAG, the app and its questions.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_workflow_provider.operators.alteryx import AlteryxRunWorkflowOperator
from airflow_workflow_provider.sensors.alteryx import AlteryxWorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

WEATHER_REPORT = "5f0e2c000000000000000003"
AIRPORTS = "name:Airports"

with DAG(
    dag_id="example_alteryx",
    schedule=None,
    catchup=False,
    # Safe with every run operator: a retry takes over the run that an earlier try started (Airflow 3.3+).
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["example", "alteryx"],
    params={
        "app": Param(WEATHER_REPORT, type="string", description="The id of the app that reports on a year"),
        "year": Param(2015, type="integer", description="2012 to 2015"),
        "state": Param("VT", type="string", description="The state whose airports become a file"),
        "landing_zone": Param((Path(tempfile.gettempdir()) / "landing").as_uri(), type="string"),
    },
):
    # [START howto_operator_alteryx]
    run_app = AlteryxRunWorkflowOperator(
        task_id="run_app",
        workflow="{{ params.app }}",
        query_parameters={"Year": "{{ params.year }}"},
        priority="High",
        alteryx_conn_id="alteryx_default",
        deferrable=True,
        poll_interval=2,
        timeout=timedelta(minutes=10),
    )
    # [END howto_operator_alteryx]

    # [START howto_transfer_alteryx]
    load_months = WorkflowOutputToSqlOperator(
        task_id="load_months",
        run=run_app.output,
        output_name="monthly.csv",
        sql_conn_id="warehouse",
        table="weather_by_month",
        if_exists="replace",
    )
    write_days = WorkflowOutputToObjectStorageOperator(
        task_id="write_days",
        run=run_app.output,
        output_name="daily.yxdb",
        path="{{ params.landing_zone }}/weather_of_{{ params.year }}_{run_id}.parquet",
        format="parquet",
        overwrite=True,
    )
    # [END howto_transfer_alteryx]

    # [START howto_sensor_alteryx]
    start_app = AlteryxRunWorkflowOperator(
        task_id="start_app",
        workflow=AIRPORTS,
        query_parameters={"State": "{{ params.state }}"},
        alteryx_conn_id="alteryx_default",
        wait_for_completion=False,
    )
    wait_for_app = AlteryxWorkflowRunSensor(
        task_id="wait_for_app",
        run=start_app.output,
        alteryx_conn_id="alteryx_default",
        deferrable=True,
        poke_interval=2,
        timeout=600,
    )
    # [END howto_sensor_alteryx]

    keep_file = WorkflowOutputToObjectStorageOperator(
        task_id="keep_file",
        run=wait_for_app.output,
        path="{{ params.landing_zone }}/airports_in_{{ params.state }}_{run_id}.csv",
        format="raw",
        overwrite=True,
    )

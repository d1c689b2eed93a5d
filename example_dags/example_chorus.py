"""From a flow of TIBCO Data Science Team Studio (Alpine Chorus) to a table and a file.

The engine runs a flow with variables. The whole table that the flow leaves in its workspace becomes rows of a SQL
table; the stored result of one operator, 25 rows at most, becomes a file. A Job is started by one task and awaited by
another.

To run it against the sandbox: start ``python -m airflow_workflow_provider.sandbox``, copy the connections that it
prints, and add a connection ``warehouse`` to any SQL database. For your own server change ``chorus_default`` and, when
you trigger the DAG, the ids and the variables.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_workflow_provider.operators.chorus import ChorusRunWorkflowOperator
from airflow_workflow_provider.sensors.chorus import ChorusWorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

WEATHER_DAYS = "1000004"
TWO_STEPS = "1000002"

with DAG(
    dag_id="example_chorus",
    schedule=None,
    catchup=False,
    # Safe with every run operator: a retry takes over the run that an earlier try started (Airflow 3.3+).
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["example", "chorus"],
    params={
        "workfile": Param(WEATHER_DAYS, type="string", description="The id of the workfile with the flow"),
        "job": Param(TWO_STEPS, type="string", description="The id of a Job"),
        "weather": Param("snow", type="string", enum=["drizzle", "fog", "rain", "snow", "sun"]),
        "landing_zone": Param((Path(tempfile.gettempdir()) / "landing").as_uri(), type="string"),
    },
):
    # [START howto_operator_chorus]
    run_flow = ChorusRunWorkflowOperator(
        task_id="run_flow",
        workflow="{{ params.workfile }}",
        # The engine puts the text of a variable into SQL as it is, so this one brings its quotes along.
        query_parameters={"weather": "'{{ params.weather }}'", "min_temp": -10, "marker": "'{{ run_id }}'"},
        chorus_conn_id="chorus_default",
        deferrable=True,
        poll_interval=2,
        timeout=timedelta(minutes=10),
    )
    # [END howto_operator_chorus]

    # [START howto_transfer_chorus]
    load_table = WorkflowOutputToSqlOperator(
        task_id="load_table",
        run=run_flow.output,
        output_name="table:weather_days",
        sql_conn_id="warehouse",
        table="weather_days",
        if_exists="replace",
    )
    write_result = WorkflowOutputToObjectStorageOperator(
        task_id="write_result",
        run=run_flow.output,
        output_name="Monthly Means",
        path="{{ params.landing_zone }}/monthly_means_{run_id}.csv",
        format="csv",
        overwrite=True,
    )
    # [END howto_transfer_chorus]

    # [START howto_sensor_chorus]
    start_job = ChorusRunWorkflowOperator(
        task_id="start_job",
        workflow="{{ params.job }}",
        run_mode="job",
        chorus_conn_id="chorus_default",
        wait_for_completion=False,
    )
    wait_for_job = ChorusWorkflowRunSensor(
        task_id="wait_for_job",
        run=start_job.output,
        chorus_conn_id="chorus_default",
        deferrable=True,
        poke_interval=2,
        timeout=600,
    )
    # [END howto_sensor_chorus]

    write_numbers = WorkflowOutputToObjectStorageOperator(
        task_id="write_numbers",
        run=wait_for_job.output,
        output_name="Numbers",
        path="{{ params.landing_zone }}/numbers.jsonl",
        format="jsonl",
        overwrite=True,
    )

"""From a collection of inputs, through a Stevesie workflow, to a table and files.

A collection gets exactly the inputs of this run, a workflow is executed with it, and its results become rows of a SQL
table and files in object storage. A second workflow is started by one task with a time window, which Stevesie wants in
seconds since 1970, and awaited by another.

To run it against the sandbox: start ``python -m airflow_workflow_provider.sandbox``, copy the connections that it
prints, and add a connection ``warehouse`` to any SQL database. For your own account change ``stevesie_default`` and,
when you trigger the DAG, the ids.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator, StevesieUpdateCollectionOperator
from airflow_workflow_provider.sensors.stevesie import StevesieWorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

SEATTLE_WEATHER = "5e7e51e0-0001-4000-8000-000000000002"
YEARS = "5e7e51e0-0003-4000-8000-000000000002"
STOCK_PRICES = "name:Stock prices"

with DAG(
    dag_id="example_stevesie",
    schedule=None,
    catchup=False,
    # Safe with every run operator: a retry takes over the run that an earlier try started (Airflow 3.3+).
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["example", "stevesie"],
    params={
        "workflow": Param(SEATTLE_WEATHER, type="string", description="The id of the workflow that reads years"),
        "collection": Param(YEARS, type="string", description="The id of the collection that feeds it"),
        "years": Param(["2013", "2014"], type="array", description="2012 to 2015"),
        "since": Param("2009-01-01T00:00:00Z", type="string", description="Prices from this moment on"),
        "until": Param("2010-01-01T00:00:00Z", type="string", description="Prices up to this moment"),
        "landing_zone": Param((Path(tempfile.gettempdir()) / "landing").as_uri(), type="string"),
    },
):
    # [START howto_operator_stevesie_collection]
    set_years = StevesieUpdateCollectionOperator(
        task_id="set_years",
        collection_id="{{ params.collection }}",
        items="{{ params.years | tojson }}",
        method="replace",
        stevesie_conn_id="stevesie_default",
    )
    # [END howto_operator_stevesie_collection]

    # [START howto_operator_stevesie]
    run_workflow = StevesieRunWorkflowOperator(
        task_id="run_workflow",
        workflow="{{ params.workflow }}",
        maximum_requests_count=1000,
        output_aggregation_format="csv",
        stevesie_conn_id="stevesie_default",
        deferrable=True,
        poll_interval=2,
        timeout=timedelta(minutes=10),
    )
    # [END howto_operator_stevesie]
    set_years >> run_workflow

    # [START howto_transfer_stevesie]
    load_months = WorkflowOutputToSqlOperator(
        task_id="load_months",
        run=run_workflow.output,
        output_name="results.csv",
        sql_conn_id="warehouse",
        table="months",
        columns={"results.year": "year", "results.month": "month", "results.days_count": "days"},
        if_exists="replace",
    )
    keep_files = WorkflowOutputToObjectStorageOperator(
        task_id="keep_files",
        run=run_workflow.output,
        output_name="*",
        path="{{ params.landing_zone }}/{run_id}_{output}",
        format="raw",
        overwrite=True,
    )
    # [END howto_transfer_stevesie]

    # [START howto_sensor_stevesie]
    start_workflow = StevesieRunWorkflowOperator(
        task_id="start_workflow",
        workflow=STOCK_PRICES,
        query_parameters={"min_timestamp": "{{ params.since }}", "max_timestamp": "{{ params.until }}"},
        parameter_types={"min_timestamp": "timestamp", "max_timestamp": "timestamp"},
        stevesie_conn_id="stevesie_default",
        wait_for_completion=False,
    )
    wait_for_workflow = StevesieWorkflowRunSensor(
        task_id="wait_for_workflow",
        run=start_workflow.output,
        stevesie_conn_id="stevesie_default",
        deferrable=True,
        poke_interval=2,
        timeout=600,
    )
    # [END howto_sensor_stevesie]

    load_prices = WorkflowOutputToSqlOperator(
        task_id="load_prices",
        run=wait_for_workflow.output,
        sql_conn_id="warehouse",
        table="prices",
        if_exists="replace",
    )

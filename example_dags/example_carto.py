"""Run two CARTO workflows, and load their results into a table and a Parquet file.

The first workflow is started and awaited by one task, which frees its worker slot while it waits. Its result table is
loaded into a SQL database. The second workflow is started by one task and awaited by another. Its result table becomes
a Parquet file. The last task reads both.

``make demo`` runs this against the sandbox. To run it yourself: start the sandbox with
``python -m airflow_workflow_provider.sandbox``, copy the connections that it prints, and add a connection
``warehouse`` to any SQL database. For your own CARTO account change ``carto_default`` and the two procedures below,
which are shown in a workflow's API dialog.
"""

from __future__ import annotations

import logging
import tempfile
from datetime import timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, BaseHook, Param, task

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

log = logging.getLogger(__name__)

AIRPORTS_BY_STATE = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_a07f782a8f13e8a8"
AIRPORTS_IN_STATE = "CALL `carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_307b59a91fd55ef6`(@state)"

with DAG(
    dag_id="example_carto",
    schedule=None,
    catchup=False,
    # Safe with every run operator: a retry takes over the run that an earlier try started (Airflow 3.3+).
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["example", "carto"],
    params={
        "min_airports": Param(50, type="integer", description="States with fewer airports are left out"),
        "state": Param("TX", type="string", description="The state whose airports become a file"),
        "landing_zone": Param((Path(tempfile.gettempdir()) / "landing").as_uri(), type="string"),
    },
):
    # [START howto_operator_carto]
    run_workflow = CartoRunWorkflowOperator(
        task_id="run_workflow",
        workflow=AIRPORTS_BY_STATE,
        query_parameters={"min_airports": "{{ params.min_airports }}"},
        parameter_types={"min_airports": "int64"},
        carto_conn_id="carto_default",
        deferrable=True,
        poll_interval=2,
        timeout=timedelta(minutes=10),
    )
    # [END howto_operator_carto]

    # [START howto_transfer_workflow_to_sql]
    load_table = WorkflowOutputToSqlOperator(
        task_id="load_table",
        run=run_workflow.output,
        sql_conn_id="warehouse",
        table="airports_by_state",
        if_exists="replace",
    )
    # [END howto_transfer_workflow_to_sql]

    # [START howto_sensor_carto]
    start_workflow = CartoRunWorkflowOperator(
        task_id="start_workflow",
        workflow=AIRPORTS_IN_STATE,
        query_parameters={"state": "{{ params.state }}"},
        carto_conn_id="carto_default",
        wait_for_completion=False,
    )
    wait_for_workflow = CartoWorkflowRunSensor(
        task_id="wait_for_workflow",
        run=start_workflow.output,
        carto_conn_id="carto_default",
        deferrable=True,
        poke_interval=2,
        timeout=600,
    )
    # [END howto_sensor_carto]

    # [START howto_transfer_workflow_to_object_storage]
    write_file = WorkflowOutputToObjectStorageOperator(
        task_id="write_file",
        run=wait_for_workflow.output,
        path="{{ params.landing_zone }}/airports_in_{{ params.state }}_{run_id}.parquet",
        format="parquet",
        overwrite=True,
    )
    # [END howto_transfer_workflow_to_object_storage]

    @task
    def read_landed(table: str, path: str) -> int:
        """Read the loaded rows, as any later task can, and return the number of states."""
        rows = BaseHook.get_hook("warehouse").get_records(f"SELECT state, airports FROM {table} ORDER BY airports DESC")
        for state, airports in rows:
            log.info("%s has %s airports", state, airports)
        log.info("The airports of one state are in %s", path)
        return len(rows)

    read_landed(table=load_table.output["table"], path=write_file.output["path"])

"""One deferred run of each system, long enough for its trigger to log in, to poll and to report; and long ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_workflow_provider.operators.alteryx import AlteryxRunWorkflowOperator
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.chorus import ChorusRunWorkflowOperator
from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator

SECONDS = 12
WAIT: dict[str, Any] = {"deferrable": True, "poll_interval": 1, "retries": 2, "retry_delay": timedelta(seconds=2)}
PROCEDURE = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_f650ed2651e4b999"

with DAG("one_of_each", schedule=None, max_active_tasks=16):
    for conn_id in ("carto_default", "carto_oauth"):
        CartoRunWorkflowOperator(
            task_id=conn_id, carto_conn_id=conn_id, workflow=PROCEDURE, query_parameters={"seconds": SECONDS}, **WAIT
        )
    for conn_id in ("alteryx_default", "alteryx_oauth1"):
        AlteryxRunWorkflowOperator(
            task_id=conn_id,
            alteryx_conn_id=conn_id,
            workflow="5f0e2c00000000000000000a",
            query_parameters={"Seconds": SECONDS},
            **WAIT,
        )
    StevesieRunWorkflowOperator(
        task_id="stevesie",
        workflow="5e7e51e0-0001-4000-8000-000000000006",
        query_parameters={"seconds": SECONDS},
        fail_on_empty_results=False,
        results_grace=1,
        **WAIT,
    )
    ChorusRunWorkflowOperator(task_id="chorus", workflow="1000007", query_parameters={"seconds": SECONDS}, **WAIT)
    InvisionRunDataFlowOperator(
        task_id="invision",
        workflow="2f0c0004-3b1e-4c55-9a10-0d5eed000004",
        query_parameters={"seconds": SECONDS},
        **WAIT,
    )


with DAG("long", schedule=None, max_active_tasks=16):
    CartoRunWorkflowOperator.partial(task_id="run", workflow=PROCEDURE, **WAIT | {"retries": 0}).expand(
        query_parameters=[{"seconds": 600}] * 6
    )

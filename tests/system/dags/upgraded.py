"""Two runs that outlive an upgrade of the package: one is waited for in the triggerer, one on a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator

SECONDS = 75
PROCEDURE = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_f650ed2651e4b999"
SLOW = "5e7e51e0-0001-4000-8000-000000000006"
RETRY: dict[str, Any] = {"poll_interval": 1, "retries": 2, "retry_delay": timedelta(seconds=1)}

with DAG("upgraded", schedule=None):
    CartoRunWorkflowOperator(
        task_id="deferred", workflow=PROCEDURE, query_parameters={"seconds": SECONDS}, deferrable=True, **RETRY
    )
    StevesieRunWorkflowOperator(
        task_id="on_a_worker",
        workflow=SLOW,
        query_parameters={"seconds": SECONDS},
        fail_on_empty_results=False,
        results_grace=1,
        **RETRY,
    )

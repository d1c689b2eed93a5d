"""DAGs of the cluster stories: so many runs, waited for in the triggerer or on a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator

SLOW = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_f650ed2651e4b999"


@task
def plan(params: dict[str, Any] | None = None) -> list[dict[str, int]]:
    """Give the query parameters of each run."""
    assert params is not None
    return [{"seconds": params["seconds"]}] * params["runs"]


for name, deferrable in (("deferred", True), ("on_workers", False)):
    with DAG(name, schedule=None, max_active_tasks=256, params={"runs": Param(4), "seconds": Param(20)}) as dag:
        CartoRunWorkflowOperator.partial(
            task_id="run",
            workflow=SLOW,
            deferrable=deferrable,
            poll_interval=1,
            retries=4,
            retry_delay=timedelta(seconds=1),
        ).expand(query_parameters=plan())
    globals()[name] = dag

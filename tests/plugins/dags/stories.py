"""A DAG for each plug-in and story: one task that starts a run of a real server."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_workflow_provider.operators.workflow import RunWorkflowOperator

STORIES = (
    "ends",
    "fails",
    "killed",
    "cleared",
    "retried",
    "lost",
    "dead",
    "defers",
    "killed_deferred",
    "cleared_deferred",
)
DEFERRED = {"defers", "killed_deferred", "cleared_deferred"}

for system in ("airflow", "prefect"):
    for story in STORIES:
        with DAG(f"{system}_{story}", schedule=None):
            RunWorkflowOperator(
                task_id="run",
                system=system,
                workflow="job" if system == "airflow" else "name:job",
                query_parameters={"story": story},
                deferrable=story in DEFERRED,
                poll_interval=1,
                log_interval=2,
                retries=1 if story in {"retried", "dead"} else 0,
                retry_delay=timedelta(seconds=1),
            )

"""DAGs that are triggered by runs that somebody starts elsewhere, and what they see of them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task
from airflow.sdk import Asset, AssetWatcher

from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator
from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger, triggering_runs

ECHO = "5e7e51e0-0001-4000-8000-000000000005"
USERS = "5e7e51e0-0001-4000-8000-000000000003"
WEATHER = "5f0e2c000000000000000003"
INTERVAL = 1.0  # seconds between two list calls
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def watched(name: str, **given: Any) -> Asset:
    """An asset that is updated by runs."""
    trigger = WorkflowRunEventTrigger(poll_interval=INTERVAL, **given)
    return Asset(name=name, watchers=[AssetWatcher(name=f"{name}_watcher", trigger=trigger)])


echoes = watched("echoes", system="stevesie", conn_id="stevesie_default", workflow=ECHO)
# Twenty watchers of one workflow, all different: each is a trigger of its own.
twenty = [
    watched(
        f"job_{day}",
        system="alteryx",
        conn_id="alteryx_default",
        workflow=WEATHER,
        states=["succeeded", "failed"][: 1 + day % 2],
        since=f"2026-01-{day:02}",
    )
    for day in range(1, 21)
]

with DAG(dag_id="on_echo", schedule=[echoes], start_date=BEGAN):

    @task
    def runs(**context: Any) -> list[dict[str, Any]]:
        """Give the runs behind this DAG run."""
        return triggering_runs(context, echoes)

    @task
    def outputs(run: dict[str, Any]) -> str:
        """Give what one of them made."""
        return f"{run['run_id']} {run['state']} {run['output_location']}"

    outputs.expand(run=runs())
    # The extra of the event, and the interval and the partition where there are any, as query parameters.
    StevesieRunWorkflowOperator(
        task_id="start_elsewhere",
        workflow=USERS,
        query_parameters={
            "label": "{{ (triggering_asset_events.values() | list)[0][0].extra.payload.run_id }}",
            "day": "{{ (data_interval_start | default(none)) or 'none' }}",
            "partition": "{{ partition_key | default('none', true) }}",
        },
        stevesie_conn_id="stevesie_default",
        wait_for_completion=False,
    )

with DAG(dag_id="on_job", schedule=reduce(or_, twenty), start_date=BEGAN):

    @task
    def jobs(**context: Any) -> list[str]:
        """Give the jobs behind this DAG run."""
        return [run["run_id"] for run in triggering_runs(context)]

    jobs()

"""DAGs for the tests of assets, lineage and links: one leaves outputs, the other is started by them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, AssetAlias, BaseNotifier, task

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.sandbox.carto.catalog import WORKFLOWS
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from airflow_workflow_provider.triggers.events import triggering_runs

NOTE = Path(os.environ["AIRFLOW_HOME"]) / "note.txt"
RUN = "(ti.xcom_pull(task_ids=ti.task_id, key='run', map_indexes=ti.map_index) or {})"
PROCEDURES = {workflow.name: workflow.procedure for workflow in WORKFLOWS}


class Note(BaseNotifier):
    """Airflow's own kind of notifier: it renders its text in the task's context."""

    template_fields = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def notify(self, context):
        """Write it down."""
        NOTE.write_text(self.text)


# A scheduler that has much to do can take a task that is deferred for a moment only for one that failed.
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}

with DAG(dag_id="asset_producer", schedule=None, default_args=RETRIES) as producer:
    deferred = CartoRunWorkflowOperator(
        task_id="deferred",
        workflow=PROCEDURES["airports_in_state"],
        query_parameters={"state": "VT"},
        poll_interval=0.5,
        deferrable=True,
        asset_alias="airports",
    )
    CartoWorkflowRunSensor(task_id="wait", run=deferred.output, timeout=60)
    WorkflowOutputToSqlOperator(task_id="land", run=deferred.output, sql_conn_id="warehouse", table="airports")
    CartoRunWorkflowOperator(
        task_id="failing",
        retries=0,
        workflow=PROCEDURES["failing"],
        poll_interval=0.5,
        asset_alias="airports",
        on_failure_callback=Note("{{ " + RUN + ".get('run_id') }}: {{ " + RUN + ".get('message') }}"),
    )
    CartoRunWorkflowOperator(
        task_id="slow",
        retries=0,
        workflow=PROCEDURES["slow"],
        query_parameters={"seconds": 600},
        poll_interval=0.5,
        timeout=25,
    )
    for task_id, outlet in (("mapped", {"outlets": [AssetAlias("mapped")]}), ("short", {"asset_alias": "short"})):
        CartoRunWorkflowOperator.partial(
            task_id=task_id, workflow=PROCEDURES["airports_in_state"], poll_interval=0.5, **outlet
        ).expand(query_parameters=[{"state": state} for state in ("CA", "TX")])

with DAG(
    dag_id="asset_consumer", schedule=[AssetAlias("airports")], start_date=datetime(2026, 1, 1, tzinfo=UTC)
) as consumer:

    @task
    def received(**context):
        """Give the runs behind this DAG run, and what their assets say."""
        events = context.get("triggering_asset_events") or context.get("triggering_dataset_events")
        told = {getattr(key, "uri", key): [event.extra for event in found] for key, found in events.items()}
        return {
            "runs": [run["run_id"] for run in triggering_runs(context)],
            "events": {uri: extras for uri, extras in told.items() if "://" in str(uri)},
        }

    received()

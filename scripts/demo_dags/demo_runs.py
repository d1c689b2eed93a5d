"""DAGs of ``make demo-ui`` that show what a person wants to see in Airflow's pages.

* ``demo_deferred`` waits a minute in the triggerer, so that there is time to look at a deferred task. It updates an
  asset: the job's file.
* ``demo_failing`` runs a workflow that fails: the task's log shows what the system said.
* ``demo_mapped`` runs one workflow 50 times, and loads all results into one table, in one transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_workflow_provider.operators.alteryx import AlteryxRunWorkflowOperator
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

AIRPORTS_IN_STATE = "CALL `carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_307b59a91fd55ef6`(@state)"
# fmt: off
STATES = (
    "AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN", "KS", "KY", "LA", "MA",
    "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV", "NY", "OH", "OK", "OR", "PA",
    "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY",
)
# fmt: on
COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "tags": ["demo"],
}
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=5)}

with DAG("demo_deferred", schedule=None, default_args=RETRIES, **COMMON):
    AlteryxRunWorkflowOperator(
        task_id="wait_a_minute",
        workflow="name:Stock prices",
        query_parameters={"Symbol": "IBM"},
        alteryx_conn_id="alteryx_default",
        deferrable=True,
        log_interval=5,
        asset_alias="stock_prices_of_a_job",
        timeout=timedelta(minutes=10),
    )

with DAG("demo_failing", schedule=None, **COMMON):
    CartoRunWorkflowOperator(
        task_id="fail",
        # The workflow wants a number here, and gets text.
        workflow="carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_a07f782a8f13e8a8",
        query_parameters={"min_airports": "fifty"},
        deferrable=True,
        poll_interval=2,
    )

with DAG("demo_mapped", schedule=None, default_args=RETRIES, **COMMON):
    runs = CartoRunWorkflowOperator.partial(
        task_id="run",
        workflow=AIRPORTS_IN_STATE,
        deferrable=True,
        poll_interval=2,
        map_index_template="{{ task.query_parameters.state }}",
    ).expand(query_parameters=[{"state": state} for state in STATES])
    WorkflowOutputToSqlOperator(
        task_id="load", run=runs.output, sql_conn_id="warehouse", table="all_airports", if_exists="replace"
    )

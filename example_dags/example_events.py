"""Event-driven DAGs: a file starts a workflow, the workflow's table starts a load, and a finished run starts a DAG.

No DAG here has a time schedule. Each one is started by an asset event.

* ``example_events_file`` writes a file. It updates the asset ``state.txt``, and the event's extra names the state in
  the file.
* ``example_events_workflow`` starts then. Its CARTO workflow gets the state as a query parameter, and its result table
  becomes an asset.
* ``example_events_table`` starts when the table is updated, and loads it.
* ``example_events_elsewhere`` starts for every run of a Stevesie workflow that succeeds, whoever started it (Airflow
  3.0 and newer).

To try them: start the sandbox with ``python -m airflow_workflow_provider.sandbox``, copy the connections that it
prints, add a connection ``warehouse`` to any SQL database, and trigger ``example_events_file``. For
``example_events_elsewhere`` start the Stevesie workflow as its API page shows it, with ``curl``.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, Param, task

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger, triggering_runs

try:
    from airflow.sdk import AssetWatcher
except ImportError:  # Airflow 2 has no watchers
    AssetWatcher = None

AIRPORTS_IN_STATE = "CALL `carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_307b59a91fd55ef6`(@state)"
STOCK_PRICES = "5e7e51e0-0001-4000-8000-000000000001"
TABLES = "example_events_tables"
COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "default_args": {"retries": 2, "retry_delay": timedelta(seconds=5)},
    "tags": ["example", "events"],
}
state_file = Asset(uri="file:///landing/state.txt")

with DAG(
    dag_id="example_events_file",
    schedule=None,
    params={
        "state": Param("TX", type="string", description="The state in the file"),
        "landing_zone": Param((Path(tempfile.gettempdir()) / "landing").as_uri(), type="string"),
    },
    **COMMON,
):

    @task(outlets=[state_file])
    def land_file(params: dict[str, Any], outlet_events: Any) -> None:
        """Write the file, and put the state into the extra of the asset event."""
        folder = Path(unquote(urlsplit(params["landing_zone"]).path))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.txt").write_text(params["state"])
        outlet_events[state_file].extra = {"state": params["state"]}

    land_file()


# [START howto_event_parameters]
def of_the_file(context: Any, jinja_env: Any) -> dict[str, Any]:
    """Take the query parameters from the event that triggered this DAG run."""
    by_asset = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
    events = [event for found in by_asset.values() for event in found]
    return {"state": events[-1].extra["state"]}


with DAG(dag_id="example_events_workflow", schedule=[state_file], **COMMON):
    CartoRunWorkflowOperator(
        task_id="run_workflow",
        workflow=AIRPORTS_IN_STATE,
        query_parameters=of_the_file,
        carto_conn_id="carto_default",
        deferrable=True,
        poll_interval=2,
        asset_alias=TABLES,
    )
# [END howto_event_parameters]

with DAG(dag_id="example_events_table", schedule=[AssetAlias(TABLES)], **COMMON):
    # [START howto_triggering_runs]
    @task
    def runs(**context: Any) -> list[dict[str, Any]]:
        """Return every run behind this DAG run: several tables can have been updated since the last one."""
        return triggering_runs(context)

    WorkflowOutputToSqlOperator.partial(
        task_id="load_table",
        sql_conn_id="warehouse",
        table="airports_in_state",
        if_exists="append",
        max_active_tis_per_dagrun=1,
    ).expand(run=runs())
    # [END howto_triggering_runs]

if AssetWatcher:
    # [START howto_trigger_event]
    stock_prices = Asset(
        name="stock_prices",
        watchers=[
            AssetWatcher(
                name="stock_prices_runs",
                trigger=WorkflowRunEventTrigger("stevesie", "stevesie_default", STOCK_PRICES, poll_interval=5),
            )
        ],
    )

    with DAG(dag_id="example_events_elsewhere", schedule=[stock_prices], **COMMON):

        @task
        def runs_elsewhere(**context: Any) -> list[dict[str, Any]]:
            """Return the runs that ended since this DAG ran for the last time."""
            return triggering_runs(context, stock_prices)

        WorkflowOutputToSqlOperator.partial(
            task_id="load_prices",
            sql_conn_id="warehouse",
            table="stock_prices_of_elsewhere",
            if_exists="append",
            max_active_tis_per_dagrun=1,
        ).expand(run=runs_elsewhere())
    # [END howto_trigger_event]

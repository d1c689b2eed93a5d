"""Prefect as a workflow system: a run is a flow run of a deployment.

Source: https://docs.prefect.io/v3/api-ref/rest-api/server.
"""

from __future__ import annotations

from typing import ClassVar

from airflow_workflow_provider import sdk
from airflow_workflow_provider.sdk import IDEMPOTENCY_KEY, PARAMETERS, RUN_ID, WORKFLOW
from airflow_workflow_provider_prefect.form import FORM

PAGES = sdk.OffsetPages(200, in_body=True)


class PrefectSystem(sdk.RestSystem):
    """Prefect's REST API. ``workflow`` is the id of a deployment."""

    key = "prefect"
    label = "Prefect"
    default_conn_id = "prefect_default"
    form = FORM
    states: ClassVar[dict[str, sdk.RunState]] = {
        "scheduled": sdk.RunState.QUEUED,
        "pending": sdk.RunState.QUEUED,
        "running": sdk.RunState.RUNNING,
        "paused": sdk.RunState.RUNNING,
        "cancelling": sdk.RunState.RUNNING,
        "completed": sdk.RunState.SUCCEEDED,
        "failed": sdk.RunState.FAILED,
        "crashed": sdk.RunState.FAILED,
        "cancelled": sdk.RunState.CANCELLED,
    }
    start_options = frozenset({"idempotency_key"})
    base_path = "/api"
    authentication = sdk.Bearer(is_optional=True)
    start_call = sdk.Start(
        path="/deployments/{workflow}/create_flow_run",
        body={"parameters": PARAMETERS, "idempotency_key": IDEMPOTENCY_KEY},
        run_id="id",
        is_idempotent=True,
    )
    status_call = sdk.Status(
        path="/flow_runs/{run_id}",
        state="state.type",
        message="state.message",
        started_at=lambda run: run["start_time"] or run["created"],
        ended_at="end_time",
    )
    cancel_call = sdk.Cancel(
        path="/flow_runs/{run_id}/set_state",
        body={"state": {"type": "CANCELLING"}},
        taken=lambda document: document["status"] == "ACCEPT",
    )
    list_runs_call = sdk.ListRuns(
        path="/flow_runs/filter",
        method="POST",
        body={"deployments": {"id": {"any_": [WORKFLOW]}}, "sort": "START_TIME_DESC"},
        parameters="parameters",
        paginator=PAGES,
    )
    list_workflows_call = sdk.ListWorkflows(path="/deployments/filter", method="POST", body={}, paginator=PAGES)
    log_call = sdk.Log(
        path="/logs/filter",
        method="POST",
        body={"logs": {"flow_run_id": {"any_": [RUN_ID]}}, "sort": "TIMESTAMP_ASC"},
        time="timestamp",
        level="level",
        paginator=PAGES,
    )
    test_call = sdk.Call(path="/deployments/filter", method="POST", body={"limit": 1})
    run_page = "/runs/flow-run/{run_id}"

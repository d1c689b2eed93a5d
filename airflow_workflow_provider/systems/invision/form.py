"""The connection form."""

from __future__ import annotations

from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Field, Form

ENVIRONMENTS = ("development", "test", "production")

FORM = Form(
    labels={"host": "InVision URL", "password": "Data flow execution key"},
    placeholders={"port": "443", "host": "https://server/invision"},
    hidden=("schema", "login"),
    extras={
        "data_api_key": Field("Data API key", "Key of the Data area, for reading outputs.", secret=True),
        "monitoring_api_key": Field("Monitoring API key", "Key of the Monitoring area, for messages.", secret=True),
        "start_body": Field(
            "Start body", "json (default) sends {} with a start, none sends nothing.", choices=("json", "none")
        ),
        "flow_host": Field(
            "Flow URL", "Base URL of Profitbase Flow, for workflow_api='flow'. Default InVision's host."
        ),
        "tenant_id": Field("Tenant id", "Tenant of Profitbase Flow."),
        "workspace_id": Field("Workspace id", "Workspace of Profitbase Flow."),
        "environment": Field("Environment", "Environment of Profitbase Flow.", choices=ENVIRONMENTS),
        "flow_api_key": Field("Flow API key", "Key of Profitbase Flow.", secret=True),
        **COMMON_FIELDS,
    },
)

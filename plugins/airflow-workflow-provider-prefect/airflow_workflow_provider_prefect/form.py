"""The connection form. Airflow asks for it while it is imported, so this module imports nothing of Airflow."""

from __future__ import annotations

from typing import Any

from airflow_workflow_provider.forms import COMMON_FIELDS, Form, provider_info

FORM = Form(
    labels={"host": "API URL without /api", "password": "API key"},
    placeholders={"host": "http://127.0.0.1:4200"},
    hidden=("schema", "login"),
    extras=COMMON_FIELDS,
)


def get_provider_info() -> dict[str, Any]:
    """Describe the plug-in for Airflow."""
    return provider_info("prefect", "Prefect", FORM, "airflow-workflow-provider-prefect")

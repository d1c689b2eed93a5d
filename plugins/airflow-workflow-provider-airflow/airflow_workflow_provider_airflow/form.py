"""The connection form. Airflow asks for it while it is imported, so this module imports nothing of Airflow."""

from __future__ import annotations

from typing import Any

from airflow_workflow_provider.forms import COMMON_FIELDS, Form, provider_info

FORM = Form(
    labels={"host": "URL of the API server", "login": "User", "password": "Password or token"},
    placeholders={"host": "https://airflow.example.com"},
    hidden=("schema",),
    extras=COMMON_FIELDS,
)


def get_provider_info() -> dict[str, Any]:
    """Describe the plug-in for Airflow."""
    one, two = (
        provider_info(key, label, FORM, "airflow-workflow-provider-airflow")
        for key, label in (("airflow", "Airflow"), ("airflow2", "Airflow 2"))
    )
    merged = {name: one[name] + two[name] for name in ("connection-types", "asset-uris", "dataset-uris")}
    return {**one, **merged}

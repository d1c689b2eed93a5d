"""The connection form."""

from __future__ import annotations

from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Field, Form

API_PATH = "/api"
ENGINE_PATH = "/alpinedatalabs/api/v1/json"

FORM = Form(
    labels={"host": "Server URL", "login": "User", "password": "Password"},
    placeholders={"port": "8443", "host": "https://server:8443"},
    hidden=("schema",),
    extras={
        "engine_path": Field(
            "Engine path", f"Path of the engine's API. Default {ENGINE_PATH}.", placeholder=ENGINE_PATH
        ),
        "api_path": Field("API path", f"Path of Chorus's own API. Default {API_PATH}.", placeholder=API_PATH),
        **COMMON_FIELDS,
    },
)

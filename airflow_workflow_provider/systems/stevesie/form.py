"""The connection form."""

from __future__ import annotations

from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Field, Form

HOST = "https://stevesie.com/cloud/api/v1"

FORM = Form(
    labels={"host": "API base URL", "password": "API token"},
    placeholders={"port": "443", "host": HOST},
    hidden=("schema", "login"),
    extras={
        "proxy": Field(
            "Proxy",
            "JSON object that is sent with every start: type (shared, dedicated, custom), location, proxy_id; "
            'such as {"type": "shared", "location": "nyc"}.',
            kind="object",
            placeholder='{"type": "shared", "location": "nyc"}',
        ),
        "proxy_url": Field("Proxy URL", "Address of a custom proxy, user:password@host:port.", secret=True),
        **COMMON_FIELDS,
    },
)

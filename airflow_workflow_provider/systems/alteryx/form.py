"""The connection form."""

from __future__ import annotations

from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Field, Form

AUTHS = ("oauth2", "oauth1")

FORM = Form(
    labels={"host": "Web API address", "login": "API key", "password": "API secret"},
    placeholders={"port": "443", "host": "https://server/webapi"},
    hidden=("schema",),
    extras={
        "auth": Field(
            "Authentication",
            "oauth2 (default), or oauth1 up to server 2021.4, at the Gallery's address.",
            choices=AUTHS,
            placeholder="oauth2",
        ),
        "gallery_url": Field(
            "Gallery URL",
            "Address of the Gallery, for links to apps, such as https://server/gallery.",
            placeholder="https://server/gallery",
        ),
        **COMMON_FIELDS,
    },
)

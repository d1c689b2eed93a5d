"""The connection form."""

from __future__ import annotations

from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Field, Form

WAREHOUSES = ("bigquery", "snowflake", "postgres", "redshift", "databricks", "oracle")
LARGE_TABLES = ("staged", "shards")
TOKEN_URL = "https://auth.carto.com/oauth/token"  # noqa: S105 (an address) [sql-api]; self-hosted may differ: unverified

FORM = Form(
    labels={"host": "API base URL", "login": "OAuth client id", "password": "Token or client secret"},
    placeholders={
        "port": "443",
        "host": "https://gcp-us-east1.api.carto.com",
        "login": "leave empty for an API access token",
    },
    hidden=("schema",),
    extras={
        "carto_connection": Field(
            "CARTO connection", "Name of the connection inside CARTO. Default carto_dw.", placeholder="carto_dw"
        ),
        "token_url": Field(
            "OAuth token URL", f"Where an OAuth client gets its token. Default {TOKEN_URL}.", placeholder=TOKEN_URL
        ),
        "read_token": Field("Read token", "API access token for reading outputs, if the other may not.", secret=True),
        "warehouse": Field("Warehouse", "What the CARTO connection leads to. Default bigquery.", choices=WAREHOUSES),
        "warehouse_host": Field(
            "Warehouse host",
            "Account of Snowflake, host:port of PostgreSQL or Redshift; names assets and lineage.",
            placeholder="my_org-my_account",
        ),
        "large_tables": Field(
            "Large outputs",
            "How an output of more than 50,000 rows is read. staged copies it once, so the token must be allowed to "
            "create tables beside it; shards reads the whole table once for each 50,000 rows. Default staged.",
            choices=LARGE_TABLES,
        ),
        **COMMON_FIELDS,
    },
)

"""What Airflow learns about this package without importing the rest of it.

Every component of Airflow calls `get_provider_info` at its start, so it is a literal and imports nothing. Its keys are
those of ``airflow/provider_info.schema.json``. The connection forms repeat the tables in ``systems/``: Airflow 3 reads
a form from here only, and a test keeps both the same.
"""

from __future__ import annotations

from typing import Any

# Every system's form ends with these fields.
_COMMON_FIELDS: dict[str, Any] = {
    "verify": {
        "label": "Verify TLS",
        "description": "true, false, or the path of a CA file. Default true.",
        "schema": {"type": ["string", "null"]},
    },
    "timeout": {
        "label": "Timeout",
        "description": "Seconds that one request may take. Default 30.",
        "schema": {"type": ["string", "null"]},
    },
    "proxies": {
        "label": "Proxies",
        "description": 'JSON object from scheme to proxy URL, such as {"https": "http://proxy:3128"}.',
        "schema": {"type": ["object", "null"]},
    },
    "allow_http": {
        "label": "Allow http",
        "description": "Send credentials over plain http. Default false.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}
_COMMON_PLACEHOLDERS = {"verify": "true", "timeout": "30", "proxies": '{"https": "http://proxy:3128"}'}

# Names of outputs that have no URI of a warehouse or a file. Airflow 2.11 reads them as ``dataset-uris``.
_URIS = [
    {
        "schemes": ["carto", "alteryx", "stevesie", "chorus", "invision"],
        "handler": "airflow_workflow_provider.assets.uris.sanitize_uri",
        "to_openlineage_converter": "airflow_workflow_provider.lineage.naming.convert_asset_to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """Describe the provider; the entry point ``apache_airflow_provider`` leads here."""
    return {
        # Has to be the distribution's name: with another one Airflow finds no provider at all, not even others.
        "package-name": "airflow-workflow-provider",
        "name": "Workflow systems",
        "description": "Run, await and harvest the workflows of external systems.",
        "integrations": [
            {
                "integration-name": "CARTO Workflows",
                "external-doc-url": "https://docs.carto.com/carto-user-manual/workflows/executing-workflows-via-api",
                "tags": ["service"],
            },
            {
                "integration-name": "Alteryx Server",
                "external-doc-url": "https://help.alteryx.com",
                "tags": ["service"],
            },
            {
                "integration-name": "Stevesie Cloud",
                "external-doc-url": "https://stevesie.com",
                "tags": ["service"],
            },
            {
                "integration-name": "TIBCO Team Studio (Chorus)",
                "external-doc-url": "https://docs.tibco.com",
                "tags": ["service"],
            },
            {
                "integration-name": "Profitbase InVision",
                "external-doc-url": "https://docs.profitbase.com",
                "tags": ["service"],
            },
            {
                "integration-name": "Workflow systems",
                "external-doc-url": "https://airflow-workflow-provider.readthedocs.io/",
                "tags": ["service"],
            },
        ],
        "operators": [
            {
                "integration-name": "CARTO Workflows",
                "python-modules": ["airflow_workflow_provider.operators.carto"],
            },
            {
                "integration-name": "Alteryx Server",
                "python-modules": ["airflow_workflow_provider.operators.alteryx"],
            },
            {
                "integration-name": "Stevesie Cloud",
                "python-modules": ["airflow_workflow_provider.operators.stevesie"],
            },
            {
                "integration-name": "TIBCO Team Studio (Chorus)",
                "python-modules": ["airflow_workflow_provider.operators.chorus"],
            },
            {
                "integration-name": "Profitbase InVision",
                "python-modules": ["airflow_workflow_provider.operators.invision"],
            },
            {
                "integration-name": "Workflow systems",
                "python-modules": ["airflow_workflow_provider.operators.workflow"],
            },
        ],
        "sensors": [
            {
                "integration-name": "CARTO Workflows",
                "python-modules": ["airflow_workflow_provider.sensors.carto"],
            },
            {
                "integration-name": "Alteryx Server",
                "python-modules": ["airflow_workflow_provider.sensors.alteryx"],
            },
            {
                "integration-name": "Stevesie Cloud",
                "python-modules": ["airflow_workflow_provider.sensors.stevesie"],
            },
            {
                "integration-name": "TIBCO Team Studio (Chorus)",
                "python-modules": ["airflow_workflow_provider.sensors.chorus"],
            },
            {
                "integration-name": "Profitbase InVision",
                "python-modules": ["airflow_workflow_provider.sensors.invision"],
            },
            {
                "integration-name": "Workflow systems",
                "python-modules": ["airflow_workflow_provider.sensors.workflow"],
            },
        ],
        "hooks": [
            {
                "integration-name": "CARTO Workflows",
                "python-modules": ["airflow_workflow_provider.hooks.carto"],
            },
            {
                "integration-name": "Alteryx Server",
                "python-modules": ["airflow_workflow_provider.hooks.alteryx"],
            },
            {
                "integration-name": "Stevesie Cloud",
                "python-modules": ["airflow_workflow_provider.hooks.stevesie"],
            },
            {
                "integration-name": "TIBCO Team Studio (Chorus)",
                "python-modules": ["airflow_workflow_provider.hooks.chorus"],
            },
            {
                "integration-name": "Profitbase InVision",
                "python-modules": ["airflow_workflow_provider.hooks.invision"],
            },
            {
                "integration-name": "Workflow systems",
                "python-modules": ["airflow_workflow_provider.hooks.workflow"],
            },
        ],
        "triggers": [
            {
                "integration-name": "Workflow systems",
                "python-modules": [
                    "airflow_workflow_provider.triggers.workflow",
                    "airflow_workflow_provider.triggers.events",
                ],
            },
        ],
        "transfers": [
            {
                "source-integration-name": "Workflow systems",
                "target-integration-name": "Common SQL",
                "python-module": "airflow_workflow_provider.transfers.workflow_to_sql",
            },
            {
                "source-integration-name": "Workflow systems",
                "target-integration-name": "Common IO",
                "python-module": "airflow_workflow_provider.transfers.workflow_to_object_storage",
            },
        ],
        "cli": ["airflow_workflow_provider.cli.definition.get_cli_commands"],
        "extra-links": [
            "airflow_workflow_provider.links.workflow.WorkflowRunLink",
            "airflow_workflow_provider.links.workflow.WorkflowOutputLink",
        ],
        "asset-uris": _URIS,
        "dataset-uris": _URIS,
        "connection-types": [
            {
                "connection-type": "carto",
                "hook-class-name": "airflow_workflow_provider.hooks.carto.CartoHook",
                "hook-name": "CARTO Workflows",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {
                        "host": "API base URL",
                        "login": "OAuth client id",
                        "password": "Token or client secret",
                    },
                    "placeholders": {
                        "host": "https://gcp-us-east1.api.carto.com",
                        "login": "leave empty for an API access token",
                        "carto_connection": "carto_dw",
                        "token_url": "https://auth.carto.com/oauth/token",
                        "warehouse_host": "my_org-my_account",
                        **_COMMON_PLACEHOLDERS,
                    },
                },
                "conn-fields": {
                    "carto_connection": {
                        "label": "CARTO connection",
                        "description": "Name of the connection inside CARTO. Default carto_dw.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "token_url": {
                        "label": "OAuth token URL",
                        "description": "Where an OAuth client gets its token. Default https://auth.carto.com/oauth/token.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "read_token": {
                        "label": "Read token",
                        "description": "API access token for reading outputs, if the other may not.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "warehouse": {
                        "label": "Warehouse",
                        "description": "What the CARTO connection leads to. Default bigquery.",
                        "schema": {
                            "type": ["string", "null"],
                            "enum": ["bigquery", "snowflake", "postgres", "redshift", "databricks", "oracle"],
                        },
                    },
                    "warehouse_host": {
                        "label": "Warehouse host",
                        "description": (
                            "Account of Snowflake, host:port of PostgreSQL or Redshift; names assets and lineage."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    **_COMMON_FIELDS,
                },
            },
            {
                "connection-type": "alteryx",
                "hook-class-name": "airflow_workflow_provider.hooks.alteryx.AlteryxHook",
                "hook-name": "Alteryx Server",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {
                        "host": "Web API address",
                        "login": "API key",
                        "password": "API secret",
                    },
                    "placeholders": {
                        "host": "https://server/webapi",
                        "auth": "oauth2",
                        "gallery_url": "https://server/gallery",
                        **_COMMON_PLACEHOLDERS,
                    },
                },
                "conn-fields": {
                    "auth": {
                        "label": "Authentication",
                        "description": "oauth2 (default), or oauth1 up to server 2021.4, at the Gallery's address.",
                        "schema": {"type": ["string", "null"], "enum": ["oauth2", "oauth1"]},
                    },
                    "gallery_url": {
                        "label": "Gallery URL",
                        "description": "Address of the Gallery, for links to apps, such as https://server/gallery.",
                        "schema": {"type": ["string", "null"]},
                    },
                    **_COMMON_FIELDS,
                },
            },
            {
                "connection-type": "stevesie",
                "hook-class-name": "airflow_workflow_provider.hooks.stevesie.StevesieHook",
                "hook-name": "Stevesie Cloud",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login"],
                    "relabeling": {"host": "API base URL", "password": "API token"},
                    "placeholders": {
                        "host": "https://stevesie.com/cloud/api/v1",
                        "proxy": '{"type": "shared", "location": "nyc"}',
                        **_COMMON_PLACEHOLDERS,
                    },
                },
                "conn-fields": {
                    "proxy": {
                        "label": "Proxy",
                        "description": (
                            "JSON object that is sent with every start: type (shared, dedicated, custom), location, "
                            'proxy_id; such as {"type": "shared", "location": "nyc"}.'
                        ),
                        "schema": {"type": ["object", "null"]},
                    },
                    "proxy_url": {
                        "label": "Proxy URL",
                        "description": "Address of a custom proxy, user:password@host:port.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    **_COMMON_FIELDS,
                },
            },
            {
                "connection-type": "chorus",
                "hook-class-name": "airflow_workflow_provider.hooks.chorus.ChorusHook",
                "hook-name": "TIBCO Team Studio (Chorus)",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {"host": "Server URL", "login": "User", "password": "Password"},
                    "placeholders": {
                        "host": "https://server:8443",
                        "engine_path": "/alpinedatalabs/api/v1/json",
                        "api_path": "/api",
                        **_COMMON_PLACEHOLDERS,
                    },
                },
                "conn-fields": {
                    "engine_path": {
                        "label": "Engine path",
                        "description": "Path of the engine's API. Default /alpinedatalabs/api/v1/json.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "api_path": {
                        "label": "API path",
                        "description": "Path of Chorus's own API. Default /api.",
                        "schema": {"type": ["string", "null"]},
                    },
                    **_COMMON_FIELDS,
                },
            },
            {
                "connection-type": "invision",
                "hook-class-name": "airflow_workflow_provider.hooks.invision.InvisionHook",
                "hook-name": "Profitbase InVision",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login"],
                    "relabeling": {"host": "InVision URL", "password": "Data flow execution key"},
                    "placeholders": {"host": "https://server/invision", **_COMMON_PLACEHOLDERS},
                },
                "conn-fields": {
                    "data_api_key": {
                        "label": "Data API key",
                        "description": "Key of the Data area, for reading outputs.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "monitoring_api_key": {
                        "label": "Monitoring API key",
                        "description": "Key of the Monitoring area, for messages.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "start_body": {
                        "label": "Start body",
                        "description": "json (default) sends {} with a start, none sends nothing.",
                        "schema": {"type": ["string", "null"], "enum": ["json", "none"]},
                    },
                    "flow_host": {
                        "label": "Flow URL",
                        "description": "Base URL of Profitbase Flow, for workflow_api='flow'. Default InVision's host.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "tenant_id": {
                        "label": "Tenant id",
                        "description": "Tenant of Profitbase Flow.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "workspace_id": {
                        "label": "Workspace id",
                        "description": "Workspace of Profitbase Flow.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "environment": {
                        "label": "Environment",
                        "description": "Environment of Profitbase Flow.",
                        "schema": {"type": ["string", "null"], "enum": ["development", "test", "production"]},
                    },
                    "flow_api_key": {
                        "label": "Flow API key",
                        "description": "Key of Profitbase Flow.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    **_COMMON_FIELDS,
                },
            },
        ],
    }

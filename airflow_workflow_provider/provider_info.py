"""What Airflow learns about this package without importing the rest of it.

Every component of Airflow calls `get_provider_info` when it starts, so this module imports only the connection forms,
which are tables. The keys are those of ``airflow/provider_info.schema.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_workflow_provider.protocol.form import Form, connection_type
from airflow_workflow_provider.systems.alteryx.form import FORM as ALTERYX
from airflow_workflow_provider.systems.carto.form import FORM as CARTO
from airflow_workflow_provider.systems.chorus.form import FORM as CHORUS
from airflow_workflow_provider.systems.invision.form import FORM as INVISION
from airflow_workflow_provider.systems.stevesie.form import FORM as STEVESIE

PACKAGE = "airflow_workflow_provider"
SHARED = "Workflow systems"


@dataclass(frozen=True)
class Integration:
    """One system as Airflow's pages name it."""

    key: str
    name: str
    url: str
    hook: str
    form: Form


INTEGRATIONS = (
    Integration(
        "carto",
        "CARTO Workflows",
        "https://docs.carto.com/carto-user-manual/workflows/executing-workflows-via-api",
        "CartoHook",
        CARTO,
    ),
    Integration("alteryx", "Alteryx Server", "https://help.alteryx.com", "AlteryxHook", ALTERYX),
    Integration("stevesie", "Stevesie Cloud", "https://stevesie.com", "StevesieHook", STEVESIE),
    Integration("chorus", "TIBCO Team Studio (Chorus)", "https://docs.tibco.com", "ChorusHook", CHORUS),
    Integration("invision", "Profitbase InVision", "https://docs.profitbase.com", "InvisionHook", INVISION),
)


def get_provider_info() -> dict[str, Any]:
    """Describe the provider; the entry point ``apache_airflow_provider`` names this function."""
    # Names of outputs that have no URI of a warehouse or a file. Airflow 2.11 reads them as ``dataset-uris``.
    uris = [
        {
            "schemes": [one.key for one in INTEGRATIONS],
            "handler": f"{PACKAGE}.assets.uris.sanitize_uri",
            "to_openlineage_converter": f"{PACKAGE}.lineage.naming.convert_asset_to_openlineage",
        }
    ]
    pages = {one.name: one.url for one in INTEGRATIONS} | {SHARED: "https://airflow-workflow-provider.readthedocs.io/"}
    return {
        # This must be the name of the distribution. With another name Airflow finds no provider at all.
        "package-name": "airflow-workflow-provider",
        "name": "Workflow systems",
        "description": "Start, await, cancel and collect runs of external workflow systems.",
        "integrations": [
            {"integration-name": name, "external-doc-url": url, "tags": ["service"]} for name, url in pages.items()
        ],
        "operators": _modules("operators"),
        "sensors": _modules("sensors"),
        "hooks": _modules("hooks"),
        "triggers": [
            {
                "integration-name": SHARED,
                "python-modules": [f"{PACKAGE}.triggers.workflow", f"{PACKAGE}.triggers.events"],
            }
        ],
        "transfers": [
            _transfer("Common SQL", "workflow_to_sql"),
            _transfer("Common IO", "workflow_to_object_storage"),
        ],
        "cli": [f"{PACKAGE}.cli.definition.get_cli_commands"],
        "extra-links": [
            f"{PACKAGE}.links.workflow.WorkflowRunLink",
            f"{PACKAGE}.links.workflow.WorkflowOutputLink",
        ],
        "asset-uris": uris,
        "dataset-uris": uris,
        "connection-types": [
            connection_type(one.form, one.key, f"{PACKAGE}.hooks.{one.key}.{one.hook}", one.name)
            for one in INTEGRATIONS
        ],
    }


def _modules(kind: str) -> list[dict[str, Any]]:
    """The module of each system, and the one that all systems share."""
    names = [(one.name, one.key) for one in INTEGRATIONS] + [(SHARED, "workflow")]
    return [{"integration-name": name, "python-modules": [f"{PACKAGE}.{kind}.{key}"]} for name, key in names]


def _transfer(target: str, module: str) -> dict[str, str]:
    return {
        "source-integration-name": SHARED,
        "target-integration-name": target,
        "python-module": f"{PACKAGE}.transfers.{module}",
    }

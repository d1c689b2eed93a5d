"""Stevesie Cloud: the workflow API under ``/stevesie/cloud/api/v1``, its result files under ``/stevesie-files``.

An execution really collects rows for the items of its input collections and leaves files on what, seen from the API,
is another host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.sandbox.system import ServedRun, ServedWorkflow, System

from .api import TOKEN, Api
from .catalog import WORKFLOWS
from .files import MOUNT
from .settings import StevesieSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

API = "/stevesie/cloud/api/v1"


class Stevesie(System):
    """The system ``stevesie``."""

    key = "stevesie"

    def __init__(self) -> None:
        self.settings: StevesieSettings = StevesieSettings()
        self.api = Api(self.settings)

    def mounts(self) -> Mapping[str, ASGIApp]:
        """The API and the other host."""
        return {API: self.api.app(), MOUNT: self.api.files.app()}

    def connections(self, base_url: str) -> Mapping[str, Mapping[str, Any]]:
        """The one connection, with the proxy that every start needs."""
        proxy = {"type": "shared", "location": "nyc"}
        return {
            "stevesie_default": {
                "conn_type": "stevesie",
                "host": f"{base_url}{API}",
                "password": TOKEN,
                "extra": {"proxy": proxy},
            }
        }

    def describe(self) -> Sequence[ServedWorkflow]:
        """The workflows with execution parameters to try."""
        return [
            ServedWorkflow(workflow.name, workflow.id, workflow.summary, dict(workflow.parameters))
            for workflow in WORKFLOWS
        ]

    def runs(self) -> Sequence[ServedRun]:
        """Every execution."""
        return [execution.served() for execution in self.api.executions.known.values()]

    def reset(self) -> None:
        """No executions; workflows and collections as at the start."""
        self.api.reset()

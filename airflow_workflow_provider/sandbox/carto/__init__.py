"""CARTO Workflows: the SQL API v3 with its jobs, over DuckDB standing in for BigQuery and Snowflake.

``CALL`` of a published workflow really runs SQL on real data and leaves a real table; any client's ``SELECT`` on it is
read in the dialect of its connection and answered by DuckDB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.sandbox.system import ServedRun, ServedWorkflow, System

from . import tokens
from .api import Api
from .catalog import CONNECTIONS, WORKFLOWS, Workflow
from .settings import CartoSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

CONN_IDS = {"carto_dw": "carto_default", "snowflake_dw": "carto_snowflake"}


class Carto(System):
    """The system ``carto``."""

    key = "carto"

    def __init__(self) -> None:
        self.settings: CartoSettings = CartoSettings()
        self.api = Api(self.settings)

    def mounts(self) -> Mapping[str, ASGIApp]:
        """The API, with its authorisation server below the same prefix."""
        return {"/carto": self.api.app()}

    def connections(self, base_url: str) -> Mapping[str, Mapping[str, Any]]:
        """One connection per way to sign in, and one per warehouse."""
        host, snowflake = f"{base_url}/carto", {"carto_connection": "snowflake_dw", "warehouse": "snowflake"}
        dw = {"carto_connection": "carto_dw"}
        oauth = dw | {"token_url": f"{host}/oauth/token"}
        run_only = dw | {"read_token": tokens.READ_TOKEN}

        def connection(password: str, extra: dict[str, str], **more: str) -> dict[str, Any]:
            return {"conn_type": "carto", "host": host, **more, "password": password, "extra": extra}

        return {
            "carto_default": connection(tokens.TOKEN, dw),
            "carto_snowflake": connection(tokens.TOKEN, snowflake),
            "carto_run_token": connection(tokens.RUN_TOKEN, run_only),
            "carto_oauth": connection(tokens.CLIENT_SECRET, oauth, login=tokens.CLIENT_ID),
        }

    def describe(self) -> Sequence[ServedWorkflow]:
        """The published workflows with their defaults as parameters."""
        return [described(workflow) for workflow in WORKFLOWS]

    def runs(self) -> Sequence[ServedRun]:
        """Every job."""
        return [job.served() for job in self.api.jobs.known.values()]

    def figures(self) -> Mapping[str, Any]:
        """How often each table was read as a whole."""
        return {"scans": dict(self.api.warehouse.scans)}

    def reset(self) -> None:
        """A fresh warehouse without jobs."""
        self.api.reset()

    def stop(self) -> None:
        """Break off the jobs and their SQL."""
        self.api.stop()


def described(workflow: Workflow) -> ServedWorkflow:
    """A workflow as the sandbox shows it."""
    values = {variable.name: variable.example for variable in workflow.variables}
    named = CONNECTIONS[workflow.connection].provider_id == "bigquery"
    parameters: Mapping[str, Any] | Sequence[Any] = values if named else list(values.values())
    conn_id = CONN_IDS[workflow.connection]
    return ServedWorkflow(workflow.name, workflow.procedure, workflow.summary, parameters, conn_id)

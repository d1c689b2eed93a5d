"""Profitbase InVision: the execution, data and monitoring APIs of its data flows, and the neighbour product Flow.

Everything is below ``/invision``. Data flows really write rows, tagged with the id of their run, into tables that the
JSON Data API reads. Facts come from the vendor's documentation at https://docs.profitbase.com and its repository
https://github.com/Profitbase/Episode-Docs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from airflow_workflow_provider.sandbox.system import ServedRun, ServedWorkflow, System

from . import answers, catalog
from .catalog import DATA_FLOWS, FLOWS
from .data_api import DataApi
from .dataflow_api import DataflowApi
from .flow_api import FlowApi
from .runs import Runs
from .settings import InvisionSettings
from .solution import Solution

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send


class Invision(System):
    """The system ``invision``."""

    key = "invision"

    def __init__(self) -> None:
        self.settings: InvisionSettings = InvisionSettings()
        self.solution = Solution()
        self.fill()

    def fill(self) -> None:
        """What there is when nothing has happened yet."""
        self.solution = self.solution.emptied()
        self.known_runs = Runs(self.settings, self.solution)
        routes = [Route(answers.LOGIN_PATH, login_page)]
        routes += DataflowApi(self.settings, self.known_runs).routes()
        routes += DataApi(self.settings, self.solution, self.known_runs).routes()
        routes += FlowApi(self.settings, self.known_runs).routes()
        for route in routes:
            # IIS does not look at the case of a path.
            route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)
        handlers: Mapping[Any, Any] = {answers.Refused: refused, HTTPException: self.unknown_path}
        self.app = Starlette(routes=routes, exception_handlers=handlers)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the app of this moment, if there is one."""
        if self.settings.recycling:
            await answers.iis(503, "Service Unavailable")(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def unknown_path(self, request: Request, error: Exception) -> Response:
        """A path or method that no route has."""
        if self.settings.login_redirect != "never":
            return answers.login(request)
        return answers.iis(404, "Not Found")

    def mounts(self) -> Mapping[str, ASGIApp]:
        """Everything, under both spellings that the documentation uses."""
        return {"/invision": self.serve, "/InVision": self.serve}

    def connections(self, base_url: str) -> Mapping[str, Mapping[str, Any]]:
        """One connection with the keys of all areas."""
        extra = {
            "data_api_key": catalog.DATA_KEY,
            "monitoring_api_key": catalog.MONITORING_KEY,
            "flow_host": f"{base_url}/invision",
            "tenant_id": catalog.TENANT,
            "workspace_id": catalog.WORKSPACE,
            "environment": "Production",
            "flow_api_key": catalog.FLOW_KEY,
        }
        host, key = f"{base_url}/invision", catalog.EXECUTION_KEY
        return {"invision_default": {"conn_type": "invision", "host": host, "password": key, "extra": extra}}

    def describe(self) -> Sequence[ServedWorkflow]:
        """The data flows, and the Flows."""
        served = [("data flow", DATA_FLOWS), ("Flow", FLOWS)]
        return [
            ServedWorkflow(one.name, flow_id, f"{kind}: {one.summary}", one.arguments, "invision_default")
            for kind, flows in served
            for flow_id, one in flows.items()
        ]

    def runs(self) -> Sequence[ServedRun]:
        """Every run."""
        return [run.served() for run in self.known_runs.known.values()]

    def reset(self) -> None:
        """No runs, empty tables."""
        self.known_runs.clear()
        self.fill()


async def refused(request: Request, error: answers.Refused) -> Response:
    """The answer that a refusal carries."""
    return error.response


async def login_page(request: Request) -> Response:
    """Where a browser would sign in."""
    return Response(answers.LOGIN, media_type="text/html")

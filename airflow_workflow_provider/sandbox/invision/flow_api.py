"""Profitbase Flow, the neighbour product: submit, poll, log, list, and a synchronous run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_workflow_provider.sandbox.system import stamp

from . import answers
from .catalog import ENVIRONMENTS, FLOW_KEY, FLOWS, TENANT, WORKSPACE
from .runs import LogLine, Run, Runs
from .settings import InvisionSettings

if TYPE_CHECKING:
    from starlette.requests import Request

# Older pages of the documentation leave the first part out.
PREFIXES = ("/corellia", "")
ROOT = "/api/v1/tenants/{tenant}/workspaces/{workspace}/flows/{flow}"
STATES = {"Pending": 0, "Running": 1, "Succeeded": 2, "Failed": 4}
COMPLETED_WITH_WARNING = 3
LOG_TYPES = {"Information": 2, "Warning": 4, "Error": 5}


class FlowApi:
    """The handlers; statuses and bodies of errors are inferred, the documentation has none."""

    def __init__(self, settings: InvisionSettings, runs: Runs) -> None:
        self.settings, self.runs = settings, runs

    def routes(self) -> list[Route]:
        """All routes."""
        listed = ROOT + "/diagnostics/executions"
        return [
            route
            for prefix in PREFIXES
            for route in (
                Route(prefix + ROOT + "/submit", self.submit, methods=["POST"]),
                Route(prefix + ROOT + "/run", self.run, methods=["POST"]),
                Route(prefix + listed, self.executions),
                Route(prefix + listed + "/{job}/poll", self.poll),
                Route(prefix + listed + "/{job}/log", self.log),
            )
        ]

    async def submit(self, request: Request) -> Response:
        """``POST …/submit?env=``: the body is the payload of the Flow's HTTP trigger."""
        return JSONResponse({"jobId": (await self.start(request)).id})

    async def run(self, request: Request) -> Response:
        """``POST …/run?env=``: waits for the end, up to 300 seconds, and answers the Flow's value."""
        run = await self.start(request)
        assert run.task is not None
        await asyncio.wait([run.task], timeout=self.settings.flow_run_seconds)
        headers = {"flow-job-id": run.id}
        if run.status != "Succeeded":
            return Response(status_code=500 if run.ended else 504, headers=headers)
        return JSONResponse({"rows": run.rows}, headers=headers)

    async def executions(self, request: Request) -> Response:
        """``GET …/diagnostics/executions?env=``: all runs of the Flow in an environment, newest first (inferred)."""
        flow_id, environment = self.flow_of(request), environment_of(request)
        runs = [run for run in self.runs.known.values() if run.flow_id == flow_id and run.environment == environment]
        return JSONResponse([shown(run) for run in reversed(runs)])

    async def poll(self, request: Request) -> Response:
        """``GET …/{job}/poll?logItemId=``: the state, and the log's items after that one."""
        run = self.find(request)
        try:
            after = int(request.query_params.get("logItemId", "0"))
        except ValueError as error:
            raise answers.problem(400) from error
        lines = [line for line in self.settings.kept(run.lines) if line.number > after]
        newest = run.lines[-1].number if run.lines else 0
        if self.settings.log_forgets and 0 < after < newest:
            raise answers.problem(400)
        return self.logged({"executionState": state(run), "logItems": [item(run, line) for line in lines]}, lines)

    async def log(self, request: Request) -> Response:
        """``GET …/{job}/log``."""
        run = self.find(request)
        lines = self.settings.kept(run.lines)
        return self.logged([item(run, line) for line in lines], lines)

    def logged(self, content: Any, lines: Sequence[LogLine]) -> Response:
        """An answer that holds log items, as the switches have it; one without any is spared."""
        if lines and self.settings.log_status:
            return Response(status_code=self.settings.log_status)
        return Response(self.settings.spoiled(bytes(JSONResponse(content).body)), media_type="application/json")

    async def start(self, request: Request) -> Run:
        """Start a run of the Flow in the path with a JSON object as its arguments; a binary payload has none."""
        flow_id, environment, body = self.flow_of(request), environment_of(request), await request.body()
        given: Any = {}
        if body.strip() and "json" in request.headers.get("content-type", ""):
            try:
                given = json.loads(body)
            except ValueError as error:
                raise answers.problem(400) from error
        return self.runs.start(flow_id, FLOWS[flow_id], given if isinstance(given, dict) else {}, environment)

    def flow_of(self, request: Request) -> str:
        """The Flow of the path, for who has the key."""
        if answers.key_of(request, self.settings) != FLOW_KEY:
            raise answers.problem(401)
        place = request.path_params
        flow_id: str = place["flow"].lower()
        if (place["tenant"].lower(), place["workspace"].lower()) != (TENANT, WORKSPACE) or flow_id not in FLOWS:
            raise answers.problem(404)
        return flow_id

    def find(self, request: Request) -> Run:
        """The run of the path."""
        run = self.runs.find(self.flow_of(request), request.path_params["job"])
        if run is None or run.environment is None:
            raise answers.problem(404)
        return run


def environment_of(request: Request) -> int:
    """``env`` as a name or a number; without one it is Production (inferred)."""
    given = request.query_params.get("env", "Production").lower()
    for number, name in enumerate(ENVIRONMENTS):
        if given in (name.lower(), str(number)):
            return number
    raise answers.problem(400, "env")


def state(run: Run) -> int:
    """A run's execution state as a number."""
    if run.status == "Succeeded" and run.routine.ends == "warning":
        return COMPLETED_WITH_WARNING
    return STATES[run.status]


def item(run: Run, line: LogLine) -> dict[str, Any]:
    """A log item."""
    return {
        "flowId": run.flow_id,
        "jobId": run.id,
        "nodeId": run.routine.name,
        "data": line.text,
        "type": LOG_TYPES[line.level],
        "logTimeStamp": stamp(line.at),
        "logItemId": line.number,
    }


def shown(run: Run) -> dict[str, Any]:
    """A run in the list of runs."""
    end: datetime | None = run.ended_at
    return {
        "jobId": run.id,
        "tenantId": TENANT,
        "workspaceId": WORKSPACE,
        "flowId": run.flow_id,
        "environment": run.environment,
        "message": run.error or "",
        "state": state(run),
        "startTime": stamp(run.created_at),
        "endTime": stamp(end),
    }

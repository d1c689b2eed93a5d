"""The public execution API of data flows: start and status, and nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import answers
from .catalog import DATA_FLOWS, EXECUTION_KEY
from .runs import Run, Runs
from .settings import InvisionSettings

if TYPE_CHECKING:
    from starlette.requests import Request

ROOT = "/api/pub/v1/dataflows/{flow}"


class DataflowApi:
    """The handlers."""

    def __init__(self, settings: InvisionSettings, runs: Runs) -> None:
        self.settings, self.runs = settings, runs

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route(ROOT + "/start", self.start, methods=["POST"]),
            Route(ROOT + "/runs/{run}/status", self.status),
        ]

    async def start(self, request: Request) -> Response:
        """``POST …/start[?await=true]``: starts another run each time."""
        answers.admit(request, self.settings, EXECUTION_KEY)
        given = self.arguments(request, await request.body())
        flow_id = request.path_params["flow"]
        known = next((one for one in DATA_FLOWS if one.lower() == flow_id.lower()), None)
        if known is None:
            raise answers.error(self.settings, 404)
        run = self.runs.start(known, DATA_FLOWS[known], given)
        waits = request.query_params.get("await", "").lower() == "true" or self.settings.terminal_in_start
        if waits and run.task:
            # The run is a task of its own: it goes on when the caller has gone.
            await asyncio.wait([run.task])
        return self.answer(run)

    def arguments(self, request: Request, body: bytes) -> dict[str, Any]:
        """The arguments in the body of a start.

        The format is that of the Flow action "Execute Dataflow"; that this path takes it is inferred.
        """
        is_json = "json" in request.headers.get("content-type", "")
        if self.settings.require_json and not is_json:
            raise answers.problem(415)
        if self.settings.require_json and not body.strip():
            raise answers.problem(400, "A non-empty request body is required.")
        if not is_json or not body.strip() or not self.settings.accept_arguments:
            return {}
        try:
            return arguments_in(json.loads(body))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise answers.problem(400, "The JSON value could not be converted.") from error

    async def status(self, request: Request) -> Response:
        """``GET …/runs/{run}/status``: flow and run belong together."""
        answers.admit(request, self.settings, EXECUTION_KEY)
        run = self.runs.find(request.path_params["flow"], request.path_params["run"])
        if run is None or run.environment is not None:
            raise answers.error(self.settings, 404)
        return self.answer(run)

    def answer(self, run: Run) -> Response:
        """A run's id and status; status 200 also when it failed."""
        status = getattr(run.status, self.settings.status_case)()
        names = ("RunId", "Status") if self.settings.pascal_case else ("runId", "status")
        return JSONResponse(dict(zip(names, (run.id, status), strict=True)))


def arguments_in(content: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a start, those of single activities over the global ones."""
    given: dict[str, Any] = dict(content.get("globalArguments") or {})
    for activity in content.get("activitiesExecutionData") or ():
        given |= {argument["name"]: argument["value"] for argument in activity.get("arguments") or ()}
    return given

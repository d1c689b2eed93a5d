"""The engine's own API, which TIBCO calls the Team Studio API: run, query, stop, and the results."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from . import answers, results
from .catalog import Workfile
from .engine import BUILT_IN, Engine, Process
from .rails import redirect
from .sessions import Session, Sessions
from .settings import ChorusSettings
from .workfiles import Workfiles

if TYPE_CHECKING:
    from starlette.requests import Request

ROOT = "/alpinedatalabs/api/v1/json"
START_TIMEOUT = 10.0  # seconds
NO_TOKEN = "The resource requires authentication, which was not supplied with the request"  # noqa: S105
ENDED = {
    "processId": "invalid processId or workflow already stopped.\n",
    "processID": "invalid processID or workflow already stopped.\n",
    "not_started": "Workflow not started or already stopped.\n",
}
Handler = Callable[["Request", Session], Awaitable[Response]]


class EngineJson(JSONResponse):
    """JSON as Tomcat labels it, also when it is none."""

    media_type = "application/json;charset=UTF-8"


class EngineRefusal(Exception):
    """A request ends with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class EngineApi:
    """The handlers; a token is a session_id of the Rails side."""

    def __init__(self, settings: ChorusSettings, engine: Engine, sessions: Sessions, workfiles: Workfiles) -> None:
        self.settings, self.engine, self.sessions, self.workfiles = settings, engine, sessions, workfiles

    def routes(self) -> list[Route]:
        """All routes below :data:`ROOT`."""
        return [
            Route(ROOT + "/workflows/{workflow}/run", self.entrance(self.run), methods=["POST"]),
            Route(ROOT + "/workflows/{workflow}/results/{process}", self.entrance(self.results)),
            Route(ROOT + "/processes/{process}/query", self.entrance(self.query)),
            Route(ROOT + "/processes/{process}/stop", self.entrance(self.stop), methods=["POST"]),
        ]

    def entrance(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """A handler behind nginx, the licence and the token."""

        async def answer(request: Request) -> Response:
            if self.settings.redirect_http:
                return redirect(request)
            if self.settings.engine_down:
                return Response(answers.BAD_GATEWAY, 502, media_type="text/html")
            try:
                return await handler(request, self.session(request))
            except EngineRefusal as refusal:
                return PlainTextResponse(refusal.text, refusal.status)

        return answer

    def session(self, request: Request) -> Session:
        """Who asks: header ``x-token`` or parameter ``token``."""
        session = self.sessions.valid(request.headers.get("x-token") or request.query_params.get("token"))
        if session is None:
            raise EngineRefusal(401, NO_TOKEN)
        if not self.settings.api_enabled:
            raise EngineRefusal(403, "The license does not include the Application API")  # inferred
        if self.settings.engine_touches_session:
            self.sessions.touch(session)
        return session

    async def run(self, request: Request, session: Session) -> Response:
        """``POST /workflows/{id}/run?saveResult=&startTimeOut=``.

        inferred: a run through this API leaves the workfile's status alone and no activity on the Rails side.
        """
        workfile = self.find(request, session)
        save = request.query_params.get("saveResult", "true").lower() != "false"
        variables = variables_of(await request.body())
        flow = workfile.file.flow
        unknown = sorted(set(variables) - set(flow.variables if flow else ()) - set(BUILT_IN))
        if unknown and self.settings.unknown_variable == "422":
            raise EngineRefusal(422, f"unknown variable: {unknown[0]}")  # inferred
        process = self.engine.start(workfile.file, session.user, "engine", session.id, variables=variables, save=save)
        await self.begun(process, request.query_params.get("startTimeOut"))
        return EngineJson(results.started(process))

    async def begun(self, process: Process, limit: str | None) -> None:
        """Wait until a process has started; inferred: it does so later even when the caller was told an error."""
        try:
            seconds = float(limit) if limit else START_TIMEOUT
        except ValueError:
            seconds = START_TIMEOUT
        try:
            await asyncio.wait_for(process.started.wait(), seconds)
        except TimeoutError as error:
            raise EngineRefusal(500, f"workflow not started within {seconds:g} seconds") from error

    async def query(self, request: Request, session: Session) -> Response:
        """``GET /processes/{id}/query``: what has ended, failed or never was gives the same text as JSON."""
        process = self.engine.running(request.path_params["process"])
        if process:
            return EngineJson(results.progress(process, self.settings.state_word or process.state))
        ended = self.engine.find(request.path_params["process"])
        text = ENDED[self.settings.finished_text]
        if self.settings.failed_text and ended and ended.outcome == "FAILURE":
            text = self.settings.failed_text
        return Response(text, media_type=EngineJson.media_type)

    async def stop(self, request: Request, session: Session) -> Response:
        """``POST /processes/{id}/stop``: accepted is not stopped; the answer for no process is inferred."""
        stopped = self.engine.stop(request.path_params["process"])
        if self.settings.stop_style == "json":
            return EngineJson({"status": "Flow stopped.\n" if stopped else ENDED[self.settings.finished_text]})
        return PlainTextResponse("request accepted.\n" if stopped else ENDED[self.settings.finished_text])

    async def results(self, request: Request, session: Session) -> Response:
        """``GET /workflows/{id}/results/{process}``: JSON as the text of a JSON string, empty without results."""
        process = self.engine.find(request.path_params["process"])
        status = self.status(process) if process else None
        if process is None or status is None or str(process.file.id) != request.path_params["workflow"]:
            return EngineJson("")
        return EngineJson(json.dumps(results.document(process, status), separators=(",", ":")))

    def status(self, process: Process) -> str | None:
        """The status that a process' results give; None while there are none."""
        if not process.save or self.settings.results_lost or process.outcome is None:
            return None
        if time.monotonic() < process.results_at:
            return None
        return self.settings.stopped_status if process.outcome == "STOPPED" else process.outcome

    def find(self, request: Request, session: Session) -> Workfile:
        """The workfile of the path, if it is a flow that the user may run (both answers are inferred)."""
        number = answers.whole(request.path_params["workflow"], 0)
        workfile = self.workfiles.known.get(number)
        if workfile is None or workfile.file.flow is None:
            raise EngineRefusal(self.settings.unknown_workflow_status, f"workflow not found: {number}")
        if session.user.id not in workfile.file.workspace.members:
            raise EngineRefusal(403, "Forbidden")
        return workfile


def variables_of(body: bytes) -> Mapping[str, str]:
    """The variables in the body of a run; no body means none.

    Only the text for a wrong version is documented; the other refusals are inferred.
    """
    if not body.strip():
        return {}
    try:
        content = json.loads(body)
        version = content["meta"]["version"]
        variables = {one["name"]: one["value"] for one in content.get("variables") or ()}
    except (ValueError, TypeError, KeyError) as error:
        raise EngineRefusal(422, "invalid request body") from error
    if version != 1:
        raise EngineRefusal(422, f"invalid API version: {spelled(version)}")
    for name, value in variables.items():
        if not isinstance(value, str):
            raise EngineRefusal(422, f"value of variable {name} is not a string")
    return variables


def spelled(value: Any) -> str:
    """A JSON value as text."""
    return value if isinstance(value, str) else json.dumps(value)

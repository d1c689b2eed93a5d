"""The sandbox's own switches, as JSON under ``/_sandbox``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .faults import KINDS, BadFault
from .settings import UnknownSetting

if TYPE_CHECKING:
    from starlette.requests import Request

    from .faults import Faults
    from .journal import Journal
    from .system import System


class Sandbox(Protocol):
    """What the switches turn: the `Sandbox` of `sandbox.app`, which is above this module."""

    systems: dict[str, System]
    faults: Faults
    journal: Journal

    def reset(self) -> None:
        """Be as if just started."""


class Control:
    """The handlers; each answers JSON, a mistake answers ``{"error": ...}`` with 400 or 404."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def describe(self, request: Request) -> Response:
        """``GET /_sandbox``: systems, workflows, connections, and what else can be asked here."""
        return JSONResponse(description(self.sandbox, str(request.base_url).rstrip("/")))

    async def settings(self, request: Request) -> Response:
        """``GET`` and ``PUT /_sandbox/settings/{system}``: read the switches, change the ones given."""
        settings = self.system(request.path_params["system"]).settings
        if request.method == "PUT":
            settings.update(await mapping(request))
        return JSONResponse(settings.to_json())

    async def faults(self, request: Request) -> Response:
        """``GET``, ``POST`` and ``DELETE /_sandbox/faults``: list, plan, clear."""
        if request.method == "POST":
            self.sandbox.faults.plan(await mapping(request))
        if request.method == "DELETE":
            self.sandbox.faults.clear()
        return JSONResponse(self.sandbox.faults.to_json(), status_code=201 if request.method == "POST" else 200)

    async def requests(self, request: Request) -> Response:
        """``GET`` and ``DELETE /_sandbox/requests[?system=]``: the journal."""
        system = request.query_params.get("system")
        if request.method == "DELETE":
            self.sandbox.journal.clear(system)
        return JSONResponse(self.sandbox.journal.to_json(system))

    async def runs(self, request: Request) -> Response:
        """``GET /_sandbox/runs[?system=]``: every run as the sandbox itself knows it."""
        return JSONResponse(runs(self.sandbox, request.query_params.get("system")))

    async def figures(self, request: Request) -> Response:
        """``GET /_sandbox/figures/{system}``: what the system has counted, such as scans of CARTO's tables."""
        return JSONResponse(dict(self.system(request.path_params["system"]).figures()))

    async def reset(self, request: Request) -> Response:
        """``POST /_sandbox/reset``: back to the state after the start."""
        self.sandbox.reset()
        return JSONResponse({"reset": True})

    def system(self, key: str) -> System:
        """The system of that key; 404 names the known ones."""
        if key not in self.sandbox.systems:
            raise HTTPException(404, f"Unknown system {key!r}; known are {', '.join(self.sandbox.systems)}")
        return self.sandbox.systems[key]


def control(sandbox: Sandbox) -> Starlette:
    """The control API; whatever path no system owns ends here too, as a 404 in JSON."""
    own = Control(sandbox)
    routes = [
        Route("/_sandbox", own.describe),
        Route("/_sandbox/settings/{system}", own.settings, methods=["GET", "PUT"]),
        Route("/_sandbox/faults", own.faults, methods=["GET", "POST", "DELETE"]),
        Route("/_sandbox/requests", own.requests, methods=["GET", "DELETE"]),
        Route("/_sandbox/runs", own.runs),
        Route("/_sandbox/figures/{system}", own.figures),
        Route("/_sandbox/reset", own.reset, methods=["POST"]),
    ]
    handlers = {UnknownSetting: refused, BadFault: refused, HTTPException: refused}
    return Starlette(routes=routes, exception_handlers=handlers)


async def refused(request: Request, error: Exception) -> Response:
    """A mistake of the caller as JSON."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, status_code=error.status_code)
    return JSONResponse({"error": str(error)}, status_code=400)


async def mapping(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body; 400 for anything else."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise HTTPException(400, f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "The body must be a JSON object")
    return body


def runs(sandbox: Sandbox, system: str | None = None) -> list[dict[str, Any]]:
    """The runs of one system or of all."""
    return [run.to_json() for key, one in sandbox.systems.items() if system in (None, key) for run in one.runs()]


def description(sandbox: Sandbox, base_url: str) -> dict[str, Any]:
    """What the sandbox serves, for people and programs."""
    served = {
        key: {
            "urls": [base_url + prefix for prefix in system.mounts()],
            "connections": system.connections(base_url),
            "workflows": [vars(workflow) for workflow in system.describe()],
            "settings": system.settings.to_json(),
        }
        for key, system in sandbox.systems.items()
    }
    calls = ["GET|PUT /_sandbox/settings/{system}", "GET|POST|DELETE /_sandbox/faults", "GET /_sandbox/runs[?system=]"]
    calls += ["GET|DELETE /_sandbox/requests[?system=]", "GET /_sandbox/figures/{system}", "POST /_sandbox/reset"]
    return {"systems": served, "fault_kinds": KINDS, "calls": calls}

"""TIBCO Data Science Team Studio (Alpine Chorus): two APIs on one host, over DuckDB standing in for Greenplum.

The Rails side is under ``/chorus/api`` (and ``/chorus``), the engine's side under
``/chorus/alpinedatalabs/api/v1/json``. Flows really run SQL with their variables put in as text, as the engine does.
Facts come from the Chorus source (https://github.com/hey-jude/chorus), TIBCO's documentation of ``sfire-dsc`` at
https://docs.tibco.com and the vendor's client (https://github.com/AlpineNow/python-alpine-api).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from airflow_workflow_provider.sandbox.system import ServedRun, ServedWorkflow, System

from . import answers
from .account import Account
from .activities import Activities
from .catalog import ANALYST, FILES, JOBS, PUBLIC, USERS, VIEWER, User
from .database import Database
from .datasets import Datasets
from .engine import Engine
from .engine_api import EngineApi
from .job_api import JobApi
from .jobs import Runner
from .rails import Rails
from .sessions import Sessions
from .settings import ChorusSettings
from .workfiles import Workfiles

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


class Chorus(System):
    """The system ``chorus``."""

    key = "chorus"

    def __init__(self) -> None:
        self.settings: ChorusSettings = ChorusSettings()
        self.sessions = Sessions(self.settings)
        self.database = Database()
        self.fill()

    def fill(self) -> None:
        """What there is when nothing has happened yet."""
        settings, sessions, activities = self.settings, self.sessions, Activities()
        self.database = self.database.emptied()
        self.engine = Engine(settings, self.database)
        workfiles = Workfiles(settings, self.engine, sessions, activities)
        self.runner = Runner(settings, self.engine, sessions, workfiles, activities)
        self.jobs = JobApi(settings, self.runner, workfiles, activities)
        account, rails = Account(settings, sessions), Rails(settings, sessions)
        routes: list[BaseRoute] = [*EngineApi(settings, self.engine, sessions, workfiles).routes()]
        routes += rails.routes(account.open_endpoints(), login=False)
        for part in (account, workfiles, self.jobs, Datasets(settings, self.database)):
            routes += rails.routes(part.endpoints())
        self.app = Starlette(routes=routes, exception_handlers={HTTPException: unknown_path})

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the app of this moment."""
        await self.app(scope, receive, send)

    def mounts(self) -> Mapping[str, ASGIApp]:
        """Both APIs."""
        return {"/chorus": self.serve}

    def connections(self, base_url: str) -> Mapping[str, Mapping[str, Any]]:
        """One connection for a member of the workspaces, one for somebody who may only look."""
        return {
            "chorus_default": connection(base_url, ANALYST),
            "chorus_viewer": connection(base_url, VIEWER),
        }

    def describe(self) -> Sequence[ServedWorkflow]:
        """The flows and jobs of the workspace "Public"."""
        flows = [
            ServedWorkflow(file.name, str(file.id), file.flow.summary, file.flow.variables, "chorus_default")
            for file in FILES
            if file.flow and file.workspace == PUBLIC
        ]
        names = {file.id: file.name for file in FILES}
        jobs = [
            ServedWorkflow(
                plan.name,
                str(plan.id),
                "a job: " + ", then ".join(names[number] for number in plan.workfiles),
                {},
                "chorus_default",
            )
            for plan in JOBS
        ]
        return flows + jobs

    def runs(self) -> Sequence[ServedRun]:
        """Every process of the engine and every run of a job."""
        found = [process.served() for process in self.engine.processes.values()]
        found += [run for job in self.jobs.known.values() for run in job.served()]
        return sorted(found, key=lambda run: run.started_at)

    def reset(self) -> None:
        """No user is logged in, nothing has run."""
        self.jobs.clear()
        self.engine.clear()
        self.sessions.reset()
        self.fill()


def connection(base_url: str, user: User) -> dict[str, Any]:
    """An Airflow connection for a user."""
    host = f"{base_url}/chorus"
    return {"conn_type": "chorus", "host": host, "login": user.username, "password": user.password, "extra": {}}


async def unknown_path(request: Request, error: Exception) -> Response:
    """A path or method that no route has."""
    return answers.html(404)


__all__ = ["USERS", "Chorus"]

"""Workfiles: looking at them, and running them without ever getting the id of a run."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.sandbox.system import now

from . import answers, presenters
from .catalog import FILES, IDLE, WORKSPACES, User, Workfile, Workspace
from .engine import Engine, Process
from .rails import Call, Endpoint, may_edit, may_look, nested

if TYPE_CHECKING:
    from starlette.responses import Response

    from .activities import Activities
    from .sessions import Sessions
    from .settings import ChorusSettings

RUNNING = "running"


class Workfiles:
    """All workfiles by id, and the handlers."""

    def __init__(self, settings: ChorusSettings, engine: Engine, sessions: Sessions, activities: Activities) -> None:
        self.settings, self.engine, self.sessions, self.activities = settings, engine, sessions, activities
        self.known = {file.id: Workfile(file) for file in FILES}
        self.numbers = itertools.count(1)

    def endpoints(self) -> list[Endpoint]:
        """What wants a session."""
        return [
            ("GET", "/workspaces", self.workspaces),
            ("GET", "/workspaces/{workspace}", self.workspace),
            ("GET", "/workspaces/{workspace}/workfiles", self.listed),
            ("GET", "/workfiles/{workfile}", self.show),
            ("PUT", "/workfiles/{workfile}", self.update),
            ("POST", "/workfiles/{workfile}/run", self.run),
            ("POST", "/workfiles/{workfile}/stop", self.stop),
        ]

    async def workspaces(self, call: Call) -> Response:
        """``GET /api/workspaces``: those that the user may see."""
        seen = [one for one in WORKSPACES.values() if one.public or call.user.id in one.members]
        chosen, pagination = answers.page(sorted(seen, key=lambda one: one.name.lower()), call.params)
        return answers.several([presenters.workspace(one, call.user) for one in chosen], pagination)

    async def workspace(self, call: Call) -> Response:
        """``GET /api/workspaces/:id``."""
        return answers.one(presenters.workspace(workspace_of(call), call.user))

    async def listed(self, call: Call) -> Response:
        """``GET /api/workspaces/:id/workfiles``: ``name_pattern`` is SQL's LIKE, wildcards and all."""
        workspace = workspace_of(call)
        found = [one for one in self.known.values() if one.file.workspace == workspace and wanted(one, call.params)]
        found.sort(key=lambda one: one.file.name.lower())
        chosen, pagination = answers.page(found, call.params)
        shown = [presenters.versioned(presenters.workfile(one, call.user, listed=True)) for one in chosen]
        return answers.several(shown, pagination)

    async def show(self, call: Call) -> Response:
        """``GET /api/workfiles/:id[?connect=true]``, which also tries the user's account in the database."""
        workfile = self.find(call)
        may_look(call.user, workfile.file.workspace)
        if call.params.get("connect") and not self.settings.data_source_credentials:
            source = {name: presenters.DATA_SOURCE[name] for name in ("id", "entity_type")}
            raise answers.errors(403, record="INVALID_CREDENTIALS", model_data=source)
        return answers.one(presenters.versioned(presenters.workfile(workfile, call.user)))

    async def update(self, call: Call) -> Response:
        """``PUT /api/workfiles/:id``: any editor can write the status, which is how a stuck flow is freed."""
        workfile = self.find_to_edit(call)
        status = nested(call.params, "workfile", "status")
        if status in (IDLE, RUNNING):
            workfile.status = status
        return answers.one(presenters.workfile(workfile, call.user))

    async def run(self, call: Call) -> Response:
        """``POST /api/workfiles/:id/run``: nothing guards against a second run, and a SQL file just pretends."""
        workfile = self.find_to_edit(call)
        if workfile.file.flow:
            await self.start(workfile, call.user)
        return answers.one(presenters.workfile(workfile, call.user), 202)

    async def start(self, workfile: Workfile, user: User) -> None:
        """Have the engine run a flow, and only then write down that it runs."""
        if self.settings.engine_down or not self.settings.workflow_enabled:
            raise answers.failed()
        if self.settings.run_refused:
            raise answers.errors(422, record="RUN_FAILED")
        session = self.sessions.of_user(user)
        process = self.engine.start(workfile.file, user, "workfile", session.id, report=self.ended)
        if self.settings.race and process.task:
            await asyncio.wait([process.task])
        workfile.status, workfile.killable_id = RUNNING, process.id

    def ended(self, process: Process) -> None:
        """The engine reports the end of a run with the session that it was given; without one there is no effect."""
        session = self.sessions.valid(process.session_id)
        if session is None or self.settings.stuck_running:
            return
        self.known[process.file.id].status = IDLE
        # inferred: a stopped run leaves no result.
        if process.outcome == "SUCCESS" or (process.outcome == "FAILURE" and self.settings.failed_run_activity):
            asyncio.get_running_loop().call_later(self.settings.activity_seconds, self.note, process, session.user)

    def note(self, process: Process, actor: User) -> None:
        """Write the activity of a result."""
        attachment: dict[str, Any] = {"entity_type": "work_flow_result", "id": self.result_id(process)}
        attachment |= {"workfile_id": process.file.id, "model": {}}
        content = {"workfile": self.brief(process.file.id), "attachments": [attachment]}
        self.activities.add("workfile", process.file.id, actor, "WorkfileResult", now(), content)

    def result_id(self, process: Process) -> str:
        """The id under which the engine keeps a run's results."""
        if self.settings.result_id_style == "process":
            return process.id
        return self.engine.alias(f"0.{next(self.numbers):07d}", process)

    def brief(self, number: int) -> dict[str, Any]:
        """A workfile inside an activity."""
        workfile = self.known[number]
        return {"id": number, "file_name": workfile.file.name, "status": workfile.status}

    async def stop(self, call: Call) -> Response:
        """``POST /api/workfiles/:id/stop``: reaches the newest run only, and is as happy when nothing runs."""
        workfile = self.find_to_edit(call)
        if workfile.file.flow:
            if self.settings.engine_down:
                raise answers.failed()
            if not self.settings.stop_refused:
                self.engine.stop(workfile.killable_id)
                workfile.status = IDLE
        return answers.one(presenters.workfile(workfile, call.user), 202)

    def find(self, call: Call) -> Workfile:
        """The workfile of the path; 404 without one."""
        workfile = self.known.get(call.id("workfile"))
        if workfile is None:
            raise answers.not_found()
        return workfile

    def find_to_edit(self, call: Call) -> Workfile:
        """The workfile of the path, for a member of its workspace; 403 for others."""
        workfile = self.find(call)
        may_edit(call.user, workfile.file.workspace)
        return workfile


def workspace_of(call: Call) -> Workspace:
    """The workspace of the path, if the user may see it."""
    workspace = WORKSPACES.get(call.id("workspace"))
    if workspace is None:
        raise answers.not_found()
    may_look(call.user, workspace)
    return workspace


def wanted(workfile: Workfile, params: dict[str, Any]) -> bool:
    """Whether a list's filters let a workfile through; whether the pattern's own wildcards are taken is inferred."""
    kind = "work_flow" if workfile.file.flow else "sql"
    if params.get("file_type") not in (None, "", kind):
        return False
    return like(workfile.file.name, str(params.get("name_pattern") or ""))


def like(name: str, pattern: str) -> bool:
    """SQL's ``name LIKE '%pattern%'``."""
    wild = {"%": ".*", "_": "."}
    return re.search("".join(wild.get(letter, re.escape(letter)) for letter in pattern), name, re.DOTALL) is not None

"""Runs of workfiles through Chorus's own API, for servers without the engine's.

There is no run id, and an end looks the same after success, failure and stop [src]. So a run is what happens to an
idle workfile between the start and the next stored result. Whatever does not fit fails as ambiguous; nothing is
guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_workflow_provider.exceptions import CancelRefused, InvalidArgument, RequestRejected, WorkflowError
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.effects import Flow, Note, Now, Request, Response
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.parameters import Parameters
from airflow_workflow_provider.protocol.system import WorkflowSystem, seconds_in
from airflow_workflow_provider.protocol.times import from_epoch
from airflow_workflow_provider.systems.chorus import answers
from airflow_workflow_provider.systems.chorus.engine import Engine
from airflow_workflow_provider.systems.chorus.jobs import ACTIVITIES
from airflow_workflow_provider.systems.chorus.settling import IDLE_SINCE, SEEN_RUNNING

WORKFILE = "/workfiles/{workfile}"
RUN = "/workfiles/{workfile}/run"
STOP = "/workfiles/{workfile}/stop"
GRACE = 60.0  # seconds in which a run must have shown itself, and its result after it


class Workfiles:
    """Chorus's workfiles."""

    def __init__(self, system: WorkflowSystem, api: Api, engine: Engine) -> None:
        self.system, self.api, self.engine = system, api, engine

    def start(self, workflow: str, parameters: Parameters) -> Flow[Run]:
        """Run an idle workflow. The server would start a second run beside a first one, and lose that one's track."""
        workfile = yield from self._workfile(workflow)
        if workfile.get("file_type") != "work_flow" and workfile.get("entity_subtype") != "alpine":
            raise RequestRejected(
                f"workfile {workflow} is not a workflow; the server would accept a run and do nothing"
            )
        if workfile.get("status") != "idle":
            raise RequestRejected(f"workfile {workflow} is {workfile.get('status')!r}, only an idle one can be watched")
        activities = yield from self._activities(workflow)
        baseline = max((_id(row) for row in activities), default=0)
        now = yield Now()
        request = Request("POST", self.api.url(RUN, workfile=workflow))

        def run_id(document: Any) -> str:
            return f"workfile:{workflow}:{baseline}:{int(now)}"

        def seen_first(run: Run, document: Any) -> Run:
            is_running = answers.response_of(document).get("status") == "running"
            handle = run.handle.with_poll(**{SEEN_RUNNING: True} if is_running else {})
            details = {"run_mode": "workfile"}
            return replace(run, state=RunState.RUNNING, url=self.url(run), details=details, handle=handle)

        doing = f"starting workfile {workflow}"
        return (
            yield from self.system.send_start(
                self.api, request, workflow, run_id, seen_first, doing=doing, has_document=False
            )
        )

    def get_run(self, run: Run) -> Flow[Run]:
        """Look whether the workfile is idle again, and which result came since."""
        workfile, baseline, requested_at = _parts(run)
        run = replace(run, workflow=run.workflow or workfile, url=self.url(run))
        status = (yield from self._workfile(workfile)).get("status")
        if status != "idle":
            return replace(run, state=RunState.RUNNING, handle=run.handle.with_poll(**{SEEN_RUNNING: True}))
        new = [row for row in (yield from self._activities(workfile)) if _id(row) > baseline]
        if len(new) > 1:
            return _ambiguous(run, f"{len(new)} results came since the start, and which is this run's is unknown")
        if new:
            return (yield from self._concluded(run, new[0]))
        now = yield Now()
        idle_since = seconds_in(run.handle.poll, IDLE_SINCE) or now
        if now - max(idle_since, requested_at) < GRACE:
            handle = run.handle.with_poll(**{**run.handle.poll, IDLE_SINCE: idle_since})
            return replace(run, state=RunState.RUNNING, handle=handle)
        if run.handle.poll.get(SEEN_RUNNING):
            return _ambiguous(run, "the workfile is idle again and stored no result: failed, stopped, or not saved")
        return _ambiguous(run, "the workfile was never seen running")

    def cancel(self, run: Run) -> Flow[None]:
        """Stop the workfile, unless this run is over: the call stops the newest run, whoever started it.

        The answer shows the workfile as idle; where it is still running the engine has refused [src].
        """
        workfile, _, _ = _parts(run)
        if (yield from answers.is_over(self.get_run(run), run)):
            return
        request = Request("POST", self.api.url(STOP, workfile=workfile))
        response = yield from self.system.send_cancel(self.api, request, run)
        if response is not None and answers.status_of(response) == "running":
            raise CancelRefused(f"Workfile {workfile} was not stopped, run {run.run_id} goes on: it is still running.")

    def url(self, run: Run) -> str:
        """Give the address of the workfile."""
        return self._url(_parts(run)[0])

    def _concluded(self, run: Run, activity: Mapping[str, Any]) -> Flow[Run]:
        """Take the result's word where the engine gives it; the activity itself tells no success."""
        attached = [row for row in activity.get("attachments") or () if isinstance(row, Mapping) and row.get("id")]
        process = str(attached[0]["id"]) if attached else ""
        try:
            results = (yield from self.engine.results(run.workflow, process)) if process else {}
        except WorkflowError as error:
            yield Note(f"The engine's results of run {run.run_id} cannot be read: {error}")
            results = {}
        if results:
            return self.engine.concluded(run, results, process)
        told = "a result was stored; whether every operator succeeded cannot be seen without the engine's API"
        yield Note(f"Run {run.run_id}: {told}", "warning")
        return replace(run, state=RunState.SUCCEEDED, message=told, ended_at=from_epoch((yield Now())))

    def _workfile(self, workfile: str) -> Flow[Mapping[str, Any]]:
        request = Request("GET", self._url(workfile))
        doing = f"reading workfile {workfile}"
        body = answers.response_of((yield from self.api.read(request, doing)))
        if not body.get("status"):
            raise self.api.unreadable(request, Response(200), doing, "the answer is not a workfile")
        return body

    def _activities(self, workfile: str) -> Flow[list[Mapping[str, Any]]]:
        """List results of this user, newest first; one page holds 50, more than one run can add."""
        params = {
            "entity_type": "workfile",
            "entity_id": workfile,
            "results_only": "true",
            "current_user_only": "true",
        }
        request = Request("GET", self.api.url(ACTIVITIES), params=params)
        return answers.rows_of((yield from self.api.read(request, f"listing the results of workfile {workfile}")))

    def _url(self, workfile: str) -> str:
        return self.api.url(WORKFILE, workfile=workfile)


def _ambiguous(run: Run, why: str) -> Run:
    return replace(run, state=RunState.FAILED, message=f"ambiguous: {why}")


def _id(row: Mapping[str, Any]) -> int:
    try:
        return int(row.get("id") or 0)
    except (TypeError, ValueError):
        return 0


def _parts(run: Run) -> tuple[str, int, float]:
    parts = run.run_id.split(":")
    if len(parts) != 4 or not parts[1] or not parts[2].isdecimal() or not parts[3].isdecimal():
        raise InvalidArgument(f"run_id: {run.run_id!r} is not workfile:<id>:<activity before it>:<seconds since 1970>")
    return parts[1], int(parts[2]), float(parts[3])

"""The handlers for jobs, their results and all activities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import answers, presenters
from .activities import Activities
from .catalog import ANALYST, FILES, JOBS, File, JobPlan
from .jobs import Job, Runner
from .rails import Call, Endpoint, may_edit, may_look
from .workfiles import Workfiles, workspace_of

if TYPE_CHECKING:
    from starlette.responses import Response

    from .settings import ChorusSettings

FIRST_TASK = 1_000_001


class JobApi:
    """All jobs by id, and the handlers."""

    def __init__(self, settings: ChorusSettings, runner: Runner, workfiles: Workfiles, activities: Activities) -> None:
        self.settings, self.runner = settings, runner
        self.workfiles, self.activities = workfiles, activities
        self.known = {plan.id: Job(plan) for plan in JOBS}

    def endpoints(self) -> list[Endpoint]:
        """What wants a session."""
        return [
            ("GET", "/workspaces/{workspace}/jobs", self.listed),
            ("GET", "/workspaces/{workspace}/jobs/{job}", self.show),
            ("POST", "/jobs/{job}/run", self.run),
            ("POST", "/jobs/{job}/stop", self.stop),
            ("GET", "/jobs/{job}/job_results/latest", self.latest),
            ("GET", "/activities", self.activity),
        ]

    async def listed(self, call: Call) -> Response:
        """``GET /api/workspaces/:id/jobs``: without their tasks."""
        self.licensed()
        workspace = workspace_of(call)
        pattern = str(call.params.get("name_pattern") or "").lower()
        found = [
            job for job in self.known.values() if job.plan.workspace == workspace and pattern in job.plan.name.lower()
        ]
        found.sort(key=lambda job: (job.plan.name.lower(), job.plan.id))
        chosen, pagination = answers.page(found, call.params)
        shared = {"workspace": presenters.workspace(workspace, call.user, brief=True), "complete_json": True}
        return answers.several([job.shown() | shared for job in chosen], pagination)

    async def show(self, call: Call) -> Response:
        """``GET /api/workspaces/:id/jobs/:id``."""
        self.licensed()
        workspace, job = workspace_of(call), self.find(call)
        if job.plan.workspace != workspace:
            raise answers.not_found()
        return answers.one(self.whole(job, call))

    async def run(self, call: Call) -> Response:
        """``POST /api/jobs/:id/run``: only an idle job is taken."""
        job = self.find_to_edit(call)
        if job.status != "idle":
            raise answers.fields(base={"NOT_RUNNABLE": {}})
        self.runner.enqueue(job)
        return answers.one(self.whole(job, call), 202)

    async def stop(self, call: Call) -> Response:
        """``POST /api/jobs/:id/stop``: also a job that is idle will be stopping for a while."""
        job = self.find_to_edit(call)
        self.runner.kill(job)
        return answers.one(self.whole(job, call), 202)

    async def latest(self, call: Call) -> Response:
        """``GET /api/jobs/:id/job_results/latest``: the newest result of the job, or by the switch of any job."""
        self.licensed()
        jobs = [self.find(call)] if self.settings.latest_scope == "job" else [*self.known.values()]
        going = [job.results[-1] for job in jobs if job.results and not job.results[-1].finished_at]
        if going and self.settings.latest_running:
            return answers.one(going[-1].shown())
        ended = [(result.finished_at, result.id, result) for job in jobs for result in job.finished]
        return answers.one(max(ended)[2].shown() if ended else None)

    async def activity(self, call: Call) -> Response:
        """``GET /api/activities?entity_type=&entity_id=``: the events of a workfile or a job, newest first."""
        kind, number = str(call.params.get("entity_type")), answers.whole(call.params.get("entity_id"), 0)
        plans: dict[str, Mapping[int, File | JobPlan]] = {
            "workfile": {file.id: file for file in FILES},
            "job": {plan.id: plan for plan in JOBS},
        }
        entity = plans.get(kind, {}).get(number)
        if entity is None:
            raise answers.not_found()
        may_look(call.user, entity.workspace)
        if kind == "job" and self.settings.job_activities == "denied":
            raise answers.forbidden()
        events = self.activities.of(kind, number, call.user, call.params)
        return answers.several(*answers.page(events, call.params))

    def whole(self, job: Job, call: Call) -> dict[str, object]:
        """A job with its tasks and its owner."""
        return job.shown() | {
            "workspace": presenters.workspace(job.plan.workspace, call.user),
            "tasks": [self.task(job, index, call) for index in range(len(job.plan.workfiles))],
            "owner": presenters.user(ANALYST),
            "complete_json": True,
        }

    def task(self, job: Job, index: int, call: Call) -> dict[str, object]:
        """One task of a job."""
        workfile = self.workfiles.known[job.plan.workfiles[index]]
        return {
            "id": FIRST_TASK + (job.plan.id % 1000) * 10 + index,
            "job": {"id": job.plan.id, "name": job.plan.name},
            "action": "run_work_flow",
            "index": index + 1,
            "name": f"Run {workfile.file.name}",
            "is_deleted": False,
            "is_valid": True,
            "work_flow": presenters.workfile(workfile, call.user, listed=True),
        }

    def licensed(self) -> None:
        """Refuse when the licence has no jobs."""
        if not self.settings.jobs_enabled:
            raise answers.errors(403, license="NOT_LICENSED")

    def find(self, call: Call) -> Job:
        """The job of the path; 404 without one."""
        job = self.known.get(call.id("job"))
        if job is None:
            raise answers.not_found()
        return job

    def find_to_edit(self, call: Call) -> Job:
        """The job of the path, for a member of its workspace and with a licence; 403 for others."""
        self.licensed()
        job = self.find(call)
        may_edit(call.user, job.plan.workspace)
        return job

    def clear(self) -> None:
        """Break off all runs."""
        for job in self.known.values():
            if job.task:
                job.task.cancel()

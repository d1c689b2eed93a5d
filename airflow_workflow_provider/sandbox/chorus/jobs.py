"""Jobs: flows one after the other, with a guard against a second run and a record of success or failure."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_workflow_provider.sandbox.system import ServedRun, now

from . import presenters
from .activities import FIRST, Activities
from .catalog import ANALYST, JobPlan, User
from .engine import Engine, Process
from .sessions import Sessions
from .settings import ChorusSettings
from .workfiles import Workfiles

# A job shows its times in the zone that it was given.
ZONE_NAME, ZONE = "Pacific Time (US & Canada)", timezone(timedelta(hours=-8))
CANCELED = "Canceled by User"


@dataclass
class TaskResult:
    """What became of one task of a run."""

    id: int
    name: str
    payload_id: int
    started_at: datetime
    finished_at: datetime | None = None
    status: str = "success"
    message: str | None = None
    payload_result_id: str | None = None

    def shown(self) -> dict[str, Any]:
        """The result as JSON."""
        times = {"started_at": presenters.stamp(self.started_at), "finished_at": presenters.stamp(self.finished_at)}
        return vars(self) | times


@dataclass
class JobResult:
    """A run of a job; the API shows it only when it is over."""

    id: int
    started_at: datetime
    tasks: list[TaskResult] = field(default_factory=list)
    finished_at: datetime | None = None
    succeeded: bool | None = None

    def shown(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "succeeded": self.succeeded,
            "started_at": presenters.stamp(self.started_at),
            "finished_at": presenters.stamp(self.finished_at),
            "id": self.id,
            "job_task_results": [task.shown() for task in self.tasks],
        }


@dataclass
class Job:
    """A job with its status; ``processes`` are those that a stop would reach."""

    plan: JobPlan
    owner: User = ANALYST
    status: str = "idle"
    last_run: datetime | None = None
    results: list[JobResult] = field(default_factory=list)
    process: Process | None = None
    killed: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def finished(self) -> list[JobResult]:
        """The results of runs that are over."""
        return [result for result in self.results if result.finished_at]

    def shown(self) -> dict[str, Any]:
        """The job as a list shows it."""
        return {
            "id": self.plan.id,
            "name": self.plan.name,
            "description": None,
            "next_run": None,
            "end_run": None,
            "time_zone": ZONE_NAME,
            "last_run": self.last_run.astimezone(ZONE).isoformat(timespec="seconds") if self.last_run else None,
            "interval_unit": "on_demand",
            "interval_value": 0,
            "status": self.status,
            "enabled": False,
            "last_run_failed": bool(self.finished) and not self.finished[-1].succeeded,
            "success_notify": "nobody",  # inferred, as all that is the same for every job here
            "failure_notify": "nobody",
            "is_deleted": False,
            "success_recipients": [],
            "failure_recipients": [],
        }

    def served(self) -> list[ServedRun]:
        """The runs as the sandbox shows them."""
        states = {None: "running", True: "succeeded", False: "failed"}
        return [
            ServedRun(
                "chorus",
                f"job:{self.plan.id}:{one.id}",
                str(self.plan.id),
                states[one.succeeded],
                {},
                one.started_at,
                one.finished_at,
                {"mode": "job", "name": self.plan.name, "tasks": [task.shown() for task in one.tasks]},
            )
            for one in self.results
        ]


class Runner:
    """The scheduler and the worker that lead jobs through their runs."""

    def __init__(
        self, settings: ChorusSettings, engine: Engine, sessions: Sessions, workfiles: Workfiles, activities: Activities
    ) -> None:
        self.settings, self.engine, self.sessions = settings, engine, sessions
        self.workfiles, self.activities = workfiles, activities
        self.result_ids, self.task_ids = itertools.count(FIRST), itertools.count(FIRST)

    def enqueue(self, job: Job) -> None:
        """Let a job wait for a worker; one that is stuck never gets one."""
        job.status = "enqueued"
        if not self.settings.job_stuck:
            job.task = asyncio.get_running_loop().create_task(self.perform(job))

    def kill(self, job: Job) -> None:
        """Stop a job: its process is stopped at once, its status is free again a good while later."""
        if job.process:
            self.engine.stop(job.process.id)
            job.process, job.killed = None, True
            job.over.set()
        job.status = "stopping"
        asyncio.get_running_loop().call_later(self.settings.stopping_seconds, self.free, job)

    def free(self, job: Job) -> None:
        """What the scheduler does with a job that has been stopping for long."""
        if job.status == "stopping":
            job.status = "idle"

    async def perform(self, job: Job) -> None:
        """Run a job, unless it was stopped while it waited: then there is no result at all."""
        await asyncio.sleep(self.settings.enqueued_seconds)
        if job.status != "enqueued":
            return
        job.status, job.last_run, job.killed = "running", now(), False
        result = JobResult(next(self.result_ids), job.last_run)
        job.results.append(result)
        for workfile_id in job.plan.workfiles:
            result.tasks.append(await self.perform_task(job, workfile_id))
            if result.tasks[-1].status == "failure":
                break
        self.finish(job, result)

    async def perform_task(self, job: Job, workfile_id: int) -> TaskResult:
        """Run one task; whatever goes wrong is the message of its result."""
        file = self.workfiles.known[workfile_id].file
        result = TaskResult(next(self.task_ids), f"Run {file.name}", workfile_id, now())
        error = await self.run_flow(job, workfile_id, result)
        result.finished_at = now()
        if error is not None:
            result.status, result.message = "failure", error
        return result

    async def run_flow(self, job: Job, workfile_id: int, result: TaskResult) -> str | None:
        """Have the engine run a task's flow and wait until it says so; returns what went wrong."""
        if self.settings.engine_down or self.settings.run_refused:
            return "Connection refused - Connection refused" if self.settings.engine_down else "RUN_FAILED"
        job.over = asyncio.Event()
        session = self.sessions.of_user(job.owner)
        file = self.workfiles.known[workfile_id].file
        process = self.engine.start(file, job.owner, "job", session.id, report=self.hearing(job.over))
        job.process = process
        await job.over.wait()
        await asyncio.sleep(self.settings.notice_seconds)
        job.process = None
        if job.killed:
            return CANCELED
        # inferred: how the engine tells Rails that a flow failed, and that it then has no result id.
        if process.outcome == "FAILURE" and self.settings.job_hears_failure:
            return process.error
        result.payload_result_id = self.workfiles.result_id(process)
        return None

    def hearing(self, over: asyncio.Event) -> Callable[[Process], None]:
        """What the engine calls when a process has ended; without the session that it was given it has no effect."""

        def report(process: Process) -> None:
            if self.sessions.valid(process.session_id):
                over.set()

        return report

    def finish(self, job: Job, result: JobResult) -> None:
        """Write down how a run ended."""
        result.succeeded, result.finished_at = all(task.status == "success" for task in result.tasks), now()
        job.status = "idle"
        action = "JobSucceeded" if result.succeeded else "JobFailed"
        brief = {"id": job.plan.id, "name": job.plan.name, "status": job.status}
        shown = {"id": result.id} if self.settings.job_activities == "id" else result.shown()
        content = {"job": brief, "job_result": shown}
        self.activities.add("job", job.plan.id, job.owner, action, now(), content)

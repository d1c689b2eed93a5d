"""The jobs: queued, running, then completed with a disposition, or cancelled."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from airflow_workflow_provider.sandbox.run_log import play
from airflow_workflow_provider.sandbox.system import ServedRun, now

from .catalog import ENGINE, ERROR, INFO, App, Message
from .engine import Engine, EngineError, MadeOutput
from .settings import AlteryxSettings
from .users import User

State = Literal["queued", "running", "success", "error", "cancelled"]
ENDED: set[State] = {"success", "error", "cancelled"}
FINISHED_JOBS_KEPT = 20_000


@dataclass(frozen=True)
class Wanted:
    """What a caller asks of a run: answers by question name, priority by name, worker tag, credential."""

    questions: Sequence[tuple[str, str | None]] = ()
    priority: str = "Default"
    worker_tag: str = ""
    credential_id: str = ""


@dataclass
class Job:
    """One run of an app; ``deleted`` jobs always answer 404."""

    id: str
    app: App
    user: User
    wanted: Wanted
    answers: Mapping[str, str]
    created_at: datetime
    state: State = "queued"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outputs: list[MadeOutput] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    deleted: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    log: asyncio.Task[None] | None = field(default=None, repr=False)

    def write(self, text: str, at: datetime) -> None:
        """Add a message; messages have no times."""
        self.messages.append((INFO, text, ENGINE))

    def end(self, state: State, messages: Sequence[Message] = ()) -> None:
        """Enter a final state."""
        self.state, self.ended_at = state, now()
        self.messages += messages

    def served(self) -> ServedRun:
        """The job as the sandbox shows it."""
        details = {
            "app": self.app.name,
            "user": self.user.name,
            "answers": dict(self.answers),
            "priority": self.wanted.priority,
            "worker_tag": self.wanted.worker_tag,
            "credential_id": self.wanted.credential_id,
            "outputs": [{"name": one.output.name, "rows": one.rows} for one in self.outputs],
            "messages": [text for _, text, _ in self.messages],
            "deleted": self.deleted,
        }
        questions = [{"name": name, "value": value} for name, value in self.wanted.questions]
        return ServedRun(
            "alteryx", self.id, self.app.id, self.state, questions, self.created_at, self.ended_at, details
        )


class Jobs:
    """All jobs by id, oldest first."""

    def __init__(self, settings: AlteryxSettings) -> None:
        self.settings = settings
        self.engine = Engine()
        self.known: dict[str, Job] = {}

    def start(self, app: App, user: User, wanted: Wanted) -> Job:
        """Create a job; it goes on by itself."""
        job = Job(secrets.token_hex(12), app, user, wanted, app.answers(wanted.questions), now())
        self.known[job.id] = job
        if len(self.known) > FINISHED_JOBS_KEPT:
            oldest = next((one for one in self.known.values() if one.state in ENDED), None)
            self.known.pop(oldest.id if oldest else "", None)
        loop = asyncio.get_running_loop()
        job.task = loop.create_task(self.proceed(job))
        job.log = loop.create_task(play(self.settings, job.write, lambda: job.state in ENDED))
        return job

    def find(self, job_id: str) -> Job | None:
        """A job that is neither deleted nor purged."""
        job = self.known.get(job_id)
        return None if job is None or self.gone(job) else job

    def listed(self) -> list[Job]:
        """Every job that is still to be seen."""
        return [job for job in self.known.values() if not self.gone(job)]

    def gone(self, job: Job) -> bool:
        """Whether a job was deleted or purged; that it answers 404 then is inferred."""
        kept = self.settings.purge_seconds
        purged = kept is not None and job.ended_at is not None and (now() - job.ended_at).total_seconds() >= kept
        return job.deleted or purged

    async def proceed(self, job: Job) -> None:
        """Lead a job through its states."""
        try:
            await asyncio.sleep(self.settings.queued_seconds)
            job.state, job.started_at = "running", now()
            await self.perform(job)
        except (EngineError, ValueError) as error:
            # ValueError: a number of seconds that is none.
            job.end("error", [(ERROR, str(error), 7)])
        except asyncio.CancelledError:
            # ``stop`` has written down what became of the job.
            return

    async def perform(self, job: Job) -> None:
        """What a job does while it runs, up to its end."""
        app, outcome = job.app, self.settings.outcome
        await asyncio.sleep(self.settings.running_seconds)
        if outcome == "never" or (app.never_ends and outcome is None):
            await asyncio.Event().wait()
        if app.sleeps:
            await asyncio.sleep(float(job.answers[app.sleeps]))
        problems = app.problems(job.answers) if outcome is None else []
        if outcome == "error":
            problems = [(ERROR, "The sandbox was told to let every job fail.", ENGINE)]
        if not problems:
            await self.produce(job)
        job.end("error" if problems else "success", [*problems, *app.messages])

    async def produce(self, job: Job) -> None:
        """Make the outputs; a job that fails half-way has none."""
        body = {"priority": job.wanted.priority, "worker_tag": job.wanted.worker_tag}
        values = {**job.answers, **body, "credential_id": job.wanted.credential_id}
        made = []
        for index, output in enumerate(job.app.outputs, 1):
            one = MadeOutput(secrets.token_hex(12), output, f"{job.id}_{index}", 0)
            one = MadeOutput(one.id, output, one.table, await self.engine.make(one, values))
            made.append(one)
        job.outputs = made
        job.messages += [(INFO, f"{one.rows} records were written to {one.output.name}", 20) for one in made]

    def cancel(self, job: Job) -> bool:
        """Cancel a job that has not ended; tells whether there was anything to cancel."""
        if job.state in ENDED:
            return False
        if self.settings.cancel_seconds and not self.settings.cancel_ignored:
            asyncio.get_running_loop().call_later(self.settings.cancel_seconds, self.stop, job)
        elif not self.settings.cancel_ignored:
            self.stop(job)
        return True

    def stop(self, job: Job) -> None:
        """The end of a cancelled job: what is known of it afterwards is inferred, so it has switches."""
        if job.task is None or job.state in ENDED:
            return
        job.deleted = job.state == "queued" and self.settings.delete_queued
        job.task.cancel()
        job.end("cancelled")

    def clear(self) -> None:
        """Stop and forget all jobs."""
        for job in self.known.values():
            for task in (job.task, job.log):
                if task:
                    task.cancel()
        self.known.clear()
        self.engine.close()
        self.engine = Engine()

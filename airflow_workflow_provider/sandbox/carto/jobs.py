"""The jobs of the SQL API: pending, running, then success, failure or cancelled."""

from __future__ import annotations

import asyncio
import secrets
import string
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_workflow_provider.sandbox.system import ServedRun, now

from .catalog import Connection
from .dialect import Parameters, Statement
from .errors import SqlError
from .procedures import Invocation, cached, execute
from .settings import CartoSettings
from .warehouse import Warehouse

CANCELLED = "Job execution was cancelled: User requested cancellation"
LETTERS = string.ascii_letters + string.digits
ENDED = {"success", "failure", "cancelled"}
FINISHED_JOBS_KEPT = 20_000


@dataclass
class Job:
    """One job; ``work`` is a checked call, a plain statement, or the error that it will fail with."""

    id: str
    connection: Connection
    query: str
    parameters: Parameters
    work: Invocation | Statement | SqlError
    created_at: datetime
    state: str = "pending"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: SqlError | None = None
    cached: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def output_table(self) -> str | None:
        """The full name of the table that the job leaves, known from the start."""
        return self.work.table if isinstance(self.work, Invocation) else None

    def end(self, state: str, error: SqlError | None = None) -> None:
        """Enter a final state."""
        self.state, self.error, self.ended_at = state, error, now()

    def served(self) -> ServedRun:
        """The job as the sandbox shows it."""
        workflow = self.work.workflow.procedure if isinstance(self.work, Invocation) else self.query
        details: dict[str, Any] = {"connection": self.connection.name, "query": self.query, "cached": self.cached}
        details |= {"output_table": self.output_table, "error": self.error.message if self.error else None}
        return ServedRun(
            "carto", self.id, workflow, self.state, self.parameters, self.created_at, self.ended_at, details
        )


class Jobs:
    """All jobs by id."""

    def __init__(self, settings: CartoSettings, warehouse: Warehouse) -> None:
        self.settings, self.warehouse = settings, warehouse
        self.known: dict[str, Job] = {}

    def start(
        self, connection: Connection, query: str, parameters: Parameters, work: Invocation | Statement | SqlError
    ) -> Job:
        """Create a job; it goes on by itself."""
        job = Job(new_id(connection, self.settings.job_id_style), connection, query, parameters, work, now())
        self.known[job.id] = job
        if len(self.known) > FINISHED_JOBS_KEPT:
            oldest = next((one for one in self.known.values() if one.state in ENDED), None)
            self.known.pop(oldest.id if oldest else "", None)
        job.task = asyncio.get_running_loop().create_task(self.proceed(job))
        return job

    async def proceed(self, job: Job) -> None:
        """Lead a job through its states."""
        try:
            await asyncio.sleep(self.settings.pending_seconds)
            job.state, job.started_at = "running", now()
            await self.perform(job)
        except SqlError as error:
            job.end("failure", error)
        except asyncio.CancelledError:
            job.end("cancelled", SqlError(CANCELLED, "stopped"))
        else:
            job.end("success")

    async def perform(self, job: Job) -> None:
        """What a job does while it runs; raises :class:`SqlError`."""
        if isinstance(job.work, Invocation) and await cached(job.work, self.warehouse, self.settings):
            job.cached = True
            return
        await asyncio.sleep(self.settings.running_seconds)
        if isinstance(job.work, SqlError):
            raise job.work
        if isinstance(job.work, Invocation):
            await execute(job.work, self.warehouse)
        else:
            await self.warehouse.read(job.work, job.connection, limit=1, time_style="iso")

    def cancel(self, job: Job) -> bool:
        """Cancel a job that has not ended; tells whether there was anything to cancel."""
        if job.state in ENDED:
            return False
        if job.task and not self.settings.cancel_ignored:
            job.task.cancel()
            # A task that never began does not see its cancellation, and the caller may ask for the state at once.
            job.end("cancelled", SqlError(CANCELLED, "stopped"))
        return True

    def clear(self) -> None:
        """Stop and forget all jobs."""
        for job in self.known.values():
            if job.task:
                job.task.cancel()
        self.known.clear()


def new_id(connection: Connection, style: str) -> str:
    """A job id as the warehouse makes it (inferred): BigQuery's job_..., Snowflake's query id."""
    if connection.provider_id == "snowflake":
        return str(uuid.uuid4())
    plain = "job_" + "".join(secrets.choice(LETTERS) for _ in range(28))
    return f"{connection.catalog}:{connection.location}.{plain}" if style == "full" else plain

"""Runs of data flows and Flows: pending, running, then succeeded or failed, with a log."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal

from airflow_workflow_provider.sandbox.run_log import play
from airflow_workflow_provider.sandbox.system import ServedRun, now

from .catalog import ENVIRONMENTS, Routine
from .settings import InvisionSettings
from .solution import RoutineError, Solution

Level = Literal["Information", "Warning", "Error"]
ENDED_KEPT = 20_000


@dataclass(frozen=True)
class LogLine:
    """Something that a run said."""

    number: int
    at: datetime
    level: Level
    text: str


@dataclass
class Run:
    """One run; ``environment`` is None for a data flow, which knows none."""

    id: str
    flow_id: str
    routine: Routine
    arguments: dict[str, Any]
    environment: int | None
    created_at: datetime = field(default_factory=now)
    status: str = "Pending"
    ended_at: datetime | None = None
    rows: int | None = None
    error: str | None = None
    lines: list[LogLine] = field(default_factory=list)
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    log: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.ended_at is not None

    def served(self) -> ServedRun:
        """The run as the sandbox shows it."""
        details: dict[str, Any] = {"api": "dataflow" if self.environment is None else "flow"}
        details |= {"name": self.routine.name, "rows": self.rows, "error": self.error}
        if self.environment is not None:
            details["environment"] = ENVIRONMENTS[self.environment]
        state, arguments = self.status.lower(), self.arguments
        return ServedRun("invision", self.id, self.flow_id, state, arguments, self.created_at, self.ended_at, details)


class Runs:
    """All runs by id."""

    def __init__(self, settings: InvisionSettings, solution: Solution) -> None:
        self.settings, self.solution = settings, solution
        self.known: dict[str, Run] = {}
        self.numbers = itertools.count(1)

    def start(self, flow_id: str, routine: Routine, given: Mapping[str, Any], environment: int | None = None) -> Run:
        """Start a run, whatever runs already; it goes on by itself. Unknown arguments are ignored."""
        arguments = {name: given.get(name, default) for name, default in routine.arguments.items()}
        run = Run(str(uuid.uuid4()), flow_id, routine, arguments, environment)
        self.known[run.id] = run
        if len(self.known) > ENDED_KEPT:
            self.known.pop(next((one.id for one in self.known.values() if one.ended), ""), None)
        loop = asyncio.get_running_loop()
        run.task = loop.create_task(self.proceed(run))
        run.log = loop.create_task(play(self.settings, partial(self.write, run), lambda: run.ended))
        return run

    async def proceed(self, run: Run) -> None:
        """Lead a run through its states."""
        try:
            for _ in range(2 if self.settings.resubmitted else 1):
                run.status = "Pending"
                await self.pause(self.settings.pending_seconds)
                run.status = "Running"
                self.say(run, "Information", "started")
                await self.pause(self.settings.running_seconds)
            if self.settings.stays_running:
                await asyncio.Event().wait()
            await self.perform(run)
        except RoutineError as error:
            run.error = str(error)
            self.say(run, "Error", f"failed: {error}")
            self.end(run, "Failed")
        else:
            self.say(run, "Information", f"succeeded, {run.rows} rows")
            self.end(run, "Succeeded")

    async def pause(self, seconds: float) -> None:
        """Take time, unless the end is to be in the answer to the start."""
        await asyncio.sleep(0 if self.settings.terminal_in_start else seconds)

    async def perform(self, run: Run) -> None:
        """What a run does while it runs; raises :class:`RoutineError`."""
        routine = run.routine
        if routine.seconds:
            try:
                await asyncio.sleep(float(run.arguments[routine.seconds]))
            except (TypeError, ValueError) as error:
                raise RoutineError(f"{routine.seconds} is not a number") from error
        run.rows = await self.solution.perform(routine, run.id, run.arguments)
        if routine.ends == "warning":
            self.say(run, "Warning", "some items were skipped")

    def write(self, run: Run, text: str, at: datetime) -> None:
        """Add a line of a certain time to the log of a run."""
        self.say(run, "Information", text, at)

    def say(self, run: Run, level: Level, text: str, at: datetime | None = None) -> None:
        """Add a line to the log of a run."""
        kind = "Data Flow" if run.environment is None else "Flow"
        line = f"{kind} '{run.routine.name}' ({run.flow_id}), TaskId {run.id}: {text}"
        run.lines.append(LogLine(next(self.numbers), at or now(), level, line))

    def end(self, run: Run, status: str) -> None:
        """Enter a final state."""
        run.status, run.ended_at = status, now()

    def find(self, flow_id: str, run_id: str) -> Run | None:
        """The run of that flow with that id; both without regard to case. A run that is too old is unknown."""
        run = self.known.get(run_id.lower())
        if run is None or run.flow_id.lower() != flow_id.lower():
            return None
        kept = self.settings.retention_seconds
        gone = kept is not None and run.ended_at is not None and (now() - run.ended_at).total_seconds() > kept
        return None if gone else run

    def clear(self) -> None:
        """Stop and forget all runs."""
        for run in self.known.values():
            for task in (run.task, run.log):
                if task:
                    task.cancel()
        self.known.clear()

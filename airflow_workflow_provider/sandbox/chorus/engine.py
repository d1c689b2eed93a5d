"""The Alpine engine: it runs flows as processes, one operator after the other, and keeps their results for a while."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from airflow_workflow_provider.sandbox.run_log import play
from airflow_workflow_provider.sandbox.system import ServedRun, now

from .catalog import SCHEMA, File, Flow, Operator, User
from .database import Database, FlowError, Preview
from .settings import ChorusSettings

Mode = Literal["engine", "workfile", "job"]
Outcome = Literal["SUCCESS", "FAILURE", "STOPPED"]
STATES = {None: "running", "SUCCESS": "succeeded", "FAILURE": "failed", "STOPPED": "stopped"}
ENDED_KEPT = 20_000
# The variables that every flow has; the names are Chorus' own, the values inferred.
BUILT_IN: dict[str, Callable[[File, User], str]] = {
    "@flow_name": lambda file, user: file.name,
    "@flow_id": lambda file, user: str(file.id),
    "@user_name": lambda file, user: user.username,
    "@user_id": lambda file, user: str(user.id),
    "@default_schema": lambda file, user: SCHEMA,
    "@default_prefix": lambda file, user: "alp",
    "@default_tempdir": lambda file, user: "/tmp",  # noqa: S108 - a text that nothing opens
    "@default_delimiter": lambda file, user: ",",
    "@pig_number_of_reducers": lambda file, user: "-1",
}


@dataclass(frozen=True)
class Output:
    """What an operator made; ``parts`` are the titled tables of one that shows several."""

    operator: Operator
    table: Preview
    started_at: datetime
    ended_at: datetime
    parts: tuple[tuple[str, Preview], ...]


@dataclass
class Process:
    """One run of a flow.

    ``session_id`` is what the engine calls Rails back with, ``report`` is that call.
    """

    id: str
    file: File
    flow: Flow
    user: User
    variables: dict[str, str]
    mode: Mode
    session_id: str
    report: Callable[[Process], None]
    save: bool = True
    started_at: datetime = field(default_factory=now)
    state: str = "STARTED"
    operator: Operator | None = None
    outputs: list[Output] = field(default_factory=list)
    error: str | None = None
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    results_at: float = 0.0
    started: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    log: asyncio.Task[None] | None = field(default=None, repr=False)
    said: str = ""

    def write(self, text: str, at: datetime) -> None:
        """Say something; a query shows only what was said last."""
        self.said = text

    def text(self, template: str) -> str:
        """A text with the variables' values put in as they are, as the engine does it."""
        return re.sub(r"@\w+", lambda found: self.variables.get(found[0], found[0]), template)

    def served(self) -> ServedRun:
        """The process as the sandbox shows it."""
        details: dict[str, Any] = {"mode": self.mode, "file_name": self.file.name, "error": self.error}
        state = STATES[self.outcome]
        given = {name: value for name, value in self.variables.items() if name in self.flow.variables}
        workflow = str(self.file.id)
        return ServedRun("chorus", self.id, workflow, state, given, self.started_at, self.ended_at, details)


class Engine:
    """All processes by id."""

    def __init__(self, settings: ChorusSettings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.processes: dict[str, Process] = {}
        self.aliases: dict[str, str] = {}

    def start(
        self,
        file: File,
        user: User,
        mode: Mode,
        session_id: str,
        *,
        variables: Mapping[str, str] | None = None,
        save: bool = True,
        report: Callable[[Process], None] = lambda process: None,
    ) -> Process:
        """Start a process; it goes on by itself and calls ``report`` when it has ended."""
        assert file.flow is not None
        values = {name: value(file, user) for name, value in BUILT_IN.items()}
        values |= {**file.flow.variables, **(variables or {})}
        process = Process(str(uuid.uuid4()), file, file.flow, user, values, mode, session_id, report, save)
        self.processes[process.id] = process
        if len(self.processes) > ENDED_KEPT:
            oldest = next((one.id for one in self.processes.values() if one.outcome), "")
            self.processes.pop(oldest, None)
        loop = asyncio.get_running_loop()
        process.task = loop.create_task(self.proceed(process))
        process.log = loop.create_task(play(self.settings, process.write, lambda: process.outcome is not None))
        return process

    async def proceed(self, process: Process) -> None:
        """Lead a process through its operators."""
        try:
            await asyncio.sleep(self.settings.start_seconds)
            process.started.set()
            for operator in process.flow.operators:
                await self.operate(process, operator)
        except FlowError as error:
            process.error = str(error)
            self.end(process, "FAILURE")
        else:
            self.end(process, "SUCCESS")

    async def operate(self, process: Process, operator: Operator) -> None:
        """Run one operator; raises :class:`FlowError`."""
        begun, pause = now(), self.settings.node_seconds / 2
        process.state, process.operator = "NODE_STARTED", operator
        await asyncio.sleep(pause)
        process.state = "IN_PROGRESS"
        if operator.seconds:
            await asyncio.sleep(await self.database.seconds(process.text(operator.seconds)))
        table = await self.database.create(operator.table, process.text(operator.sql))
        parts = [(title, await self.database.read(process.text(sql))) for title, sql in operator.parts]
        await asyncio.sleep(pause)
        process.outputs.append(Output(operator, table, begun, now(), tuple(parts)))
        process.state = "NODE_FINISHED"

    def end(self, process: Process, outcome: Outcome) -> None:
        """Let a process be over and report it; nothing happens when it is already."""
        if process.outcome is None:
            process.outcome, process.ended_at = outcome, now()
            process.results_at = time.monotonic() + self.settings.result_seconds
            process.started.set()
            process.report(process)

    def stop(self, process_id: str | None) -> bool:
        """Ask a process to stop; tells whether there was one that runs."""
        process = self.running(process_id)
        if process is None:
            return False
        if not self.settings.stop_ignored:
            asyncio.get_running_loop().call_later(self.settings.stop_seconds, self.break_off, process)
        return True

    def break_off(self, process: Process) -> None:
        """Stop a process now."""
        if process.outcome is None:
            if process.task:
                process.task.cancel()
            # A task that never began does not see its cancellation, so the end is noted here.
            self.end(process, "STOPPED")

    def running(self, process_id: str | None) -> Process | None:
        """The process of that id while it runs."""
        process = self.processes.get(process_id or "")
        return process if process and process.outcome is None else None

    def alias(self, result_id: str, process: Process) -> str:
        """Keep the results of a process under another id, too."""
        self.aliases[result_id] = process.id
        return result_id

    def find(self, result_id: str) -> Process | None:
        """The process of that id, or whose results have that id."""
        return self.processes.get(self.aliases.get(result_id, result_id))

    def clear(self) -> None:
        """Stop and forget all processes, without a report."""
        for process in self.processes.values():
            process.outcome = process.outcome or "STOPPED"
            for task in (process.task, process.log):
                if task:
                    task.cancel()
        self.processes.clear()

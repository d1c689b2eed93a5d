"""The executions: they run, then they are completed; nothing can cancel them."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from airflow_workflow_provider.sandbox.system import ServedRun, now

from .catalog import Workflow
from .extracts import BrokenExecution, write
from .order import Order
from .settings import StevesieSettings

FINISHED_KEPT = 20_000


@dataclass(frozen=True)
class Result:
    """A result file: the collection's name, the format, where it lies, how many rows it has."""

    id: str
    name: str
    form: str
    path: Path
    rows: int


@dataclass
class Execution:
    """One run of a workflow; ``inputs`` are the items of its collection when it began."""

    id: str
    workflow: Workflow
    order: Order
    inputs: Sequence[str]
    created_at: datetime
    state: Literal["running", "completed", "empty", "broken"] = "running"
    ended_at: datetime | None = None
    results: list[Result] = field(default_factory=list)
    problem: str = ""
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def end(self, state: Literal["completed", "empty", "broken"], problem: str = "") -> None:
        """Enter a final state."""
        self.state, self.problem, self.ended_at = state, problem, now()

    @property
    def parameters_text(self) -> str | None:
        """The execution parameters as the API answers them: JSON in a string; null without any (inferred)."""
        return None if self.order.parameters is None else json.dumps(self.order.parameters)

    def served(self) -> ServedRun:
        """The execution as the sandbox shows it."""
        order = self.order
        details: dict[str, Any] = {
            "workflow": self.workflow.name,
            "inputs": list(self.inputs),
            "maximum_requests_count": order.maximum,
            "output_aggregation_format": order.form,
            "do_proxy_hot_swap": order.hot_swap,
            "proxy": {"type": order.proxy_type, "location": order.proxy_location},
            "results": [{"id": one.id, "name": one.name, "rows": one.rows} for one in self.results],
            "problem": self.problem,
        }
        return ServedRun(
            "stevesie", self.id, self.workflow.id, self.state, order.parameters, self.created_at, self.ended_at, details
        )


class Executions:
    """All executions by id, oldest first, and the folder of their files."""

    def __init__(self, settings: StevesieSettings) -> None:
        self.settings = settings
        self.known: dict[str, Execution] = {}
        self.files: Path | None = None

    def folder(self) -> Path:
        """Where files are made; it goes with this object or with the process."""
        if self.files is None:
            self.files = Path(tempfile.mkdtemp(prefix="sandbox-stevesie-"))
            weakref.finalize(self, shutil.rmtree, self.files, ignore_errors=True)
        return self.files

    def start(self, workflow: Workflow, order: Order, items: Sequence[str]) -> Execution:
        """Create an execution; it goes on by itself."""
        inputs = chosen_inputs(workflow, order, items)
        execution = Execution(str(uuid.uuid4()), workflow, order, inputs, now())
        self.known[execution.id] = execution
        if len(self.known) > FINISHED_KEPT:
            oldest = next((one for one in self.known.values() if one.state != "running"), None)
            self.known.pop(oldest.id if oldest else "", None)
        execution.task = asyncio.get_running_loop().create_task(self.proceed(execution))
        return execution

    async def proceed(self, execution: Execution) -> None:
        """Run an execution to its end."""
        await asyncio.sleep(self.settings.running_seconds)
        outcome = self.settings.outcome or execution.workflow.outcome
        if outcome == "never":
            return
        try:
            if execution.workflow.sleeps:
                await asyncio.sleep(float(execution.order.given("seconds", 30)))
            if outcome == "normal":
                execution.results = await asyncio.to_thread(self.extract, execution, self.folder())
        except (BrokenExecution, TypeError, ValueError) as error:
            outcome, problem = "broken", str(error)
        else:
            problem = "The proxy is not running"
        if outcome == "broken":
            execution.end("broken", problem)
        else:
            execution.end("completed" if execution.results else "empty")

    def extract(self, execution: Execution, folder: Path) -> list[Result]:
        """Write the result files; in a thread, for there may be many rows."""
        results = []
        for found in execution.workflow.extract(execution.order, execution.inputs):
            result_id, form = str(uuid.uuid4()), execution.order.form
            path = folder / f"{result_id}.{form}"
            rows = write(found, form, path)
            if rows or self.settings.empty_files:
                results.append(Result(result_id, found.name, form, path, rows))
        return results

    def clear(self) -> None:
        """Stop and forget all executions."""
        for execution in self.known.values():
            if execution.task:
                execution.task.cancel()
        self.known.clear()
        if self.files is not None:
            shutil.rmtree(self.files, ignore_errors=True)
            self.files = None


def chosen_inputs(workflow: Workflow, order: Order, items: Sequence[str]) -> list[str]:
    """The inputs of an execution: a parameter overrides the collection, the maximum of requests cuts them."""
    given = order.given(workflow.mapping.variable, items) if workflow.mapping else []
    inputs = [str(one) for one in (given if isinstance(given, list | tuple) else [given])]
    return inputs[: order.maximum]

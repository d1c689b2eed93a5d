"""Where a story plays: a sandbox of its own, and its task in the Airflow that all stories share."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psutil

from airflow_workflow_provider.sandbox.server import RunningSandbox
from scripts.airflow_cluster import AirflowCluster
from tests.system.faults.story import Story

LIMIT = 90  # seconds that one step of a story may take
CANCELLED = {"cancelled", "stopped"}  # the servers' words
FINAL = {"success", "failed", "skipped", "upstream_failed", "removed"}

Row = dict[str, Any]


class Told(AssertionError):
    """A story does not go as it is told."""


class Stage:
    """A story's view of the world. Steps are generators: at each ``yield`` the other stories go on."""

    def __init__(self, story: Story, sandbox: RunningSandbox, airflow: AirflowCluster) -> None:
        self.story, self.sandbox, self.airflow = story, sandbox, airflow
        self.run_id = ""
        self.tasks: list[Row] = []  # the task instances, as of the latest look
        self.looks = 0
        if story.settings:
            sandbox.settings(story.system, **story.settings)

    # What there is to see

    @property
    def task(self) -> Row:
        """The story's task instance (of a mapped task, the first)."""
        return next((row for row in self.tasks if row["task_id"] == "run"), {"state": None, "try_number": 0})

    @property
    def state(self) -> str | None:
        """The task's state."""
        return self.task["state"]

    def runs(self) -> list[Row]:
        """The runs on the server, oldest first."""
        return self.sandbox.runs(self.story.system)

    def going(self) -> list[Row]:
        """The runs that have not ended."""
        return [run for run in self.runs() if run["ended_at"] is None]

    def cancelled(self) -> list[Row]:
        """The runs that were cancelled."""
        return [run for run in self.runs() if run["state"] in CANCELLED]

    def asked(self, pattern: str) -> list[Row]:
        """The requests so far that match, such as ``GET /v3/sql/.*/job/``."""
        requests = self.sandbox.requests(self.story.system)
        return [one for one in requests if re.match(pattern, f"{one['method']} {one['path']}")]

    def tokens(self) -> list[str]:
        """The tokens that the system has made for the story's task so far."""
        made = MADE_TOKENS.get(self.story.system, lambda system: ())
        system = self.sandbox.app.systems[self.story.system]
        return self.sandbox.call(lambda: [token for token in made(system) if token not in FIXED])

    @property
    def start_path(self) -> str:
        """The path of a start, as faults want it."""
        return STARTS[self.story.system].partition(" ")[2]

    def expect(self, wanted: str | int, found: Any) -> None:
        """Insist on a text in a text, or on a number that is at least so high."""
        if not (wanted in found if isinstance(wanted, str) else found >= wanted):
            raise Told(f"expected {wanted!r}, found {found if isinstance(wanted, int) else 'another text'}")

    def log(self) -> str:
        """What the task and its trigger logged."""
        return self.airflow.log(self.story.name, self.run_id, "run") if self.run_id else ""

    # What can be done

    def fault(self, kind: str, path: str | None = None, **more: Any) -> None:
        """Plan a fault of the story's system."""
        self.sandbox.fault(system=self.story.system, kind=kind, path=path, **more)

    def begin(self) -> None:
        """Start the DAG run."""
        self.run_id = self.airflow.trigger(self.story.name, run_id=f"{self.story.name}__1")

    def clear(self) -> None:
        """Clear the task, as a person does."""
        self.airflow.clear(self.story.name, self.run_id, "run")

    def mark(self, state: str) -> None:
        """Set the task's state, as a person does."""
        self.airflow.mark(self.story.name, self.run_id, "run", state)

    def worker(self) -> list[psutil.Process]:
        """The process that watches over the task's, and the task's."""
        process = psutil.Process(self.task["pid"])
        return [process.parent() or process, process]

    def signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process in which the task runs."""
        self.worker()[-1].send_signal(number)

    # How time passes

    def until(self, true: Callable[[], Any], what: str, seconds: float = LIMIT) -> Iterator[None]:
        """Wait for something to be true."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise Told(
                    f"after {seconds:.0f} s still not: {what} (task {self.state}, try {self.task['try_number']})"
                )
            yield

    def pause(self, seconds: float) -> Iterator[None]:
        """Let some time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield

    def looked(self) -> Iterator[None]:
        """Wait for a fresh look at the task instances."""
        seen = self.looks
        yield from self.until(lambda: self.looks > seen + 1, "a fresh look at the task")

    def polled(self, times: int = 1) -> Iterator[None]:
        """Wait until the run was looked at so many times more."""
        done = len(self.asked(POLLS[self.story.system])) + times
        polls = POLLS[self.story.system]
        yield from self.until(lambda: len(self.asked(polls)) >= done, f"{times} polls")

    def deferred(self) -> Iterator[None]:
        """Wait until the triggerer waits for the run."""
        yield from self.until(lambda: self.state == "deferred", "deferred")
        yield from self.polled()

    def ended(self, seconds: float = LIMIT) -> Iterator[None]:
        """Wait for the end of every task instance, and of the runs that are being cancelled at that time."""
        yield from self.looked()
        yield from self.until(lambda: self.tasks and all(row["state"] in FINAL for row in self.tasks), "ended", seconds)
        yield from self.until(lambda: not self.going(), "no run is going", 30)


MADE_TOKENS: dict[str, Callable[[Any], Iterable[str]]] = {
    "carto": lambda system: system.api.tokens.known,
    "alteryx": lambda system: system.server.tokens.known,
    "chorus": lambda system: system.sessions.sessions,
}
FIXED = {"sandbox-carto-token", "sandbox-carto-run-token", "sandbox-carto-read-token", "sandbox-carto-expired-token"}
POLLS = {
    "carto": r"GET /v3/sql/[^/]+/job/.+",
    "alteryx": r"GET /v3/jobs/[^/]+$",
    "chorus": r"GET .*/processes/[^/]+/query$",
    "invision": r"GET .*/status$",
    "stevesie": r"GET /workflows/executions/.+",
}
STARTS = {
    "carto": r"POST /v3/sql/[^/]+/job$",
    "alteryx": r"POST /v3/workflows/[^/]+/jobs$",
    "chorus": r"POST .*/workflows/[^/]+/run$",
    "invision": r"POST .*/start$",
    "stevesie": r"POST /workflows/[^/]+/executions$",
}

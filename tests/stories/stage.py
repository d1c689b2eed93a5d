"""The stage of a story: one case of the table on the sandbox, its tasks played in one of the two modes."""

from __future__ import annotations

import asyncio
import json
import re
import selectors
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.sandbox.chorus.catalog import ANALYST
from tests.operators.staging import Deferral, TaskInstance, TaskStateStore, context_of, first_event, hurried
from tests.stories.case import Case, Server, Work

if TYPE_CHECKING:
    import pytest

PATIENCE = 15  # seconds until a test says that something does not happen
CHANGED = "story_connection"
HASTE = 100  # how much faster a hastened triggerer's sleeps pass

Make = Callable[[], Any]


class Story:
    """What tests do with a case: tasks on this side, and what the server itself knows on the other.

    ``crossed`` is what went through Airflow's database on the way to the triggerer and back.
    """

    def __init__(self, case: Case, mode: str, sandbox: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.case, self.mode, self.sandbox, self._monkeypatch = case, mode, sandbox, monkeypatch
        self.ti, self.store = TaskInstance(), TaskStateStore()
        self.crossed: list[Any] = []
        sandbox.settings(case.system, **case.quick)
        if case.system == "chorus":  # the user is logged in at the web page, too
            sandbox.call(lambda: sandbox.app.systems["chorus"].sessions.begin(ANALYST))  # type: ignore[attr-defined]

    def anew(self) -> Story:
        """Go on with another task, which remembers nothing."""
        self.ti, self.store = TaskInstance(), TaskStateStore()
        return self

    @property
    def context(self) -> Any:
        """The context of this try, with Airflow 3.3's task state store."""
        return context_of(self.ti, self.store)

    @property
    def hook(self) -> WorkflowHook:
        """The hook of the case."""
        return WorkflowHook.for_system(self.case.system, self.case.conn_id)

    def operator(self, work: Work | None = None, **more: Any) -> Make:
        """The maker of a run operator, for the work of a story that goes well unless another is named."""
        work = work or self.case.good
        given = {
            "task_id": self.ti.task_id,
            "workflow": work.workflow,
            "query_parameters": work.parameters,
            f"{self.case.system}_conn_id": self.case.conn_id,
            "poll_interval": 0.03,
            "deferrable": self.mode == "deferrable",
            **self.case.options,
        }
        return lambda: self.case.operator(**{**given, **more})

    def told(self, work: Work | None = None, *, hasten: bool = False, **more: Any) -> Any:
        """Play a task to its end; give what it returns. Hastened, it has patience for a look every second."""
        interval = {"poll_interval": 1.0} if hasten else {}
        return self.played(self.operator(work, **{**interval, **more}), hasten=hasten)

    def played(self, make: Make, *, hasten: bool = False, context: Any = None) -> Any:
        """Play a task to its end, through the triggerer where it defers. Hastened, it does not wait for its sleeps."""
        task, context = make(), context or self.context
        if hasten:
            hurried(task.hook)
        try:
            return task.execute(context)
        except TaskDeferred as signal:
            there = Deferral(make, context, signal)
            with asyncio.Runner(loop_factory=hastening_loop if hasten else None) as runner:
                event = runner.run(first_event(there.trigger))
            self.crossed += [signal.trigger.serialize(), repr(signal.trigger), event]
            return there.resumed(event)

    def connection(self, **changes: Any) -> str:
        """Define the case's connection with some fields changed, those that are none of Airflow's in its extra."""
        one = self.sandbox.connections()[self.case.conn_id]
        own = {name: changes.pop(name) for name in list(changes) if name in ("host", "login", "password")}
        self._monkeypatch.setenv(
            f"AIRFLOW_CONN_{CHANGED.upper()}", json.dumps({**one, **own, "extra": {**one["extra"], **changes}})
        )
        return CHANGED

    def runs(self) -> list[dict[str, Any]]:
        """Every run of this case that the server has, whatever the client believes."""
        return [run for run in self.sandbox.runs(self.case.system) if self.case.mine(run)]

    def states(self) -> list[str]:
        """Their states, oldest first."""
        return [run["state"] for run in self.runs()]

    def asked(self, path: str, method: str = "GET") -> list[dict[str, Any]]:
        """The requests so far whose path fits, oldest first."""
        entries = self.sandbox.requests(self.case.system)
        return [entry for entry in entries if entry["method"] == method and re.search(path, entry["path"])]

    def polls(self) -> list[dict[str, Any]]:
        """The looks at a run that came after its start and were answered."""
        started = self.asked(self.case.start, "POST")
        found = [entry for entry in self.asked(self.case.poll) if entry["status"]]
        return [entry for entry in found if started and entry["at"] >= started[-1]["at"]]

    def polled(self, times: int = 2) -> None:
        """Wait, in another thread, until somebody has looked at a run some times."""
        self.until(lambda: len(self.polls()) >= times, "nobody looks at the run")

    def until(self, holds: Callable[[], object], otherwise: str) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"{otherwise}: {self.runs()}"
            time.sleep(0.005)

    def fault(self, kind: str, path: str | None = None, **more: Any) -> None:
        """Plan a fault of the case's server."""
        self.sandbox.fault(system=self.case.system, kind=kind, path=path, **more)

    def lasting(self, seconds: float) -> None:
        """Let every run take about so long."""
        self.sandbox.settings(self.case.system, **{self.case.slower: seconds})

    def expire(self) -> None:
        """End what a log-in gave; where there is none, the server refuses two looks."""
        if self.case.expire:
            self.case.expire(self.sandbox)
        else:
            self.fault("status", self.case.poll, status=401, times=2)

    def revoke(self) -> None:
        """Refuse the credentials from now on."""
        if self.case.revoke:
            self.case.revoke(self.sandbox)
        else:
            self.fault("status", status=401, times=None)


class _Hasty(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout / HASTE if timeout else timeout)


class _HastyLoop(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return super().time() * HASTE


def hastening_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose sleeps pass quickly, while sockets take the time that they take."""
    return _HastyLoop(_Hasty())

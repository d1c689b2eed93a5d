"""CARTO on the sandbox: quick jobs, its workflows by name, and what the server itself knows of runs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.systems.carto.system import CartoSystem

if TYPE_CHECKING:
    import pytest

ENDED = {"success", "failure", "cancelled"}


class CartoStage:
    """The sandbox's CARTO as a test wants it: as if just started, but for its warehouse, which takes a while to make.

    No table of an earlier test is used again, since the cache is off.
    """

    def __init__(self, sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox, self.monkeypatch = sandbox, monkeypatch
        self.workflows = {one.name: one for one in sandbox.app.systems["carto"].describe()}
        sandbox.call(self._clear)
        CartoSystem.signatures.clear()  # which requests a test sees does not depend on the tests before it
        self.settings(pending_seconds=0.0, running_seconds=0.03, use_cache=False)
        for conn_id, connection in sandbox.connections().items():
            self.define(conn_id, connection)

    def _clear(self) -> None:
        carto = self.sandbox.app.systems["carto"]
        self.sandbox.app.faults.clear()
        self.sandbox.app.journal.clear()
        carto.settings.restore()
        carto.api.tokens.reset()
        carto.api.jobs.clear()

    def __getitem__(self, name: str) -> str:
        """The full name of a workflow's procedure."""
        return str(self.workflows[name].workflow)

    def settings(self, **changes: Any) -> None:
        """Turn the sandbox's switches."""
        self.sandbox.settings("carto", **changes)

    def fault(self, kind: str, path: str, **more: Any) -> None:
        """Plan a fault."""
        self.sandbox.fault(system="carto", kind=kind, path=path, **more)

    def runs(self) -> list[dict[str, Any]]:
        """Every job that the server has, whatever the client believes."""
        return self.sandbox.runs("carto")

    def states(self) -> list[str]:
        """The states of all jobs, oldest first."""
        return [run["state"] for run in self.runs()]

    def asked(self) -> list[str]:
        """Every request so far: method and the end of its path."""
        return [f"{one['method']} {one['path'].rpartition('/')[2][:7]}" for one in self.sandbox.requests("carto")]

    def polled(self, *, answered: bool) -> None:
        """Wait, in another thread, until somebody has looked at a job, or is doing so."""
        deadline = time.monotonic() + 15
        while not any(
            "/job/" in one["path"] and (not answered or one["status"]) for one in self.sandbox.requests("carto")
        ):
            assert time.monotonic() < deadline, "nobody looks at the job"
            time.sleep(0.005)

    def ended(self) -> list[str]:
        """The states of all jobs once each has ended."""
        deadline = time.monotonic() + 15
        while not set(self.states()) <= ENDED:
            assert time.monotonic() < deadline, "a job does not end"
            time.sleep(0.005)
        return self.states()

    def connection(self, conn_id: str = "carto_default", **changes: Any) -> str:
        """Change an Airflow connection; ``extra`` is merged. Give its id."""
        one = self.sandbox.connections()[conn_id]
        extra = {**one["extra"], **changes.pop("extra", {})}
        self.define("carto_changed", {**one, **changes, "extra": extra})
        return "carto_changed"

    def define(self, conn_id: str, connection: dict[str, Any] | str) -> None:
        """Define an Airflow connection, from its fields or as a URI."""
        text = connection if isinstance(connection, str) else json.dumps(connection)
        self.monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)


SLOW = {"seconds": 60}

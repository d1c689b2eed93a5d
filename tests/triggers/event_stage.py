"""Watchers at work: what is started elsewhere, Airflow's store, and the events that come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import requests

from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger

QUICK = 0.02  # seconds between two list calls
LIMIT = 15.0
ECHO = "5e7e51e0-0001-4000-8000-000000000005"
SLOW = "5e7e51e0-0001-4000-8000-000000000006"
BROKEN = "5e7e51e0-0001-4000-8000-000000000008"
TOKEN = "5e7e51e0-0000-4000-8000-00000000cafe"


async def until(met: Callable[[], bool]) -> None:
    """Wait for something that happens elsewhere: on the server, in a log, in a store."""
    async with asyncio.timeout(LIMIT):
        while not met():  # noqa: ASYNC110  # what is waited for knows nothing of this loop
            await asyncio.sleep(0.005)


class AssetStore:
    """Airflow 3.3.2's store of one asset: values have to be JSON, and not None."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.broken = 0
        self.writes = 0

    async def aget(self, key: str, default: Any = None) -> Any:
        """Give a value."""
        await asyncio.sleep(0)
        self._may_break()
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        """Keep a value."""
        await asyncio.sleep(0)
        self._may_break()
        self.writes += 1
        self.kept[key] = json.dumps(value)

    def _may_break(self) -> None:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("the API server is away")


class BlockingStore:
    """The store of Airflow 3.3.0, which has no coroutines."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value."""
        return self.kept.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.kept[key] = value


class Elsewhere:
    """Somebody who uses Stevesie without Airflow."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.base = f"{sandbox.url}/stevesie/cloud/api/v1"

    def start(self, workflow: str = ECHO, **parameters: Any) -> str:
        """Start an execution, and give its id."""
        body = {"execution_parameters": parameters, "proxy": {"type": "shared", "location": "nyc"}}
        url = f"{self.base}/workflows/{workflow}/executions"
        answer = requests.post(url, json=body, headers={"Token": TOKEN}, timeout=10)
        answer.raise_for_status()
        found: str = answer.json()["object"]["id"]
        return found

    async def ended(self, *run_ids: str) -> None:
        """Wait until the sandbox itself says that these have ended."""
        await until(lambda: set(run_ids) <= {run["id"] for run in self.sandbox.runs("stevesie") if run["ended_at"]})

    def lists(self) -> int:
        """How many list calls the server has answered."""
        asked = self.sandbox.requests("stevesie")
        return sum(one["method"] == "GET" and one["path"].endswith("/executions") for one in asked)

    async def listed(self, times: int = 2) -> None:
        """Wait for so many more list calls; the second one began after whatever was there before."""
        wanted = self.lists() + times
        await until(lambda: self.lists() >= wanted)


class Watching:
    """A watcher in its own task, as the triggerer has it."""

    def __init__(self, trigger: WorkflowRunEventTrigger, stream: AsyncIterator[Any] | None = None) -> None:
        self.fired: list[dict[str, Any]] = []
        self.task = asyncio.create_task(self._collect(stream or trigger.run()))

    @property
    def ids(self) -> list[str]:
        """The runs that have fired."""
        return [event["run_id"] for event in self.fired]

    async def has(self, count: int) -> list[str]:
        """Wait for so many events; give the ids."""
        await until(lambda: len(self.fired) >= count or self.task.done())
        if self.task.done():
            self.task.result()
        return self.ids

    async def stop(self) -> None:
        """End it as a triggerer does that shuts down."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def _collect(self, stream: AsyncIterator[Any]) -> None:
        async for event in stream:
            self.fired.append(json.loads(json.dumps(event.payload)))


def watcher(store: Any = None, workflow: str = ECHO, system: str = "stevesie", **more: Any) -> WorkflowRunEventTrigger:
    """A trigger as it comes out of the database, with the store that the triggerer gives it."""
    given = {"conn_id": f"{system}_default", "poll_interval": QUICK, **more}
    _, kwargs = WorkflowRunEventTrigger(system, workflow=workflow, **given).serialize()
    trigger = WorkflowRunEventTrigger(**json.loads(json.dumps(kwargs)))
    trigger.asset_state_store = store
    return trigger


@asynccontextmanager
async def watching(*arguments: Any, **more: Any) -> AsyncIterator[Watching]:
    """A watcher at work until the block ends."""
    at_work = Watching(watcher(*arguments, **more))
    try:
        yield at_work
    finally:
        await at_work.stop()

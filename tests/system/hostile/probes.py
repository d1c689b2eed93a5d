"""Triggers that measure the triggerer in which they run; it imports them by their path."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger

STEP = 0.01  # seconds


class LagProbe(BaseTrigger):
    """Writes, once a second, by how much the event loop was late for a timer of ten milliseconds."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give class path and keywords."""
        return "tests.system.hostile.probes.LagProbe", {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Measure until the triggerer ends."""
        while True:
            lags, end = [], time.monotonic() + 1
            while time.monotonic() < end:
                began = time.perf_counter()
                await asyncio.sleep(STEP)
                lags.append(round(time.perf_counter() - began - STEP, 5))
            with Path(self.path).open("a") as file:  # noqa: ASYNC230  # a line on a local disk
                file.write(json.dumps([time.time(), lags]) + "\n")
        yield TriggerEvent({})


class TimedTrigger(WorkflowRunTrigger):
    """Waits for a run as ever, and writes when its event came."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give class path and keywords."""
        return "tests.system.hostile.probes.TimedTrigger", super().serialize()[1]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire once."""
        async for event in super().run():
            with Path(self.options["events"]).open("a") as file:  # noqa: ASYNC230  # a line on a local disk
                file.write(json.dumps([time.time(), self.run_json["run_id"], event.payload["status"]]) + "\n")
            yield event

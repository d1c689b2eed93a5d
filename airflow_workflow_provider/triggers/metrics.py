"""What the waiting costs, through Airflow's own metrics (StatsD, OpenTelemetry, Datadog: whatever is configured).

``docs/scaling.md`` describes the names. The triggers of a process count together and report every few seconds, so that
a poll pays for an addition and no more.
"""

from __future__ import annotations

import asyncio
import logging
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_workflow_provider.client.list_poller import Meter
from airflow_workflow_provider.client.start_throttle import clock, pause

PREFIX = "workflow_provider"
COUNTERS = ("polls", "retries", "requests_saved")
EVERY = 10.0  # seconds between two reports
TICK = 0.5  # seconds between two looks at how late the loop is
log = logging.getLogger(__name__)


def stats() -> Any:
    """Give Airflow's metrics: what the triggerer itself has set up, where there are several."""
    try:
        module = import_module("airflow.observability.stats")  # 3.2 and newer; the SDK's is not set up in a triggerer
    except ImportError:
        module = import_module("airflow.stats")  # 2.11 to 3.1
    return module.Stats


class Reporter:
    """The meter of one event loop, and the task that reports it while somebody waits."""

    def __init__(self) -> None:
        self.meter = Meter()
        self._told = dict.fromkeys(COUNTERS, 0)
        self._lag = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Meter:
        """Report from now on, until no trigger waits any more; return the meter."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        return self.meter

    async def _run(self) -> None:
        report_at = clock() + EVERY
        while True:
            due = clock() + TICK
            await pause(TICK)
            self._lag = max(self._lag, clock() - due)
            is_over = not self.meter.waiters
            if is_over or clock() >= report_at:
                report_at = clock() + EVERY
                # In a thread: a backend may look up a host, or write to a socket that is full.
                await sync_to_async(self.report, thread_sensitive=False)()
            # During the report a trigger may have begun to wait, or the last one have ended, which is reported next.
            if is_over and not self.meter.waiters:
                return

    def report(self) -> None:
        """Send what has been counted since the last time. A backend that fails must not stop the waiting."""
        try:
            sink = stats()
            for name in COUNTERS:
                value = getattr(self.meter, name)
                if value > self._told[name]:
                    sink.incr(f"{PREFIX}.{name}", value - self._told[name])
                    self._told[name] = value
            sink.gauge(f"{PREFIX}.waiters", self.meter.waiters)
            sink.gauge(f"{PREFIX}.loop_lag", round(1000 * self._lag, 3))
        except Exception as error:  # noqa: BLE001  # whatever the backend raises
            log.warning("The metrics cannot be reported: %s", error)
        self._lag = 0.0


_reporters: WeakKeyDictionary[asyncio.AbstractEventLoop, Reporter] = WeakKeyDictionary()


def reporter() -> Reporter:
    """Give the reporter of the running loop."""
    return _reporters.setdefault(asyncio.get_running_loop(), Reporter())

"""One measurement: so many runs in one event loop, and what waiting for them costs."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.polling_server import end_of, run_id
from benchmarks.polling_ways import Place, Wait, Way, connections, spread

FAR = 3600.0  # seconds; a run that is not to end while it is looked at
TICK = 0.01  # seconds between two looks at the loop's lag
SETTLE = 1.0  # seconds at the end, for ends to be noticed


@dataclass
class Figures:
    """What one measurement gave. Times are in seconds."""

    runs: int = 0
    interval: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    calm_cpu: float = 0.0
    calm_seconds: float = 0.0
    requests: int = 0
    connections: int = 0
    most_open: int = 0
    burst_lag: float = 0.0
    lags: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    missed: int = 0

    @property
    def cpu_per_request(self) -> float:
        """CPU for one request."""
        return self.cpu / max(self.requests, 1)

    @property
    def cpu_per_look(self) -> float:
        """CPU for one run and interval, whoever asked, while no run ends: an end costs a look of its own."""
        cpu, seconds = (self.calm_cpu, self.calm_seconds) if self.calm_seconds else (self.cpu, self.seconds)
        return cpu / (self.runs * seconds / self.interval)

    @property
    def connections_per_request(self) -> float:
        """Connections opened for one request, those of the beginning left out."""
        return self.connections / max(self.requests, 1)


def share(values: Sequence[float], part: float) -> float:
    """Give the value below which this part of all values lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0.0


class Lag:
    """Measures how late the event loop is, and how late since it was last asked."""

    def __init__(self) -> None:
        self.values: list[float] = []

    async def measure(self) -> None:
        """Measure until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            self.values.append(time.perf_counter() - began - TICK)

    def taken(self) -> list[float]:
        """Give what was measured, and begin anew."""
        values, self.values = self.values, []
        return values


async def control(place: Place, what: str, body: Any = None) -> dict[str, Any]:
    """Tell the server something; gives its counts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    content = json.dumps(body).encode()
    writer.write(f"POST /_control/{what} HTTP/1.1\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.decode().split("\r\n") if line.startswith("Content-Length:"))
    counts: dict[str, Any] = json.loads(await reader.readexactly(length))
    writer.close()
    return counts


def measured(way: Way, place: Place, **options: Any) -> Figures:
    """Measure one way in an event loop of its own."""
    connections(place)
    gc.collect()
    with quiet():
        return asyncio.run(_Trial(way, place, **options).figures())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the triggers' log lines off the terminal; what it costs to make them stays in the figures."""
    sys.stdout.flush()
    terminal, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        os.dup2(terminal, 1)
        os.close(terminal)
        os.close(nowhere)


@dataclass
class _Trial:
    """One way, so many runs, an interval; a tenth of the runs ends while it is measured, after ``calm`` seconds."""

    way: Way
    place: Place
    runs: int
    interval: float
    seconds: float
    at_once: bool = False
    ending: float = 0.1
    calm: float = 0.0
    seen: list[float] = field(default_factory=list)

    async def figures(self) -> Figures:
        # A thousand of ours begin in a second; the others' are spread over an interval.
        ramp = max(10.0, 6.0 + self.runs / 1000) if self.at_once else self.interval + 2.0
        began = time.time()
        ids = self._ids(began + ramp + self.calm)
        await control(self.place, "begin")
        if self.way.shape:
            await control(self.place, "list", {"shape": self.way.shape, "runs": ids[::-1]})
        found = Figures(self.runs, self.interval, self.seconds)
        lag = Lag()
        watching = asyncio.create_task(lag.measure())
        async with self.way.make(self.place, self.interval, self.runs) as wait:
            waits = [wait(run) for run in ids]  # the trigger objects, which Airflow has anyway
            gc.collect()
            await asyncio.sleep(0)
            lag.taken()
            tasks = await self._started(ids, waits)
            await asyncio.sleep(max(0.0, began + ramp - time.time()))
            gc.collect()
            found.burst_lag = max(lag.taken(), default=0.0)
            if self.calm:
                watching.cancel()  # it wakes the loop a hundred times a second, which costs more than the lists
                await self._calm(found)
                watching = asyncio.create_task(lag.measure())
            await self._window(found, lag)
            found.delays = [seen for seen in self.seen if seen < FAR]
            found.missed = self._missed(ids, tasks)
            await self._stop([*tasks, watching])
        return found

    async def _calm(self, found: Figures) -> None:
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.sleep(self.calm)
        found.calm_cpu, found.calm_seconds = time.process_time() - cpu, time.perf_counter() - began

    async def _window(self, found: Figures, lag: Lag) -> None:
        await control(self.place, "reset", self.interval)
        cpu, began = time.process_time(), time.perf_counter()
        lag.taken()
        await asyncio.sleep(self.seconds)
        found.cpu, found.seconds = time.process_time() - cpu, time.perf_counter() - began
        found.lags = lag.taken()
        counts = await control(self.place, "reset")
        found.requests, found.connections, found.most_open = (
            counts[name] for name in ("requests", "connections", "most_open")
        )
        found.late = counts["late"]
        await asyncio.sleep(self.interval + SETTLE)

    def _ids(self, start: float) -> list[str]:
        ending = int(self.runs * self.ending)
        ends = [start + self.seconds * (index + 0.5) / ending for index in range(ending)]
        ends += [start + FAR] * (self.runs - ending)
        return [run_id(moment, number) for number, moment in enumerate(ends)]

    async def _started(self, ids: list[str], waits: list[Awaitable[Any]]) -> list[asyncio.Task[None]]:
        begin = time.perf_counter()
        moments = [0.0] * self.runs if self.at_once else spread(self.runs, self.interval)
        gc.freeze()  # the same for every way; what the interpreter holds at the start is not what is measured
        order = sorted(range(self.runs), key=moments.__getitem__)
        tasks = []
        for index in order:
            ahead = begin + moments[index] - time.perf_counter()
            if ahead > 0 or self.at_once:  # Airflow lets the loop run after each trigger that it creates
                await asyncio.sleep(max(ahead, 0))
            tasks.append(asyncio.create_task(self._one(ids[index], waits[index])))
        return tasks

    async def _one(self, run: str, wait: Awaitable[Any]) -> None:
        await wait
        self.seen.append(time.time() - end_of(run))

    def _missed(self, ids: list[str], tasks: list[asyncio.Task[None]]) -> int:
        """Count the runs whose end was not noticed, although there was an interval's time for it."""
        over = sum(end_of(run) <= time.time() - self.interval - SETTLE for run in ids)
        return max(0, over - sum(task.done() and not task.cancelled() for task in tasks))

    async def _stop(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Measure = Callable[..., Figures]
__all__ = ["Figures", "Measure", "Wait", "control", "measured", "share"]

"""A soak: many runs, faults on, for as long as is asked for. No waiter is lost, nothing leaks, memory does not grow."""

# ruff: noqa: T201 (prints)
from __future__ import annotations

import asyncio
import gc
import logging
import random
import time
from collections.abc import Awaitable
from typing import Any

import psutil

from benchmarks.polling_measure import control
from benchmarks.polling_server import end_of, run_id
from benchmarks.polling_ways import WAYS, Place, connections

RUNS, INTERVAL = 5000, 5.0  # waiting at any time; seconds
LIFE = (20.0, 60.0)  # seconds that a run takes; another follows it
SETTLED = 30.0  # seconds after which memory counts
LATE = 120.0  # seconds after which an end that was not noticed is a lost waiter
GROWTH = 0.10  # of the memory at the beginning
WAY_OF = ("header", "oauth1", "lists")


def soak(place: Place, seconds: float) -> int:
    """Soak for so many seconds; gives the exit code."""
    connections(place)
    logging.disable(logging.WARNING)
    return asyncio.run(_Soak(place, seconds).run())


class _Soak:
    def __init__(self, place: Place, seconds: float) -> None:
        self.place, self.until = place, time.time() + seconds
        self.noticed = self.number = 0
        self.waits: dict[str, asyncio.Task[None]] = {}
        self.odd: list[str] = []

    async def run(self) -> int:
        """Keep so many runs waiting until the time is up, then let the last ones end."""
        process, first = psutil.Process(), 0
        await control(self.place, "faults", True)
        await control(self.place, "begin")
        slots = [asyncio.create_task(self._slot(index)) for index in range(RUNS)]
        began = time.time()
        while time.time() < self.until:
            await asyncio.sleep(min(10.0, max(0.0, self.until - time.time())))
            gc.collect()
            memory = process.memory_info().rss
            if not first and time.time() - began > SETTLED:
                first = memory
            print(f"{time.time() - began:6.0f} s  {self._line(memory)}", flush=True)
        _, late = await asyncio.wait(slots, timeout=LIFE[1] + LATE)
        for slot in late:
            slot.cancel()
        await asyncio.gather(*slots, return_exceptions=True)
        await asyncio.sleep(11)  # the reporter's last turn
        counts = await control(self.place, "reset")
        return self._judged(len(late), memory / first if first else 1.0, counts)

    def _line(self, memory: int) -> str:
        tasks = len(asyncio.all_tasks())
        return f"{self.noticed} ends noticed, {tasks} tasks, {memory / 2**20:.0f} MB, {len(self.odd)} odd"

    async def _slot(self, index: int) -> None:
        way = WAYS[WAY_OF[index % len(WAY_OF)]]
        async with way.make(self.place, INTERVAL, RUNS) as wait:
            while time.time() < self.until:
                self.number += 1
                run = run_id(time.time() + random.uniform(*LIFE), self.number)  # noqa: S311  # spreads the ends
                await self._awaited(run, wait(run))

    async def _awaited(self, run: str, wait: Awaitable[Any]) -> None:
        event = await wait
        delay = time.time() - end_of(run)
        if event.payload["status"] != "succeeded" or not -0.01 <= delay < LATE:
            self.odd.append(f"run {run}: {event.payload['status']} {delay:.1f} s after its end")
        self.noticed += 1

    def _judged(self, lost: int, growth: float, counts: dict[str, Any]) -> int:
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        print(f"{self.noticed} ends noticed, {lost} waiters lost, {len(self.odd)} odd ends")
        print(f"{len(left)} tasks left, {counts['open']} connections left, memory {growth:.2f} of what it was")
        print("\n".join(self.odd[:5]))
        return int(bool(lost or self.odd or left or counts["open"] or growth > 1 + GROWTH))

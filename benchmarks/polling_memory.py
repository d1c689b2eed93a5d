"""What a waiting run weighs: all that Python allocates for it beyond the trigger object, which Airflow has anyway.

Python counts the bytes itself: what the process takes from the system says little, since it uses freed memory again.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Awaitable
from typing import Any

from benchmarks.polling_measure import FAR, control, quiet
from benchmarks.polling_server import run_id
from benchmarks.polling_ways import Place, Way, connections

RUNS, FIRST = 1000, 5
INTERVAL = 5.0  # seconds
SETTLED = 12.0  # seconds after which every run has been looked at more than once


def weight(way: Way, place: Place) -> float:
    """Give the bytes for each of so many runs; the first few, with all that they make for everybody, do not count."""
    connections(place)
    with quiet():
        return asyncio.run(_weight(way, place))


async def _weight(way: Way, place: Place) -> float:
    ids = [run_id(time.time() + FAR, number) for number in range(FIRST + RUNS)]
    await control(place, "begin")
    if way.shape:
        await control(place, "list", {"shape": way.shape, "runs": ids[::-1]})
    async with way.make(place, INTERVAL, RUNS) as wait:
        waits = [wait(run) for run in ids]
        tasks = [asyncio.ensure_future(_one(one)) for one in waits[:FIRST]]
        await asyncio.sleep(SETTLED)  # they have polled twice: what is made once, or imported then, is there
        gc.collect()
        tracemalloc.start()
        tasks += [asyncio.ensure_future(_one(one)) for one in waits[FIRST:]]
        await asyncio.sleep(SETTLED)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert not any(task.done() for task in tasks)  # a run that is not waited for weighs nothing
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return taken / RUNS


async def _one(wait: Awaitable[Any]) -> None:
    await wait

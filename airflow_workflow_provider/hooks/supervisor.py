"""Requests of a trigger to Airflow, each of which is finished once it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
AT_ONCE = 16  # requests to Airflow; its supervisor answers one after the other
_unfinished: set[asyncio.Task[Any]] = set()  # the event loop itself keeps only weak references to its tasks
_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def ask(request: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Make a request to Airflow, which runs to its end although the one who awaits it is cancelled.

    Every request of a trigger to Airflow's supervisor process is made this way. Airflow 3.0 and 3.1 match no answer
    with its request: if a trigger is cancelled while it waits for one, the next trigger reads that answer, and the
    whole triggerer ends with "Response read out of order". Newer versions match them.

    A request that waits for its turn is given up with the one who awaits it, so that requests do not pile up.
    """
    gate = _gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))
    await gate.acquire()
    task = asyncio.ensure_future(request())
    task.add_done_callback(lambda _: gate.release())
    return await _shielded(task)


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine that runs to its end although the one who awaits it is cancelled."""
    return await _shielded(asyncio.ensure_future(work))


async def _shielded(task: asyncio.Task[T]) -> T:
    _unfinished.add(task)
    task.add_done_callback(_forget)
    return await asyncio.shield(task)


def _forget(task: asyncio.Task[Any]) -> None:
    """Forget a task; its error was raised to the one who awaits it, if that one still waits."""
    _unfinished.discard(task)
    if not task.cancelled():
        task.exception()

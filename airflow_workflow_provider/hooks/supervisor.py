"""Requests of a trigger to Airflow, each of which is finished once it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_unfinished: set[asyncio.Task[Any]] = set()  # the event loop itself keeps only weak references to its tasks


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine that runs to its end although the one who awaits it is cancelled or has a time limit.

    Every request of a trigger to Airflow's supervisor process is made this way. Airflow 3.0 and 3.1 match no answer
    with its request: if a trigger is cancelled while it waits for one, the next trigger reads that answer, and the
    whole triggerer ends with "Response read out of order". Newer versions match them.
    """
    task = asyncio.ensure_future(work)
    _unfinished.add(task)
    task.add_done_callback(_done)
    return await asyncio.shield(task)


def _done(task: asyncio.Task[Any]) -> None:
    """Forget a task; its error was raised to the one who awaits it, if that one still waits."""
    _unfinished.discard(task)
    if not task.cancelled():
        task.exception()

"""Thousands of triggers that begin together begin one after the other, and sleep at little cost."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

AT_ONCE = 8  # who may begin without waiting, and so many more each time
PAUSE = 0.008  # seconds between two times: a thousand begin in a second


@dataclass
class _Queue:
    free: int = AT_ONCE
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    is_ticking: bool = False


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()


async def throttle() -> None:
    """Return at once, or where many begin at the same time, when it is this one's turn.

    After a restart a triggerer is given all its triggers together.
    """
    loop = asyncio.get_running_loop()
    queue = _queues.get(loop)
    if queue is None:
        queue = _queues[loop] = _Queue()
    if not queue.is_ticking:
        queue.is_ticking = True
        loop.call_later(PAUSE, _tick, loop, queue)
    if queue.free > 0:
        queue.free -= 1
        return
    future = loop.create_future()
    queue.waiting.append(future)
    await future


def _tick(loop: asyncio.AbstractEventLoop, queue: _Queue) -> None:
    """Let the next ones begin."""
    queue.free = AT_ONCE
    while queue.waiting and queue.free:
        future = queue.waiting.popleft()
        if not future.done():  # it may have been cancelled
            future.set_result(None)
            queue.free -= 1
    queue.is_ticking = queue.free < AT_ONCE
    if queue.is_ticking:
        loop.call_later(PAUSE, _tick, loop, queue)


def clock() -> float:
    """Give the time of the running loop, in seconds; only differences mean something."""
    return asyncio.get_running_loop().time()


def pause(seconds: float) -> asyncio.Future[None]:
    """Give what is done after so many seconds: as `asyncio.sleep`, without a coroutine for each who sleeps.

    Where it is cancelled, its timer stays and does nothing when it rings.
    """
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(seconds, wake, future)
    return future


def wake(future: asyncio.Future[None]) -> None:
    """Let one go on, unless it has gone already."""
    if not future.done():
        future.set_result(None)

"""Thousands of triggers that begin together begin one after the other, and sleep at little cost."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from weakref import WeakKeyDictionary

AT_ONCE = 8  # who may begin without waiting, and so many more each time
PAUSE = 0.008  # seconds between two times: a thousand begin in a second
RESOLUTION = 0.001  # seconds; a timer that rings this much later is not worth one of its own


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


class Sleepers:
    """Many who sleep in one event loop, with one timer of the loop for all of them.

    A timer of the loop for each one weighs 300 bytes more and is sorted by Python code; a heap of tuples is not.
    """

    __slots__ = ("_count", "_timer", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0  # it decides where two moments are equal: futures cannot be compared
        self._timer: asyncio.TimerHandle | None = None

    def pause(self, seconds: float) -> asyncio.Future[None]:
        """Give what is done after so many seconds, as the function `pause` does."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._count += 1
        entry = (loop.time() + seconds, self._count, future)
        heappush(self._waiting, entry)
        if self._waiting[0] is entry:
            self._wait_for_first(loop)
        return future

    def _wait_for_first(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_at(self._waiting[0][0], self._wake, loop)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        waiting, due = self._waiting, loop.time() + RESOLUTION
        while waiting and waiting[0][0] <= due:
            wake(heappop(waiting)[2])
        if waiting:
            self._wait_for_first(loop)


def wake(future: asyncio.Future[None]) -> None:
    """Let one go on, unless it has gone already."""
    if not future.done():
        future.set_result(None)

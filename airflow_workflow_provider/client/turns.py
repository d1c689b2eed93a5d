"""Who comes in a crowd takes turns: after a restart the triggerer is given all its triggers at once."""

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


async def turn() -> None:
    """Return when it is one's turn: at once, unless many come at the same time."""
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

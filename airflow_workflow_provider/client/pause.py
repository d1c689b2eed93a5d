"""Being asleep, for thousands at a time."""

from __future__ import annotations

import asyncio


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

"""So many requests at a time to one server, whichever connections they belong to."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary

MAX_IN_FLIGHT = 16


class Gate:
    """Lets some in, and the others as soon as one leaves, in the order in which they came."""

    __slots__ = ("_free", "_waiting")

    def __init__(self, places: int = MAX_IN_FLIGHT) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    def entered(self) -> bool:
        """Take a place if one is free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    async def enter(self, *, urgent: bool = False) -> None:
        """Take a place as soon as there is one; who is urgent comes first."""
        future = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if urgent else self._waiting.append)(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # it was given the place, and has no use for it
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the next one."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._free += 1


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Gate]] = WeakKeyDictionary()


def gate_to(origin: str) -> Gate:
    """Give the gate of a server (scheme, host and port) in the running loop."""
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    return gates.setdefault(origin, Gate())

"""Limits the requests to one server: how many at a time for each connection, and none while it is down.

Connections of several teams may lead to the same server, one of them through a proxy that hangs. Each connection has
places of its own, a server has places for all of them, and who waits is served in turn, connection by connection.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Self
from weakref import WeakKeyDictionary

from requests.utils import get_environ_proxies, select_proxy

from airflow_workflow_provider.protocol.connection import Transport

MAX_IN_FLIGHT = 16  # requests of one connection, through one proxy, to one server
MAX_OF_SERVER = 64  # requests of all connections to one server
CERTAIN = 2  # requests that every connection may have under way, however many the others have
TRIES = 5  # failures in a row after which the server counts as down
FIRST, LONGEST = 1.0, 60.0  # seconds of the first pause and of the longest
PROBE = 10.0  # seconds in which one request may find out whether the server is back


class RequestLimiter:
    """The places of one server."""

    def __init__(self, total: int = MAX_OF_SERVER, each: int = MAX_IN_FLIGHT, certain: int = CERTAIN) -> None:
        self.total, self.each, self.certain = total, each, certain
        self.in_flight = 0
        self._lanes: dict[Hashable, Lane] = {}
        self._turns: deque[Lane] = deque()  # those in which somebody waits

    def lane(self, key: Hashable) -> Lane:
        """Give the places of one connection through one proxy."""
        found = self._lanes.get(key)
        return found or self._lanes.setdefault(key, Lane(self))

    def queue(self, lane: Lane) -> None:
        """Have a lane be served in turn."""
        if lane not in self._turns:
            self._turns.append(lane)

    def serve(self) -> None:
        """Give the free places to those who wait, one to each lane in turn."""
        blocked = 0
        while self._turns and blocked < len(self._turns):
            lane = self._turns.popleft()
            if not lane.is_wanted:
                continue
            if lane.has_place and lane.admit():
                blocked = 0
            else:
                blocked += 1
            if lane.is_wanted:
                self._turns.append(lane)


class Lane:
    """The places of one connection through one proxy to one server; those who come first are served first."""

    __slots__ = ("_limiter", "_waiting", "in_flight")

    def __init__(self, limiter: RequestLimiter) -> None:
        self._limiter = limiter
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def has_place(self) -> bool:
        """True if a request may be sent."""
        limiter = self._limiter
        return self.in_flight < limiter.each and (limiter.in_flight < limiter.total or self.in_flight < limiter.certain)

    @property
    def is_wanted(self) -> bool:
        """True if somebody waits here."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        return bool(self._waiting)

    def entered(self) -> bool:
        """Take a place if one is free and no request of this connection waits."""
        if self._waiting or not self.has_place:
            return False
        self._take()
        return True

    async def enter(self, *, urgent: bool = False) -> None:
        """Take a place as soon as there is one; an urgent request is the next of its connection."""
        future = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if urgent else self._waiting.append)(future)
        self._limiter.queue(self)
        self._limiter.serve()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # it was given the place, and does not use it
                self.leave()
            raise

    def admit(self) -> bool:
        """Give a place to the next one who waits."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                self._take()
                future.set_result(None)
                return True
        return False

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._limiter.in_flight -= 1
        self._limiter.serve()

    def _take(self) -> None:
        self.in_flight += 1
        self._limiter.in_flight += 1


_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RequestLimiter]] = WeakKeyDictionary()


def limiter_of(origin: str) -> RequestLimiter:
    """Give the limiter of a server (scheme, host and port) in the running loop."""
    limiters = _limiters.setdefault(asyncio.get_running_loop(), {})
    found = limiters.get(origin)
    return found or limiters.setdefault(origin, RequestLimiter())


@dataclass
class Breaker:
    """A circuit breaker: counts the failures of one server, and keeps requests from it while it is down.

    Times are in seconds since 1970.
    """

    failures: int = 0
    closed_until: float = 0.0

    def left(self, now: float) -> float:
        """Give the seconds for which nothing is to be sent; 0 if a request may be."""
        return max(self.closed_until - now, 0.0)

    def wait(self, now: float) -> float:
        """As `left`; where the server is down, 0 is for one request only, which finds out whether it is back."""
        if now < self.closed_until:
            return self.closed_until - now
        if self.failures >= TRIES:
            self.closed_until = now + PROBE
        return 0.0

    def answered(self, closed_until: float) -> None:
        """The server answered sensibly. ``closed_until`` is as it was when the request was sent.

        What has closed it since then, an answer to another request has asked for; it is not undone by an older one.
        """
        self.failures = 0
        if self.closed_until == closed_until:
            self.closed_until = 0.0

    def failed(self, now: float, retry_after: float | None, known: int | None = None) -> None:
        """The server did not answer, or said that it cannot; ``retry_after`` is for all who ask it.

        ``known`` is the count when the request was sent: those that were under way together saw the same moment, so
        only one of them counts.
        """
        if known is None or known == self.failures:
            self.failures += 1
        if retry_after is not None:
            self.closed_until = max(self.closed_until, now + min(retry_after, LONGEST * 5))
        elif self.failures >= TRIES:
            pause = min(LONGEST, FIRST * 2 ** min(self.failures - TRIES, 10))
            self.closed_until = now + pause * random.uniform(0.5, 1.0)  # noqa: S311  # spreads triggerers


@dataclass
class Server:
    """What a triggerer's client knows of one server: the proxy that leads to it, its places and its health."""

    proxy: str | None
    lane: Lane
    breaker: Breaker = field(default_factory=Breaker)

    @classmethod
    def of(cls, url: str, origin: str, transport: Transport) -> Self:
        """Make it at the first request to one of its URLs; the proxy is the connection's, else the environment's."""
        proxy = select_proxy(url, {**get_environ_proxies(url), **transport.proxies})
        return cls(proxy, limiter_of(origin).lane((transport.conn_id, proxy)))

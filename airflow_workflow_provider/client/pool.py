"""One client per event loop and connection, shared by all triggers of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.protocol.system import WorkflowSystem

Load = Callable[[], Awaitable[tuple[WorkflowSystem, TriggererClient]]]
RENEWAL = 5.0  # seconds; so often at most a connection is read again because its credentials are refused
MAX_AGE = 900.0  # seconds after which a new user reads the connection again: it may have been changed


@dataclass(frozen=True)
class Member:
    """A system and the open client that its flows run in."""

    system: WorkflowSystem
    client: TriggererClient


@dataclass
class Entry:
    """A member that is being made or is ready, and how many use it."""

    key: Hashable
    making: asyncio.Task[Member]
    made_at: float
    users: int = 0


# Keyed weakly by loop: a loop that is gone takes its clients along, and its sockets closed with it.
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Entry]] = WeakKeyDictionary()

_renewals: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, float]] = WeakKeyDictionary()


class shared_client:  # noqa: N801  # used as a function, as context managers are
    """Give the member of this key for as long as the block lasts.

    The first user makes it with ``load``, the last one closes it.
    """

    __slots__ = ("_entry", "_key", "_load")

    def __init__(self, key: Hashable, load: Load) -> None:
        self._key, self._load = key, load
        self._entry: Entry | None = None

    async def __aenter__(self) -> Member:
        self._entry = join(self._key, self._load)
        try:
            return await asyncio.shield(self._entry.making)
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *exc: object) -> None:
        assert self._entry is not None  # it was entered
        await leave(self._entry)


def join(key: Hashable, load: Load) -> Entry:
    """Count one more user of the member of this key; ``making`` of the entry gives the member.

    Each user has to `leave`. This is `shared_client` for thousands who wait: the block of an ``async with`` weighs 120
    bytes for each of them.
    """
    loop = asyncio.get_running_loop()
    pool = _pools.setdefault(loop, {})
    entry = pool.get(key)
    if entry is None or loop.time() - entry.made_at > MAX_AGE:
        entry = pool[key] = Entry(key, loop.create_task(_open(load)), loop.time())
    entry.users += 1
    return entry


async def leave(entry: Entry) -> None:
    """Count one user less; the last one closes the client."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop, {})
    entry.users -= 1
    if not entry.users:
        if pool.get(entry.key) is entry:
            del pool[entry.key]
        await asyncio.shield(loop.create_task(_close(entry.making)))


def retire(key: Hashable) -> None:
    """Let the next user of this key make a new member, since this one's connection was refused.

    Who uses the old one keeps it until it leaves; the last one still closes it.
    """
    _pools.get(asyncio.get_running_loop(), {}).pop(key, None)


def member_of(key: Hashable) -> Member | None:
    """Give the member that the next user of this key would get, where it is ready."""
    entry = _pools.get(asyncio.get_running_loop(), {}).get(key)
    if entry is None or not entry.making.done() or entry.making.cancelled() or entry.making.exception():
        return None
    return entry.making.result()


def renew(key: Hashable, refused: Member) -> None:
    """Let the next user of this key read its connection again, since the credentials of this member were refused.

    All who wait with the same connection share one reading: who comes later finds the new member, or waits until the
    last reading is some seconds old.
    """
    loop = asyncio.get_running_loop()
    read_at = _renewals.setdefault(loop, {})
    if member_of(key) is refused and loop.time() - read_at.get(key, -RENEWAL) >= RENEWAL:
        read_at[key] = loop.time()
        retire(key)


async def _open(load: Load) -> Member:
    system, client = await load()
    await client.open()
    return Member(system, client)


async def _close(making: asyncio.Task[Member]) -> None:
    if not making.done():
        making.cancel()
    elif not making.cancelled() and not making.exception():
        await making.result().client.close()

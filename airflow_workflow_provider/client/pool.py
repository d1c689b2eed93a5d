"""One client per event loop and connection, shared by all triggers of the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.protocol.system import WorkflowSystem

MAX_AGE = 900.0  # seconds after which a new user reads the connection anew: it may have been changed


@dataclass(frozen=True)
class Member:
    """A system and the open client that its flows run in."""

    system: WorkflowSystem
    client: TriggererClient


@dataclass
class _Entry:
    making: asyncio.Task[Member]
    made_at: float
    users: int = 0


# Keyed weakly by loop: a loop that is gone takes its clients along, and its sockets closed with it.
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Entry]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(
    key: Hashable, load: Callable[[], Awaitable[tuple[WorkflowSystem, TriggererClient]]]
) -> AsyncIterator[Member]:
    """Give the member of this key; the first user makes it with ``load``, the last one closes it."""
    loop = asyncio.get_running_loop()
    pool = _pools.setdefault(loop, {})
    entry = pool.get(key)
    if entry is None or loop.time() - entry.made_at > MAX_AGE:
        entry = pool[key] = _Entry(loop.create_task(_open(load)), loop.time())
    entry.users += 1
    try:
        yield await asyncio.shield(entry.making)
    finally:
        entry.users -= 1
        if not entry.users:
            if pool.get(key) is entry:
                del pool[key]
            await asyncio.shield(loop.create_task(_close(entry.making)))


def retire(key: Hashable) -> None:
    """Let the next user of this key make a new member, since this one's connection was refused.

    Who uses the old one keeps it until it leaves; the last one still closes it.
    """
    _pools.get(asyncio.get_running_loop(), {}).pop(key, None)


async def _open(load: Callable[[], Awaitable[tuple[WorkflowSystem, TriggererClient]]]) -> Member:
    system, client = await load()
    await client.open()
    return Member(system, client)


async def _close(making: asyncio.Task[Member]) -> None:
    if not making.done():
        making.cancel()
    elif not making.cancelled() and not making.exception():
        await making.result().client.close()

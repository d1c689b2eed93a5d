"""One client per event loop and connection, shared by all who wait there."""

from __future__ import annotations

import asyncio

import pytest

from airflow_workflow_provider.client.pool import retire, shared_client
from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.exceptions import InvalidConnection
from airflow_workflow_provider.protocol.connection import ConnectionValues, Transport
from airflow_workflow_provider.systems.carto import CartoSystem


class Client(TriggererClient):
    """A client that tells whether it is open."""

    def __init__(self):
        super().__init__(Transport())
        self.state = "new"

    async def open(self):
        await super().open()
        self.state = "open"

    async def close(self):
        await super().close()
        self.state = "closed"


class Loader:
    """Makes members, and counts them."""

    def __init__(self, error=None):
        self.clients, self.error, self.gate = [], error, asyncio.Event()
        self.gate.set()

    async def load(self):
        """A system and a client of its own."""
        self.clients.append(Client())
        await self.gate.wait()
        if self.error:
            raise self.error
        return CartoSystem(ConnectionValues("c", host="https://127.0.0.1", password="token")), self.clients[-1]

    def use(self, key="key"):
        """The context that a trigger waits in."""
        return shared_client(key, self.load)


async def test_all_who_wait_at_the_same_time_share_one_client():
    loader = Loader()
    async with loader.use() as first, loader.use() as second:
        assert first is second
        assert first.client.state == "open"
    assert [client.state for client in loader.clients] == ["closed"]


async def test_the_connection_is_read_once_however_many_come_at_once():
    loader, inside = Loader(), []

    async def wait():
        async with loader.use() as member:
            inside.append(member)
            await asyncio.sleep(0)

    await asyncio.gather(*(wait() for _ in range(200)))
    assert (len(inside), len(loader.clients), loader.clients[0].state) == (200, 1, "closed")


async def test_connections_do_not_share():
    loader = Loader()
    async with loader.use("one") as first, loader.use("two") as second:
        assert first is not second


async def test_after_the_last_one_has_gone_the_next_reads_the_connection_anew():
    loader = Loader()
    for _ in range(2):
        async with loader.use():
            pass
    assert [client.state for client in loader.clients] == ["closed", "closed"]


async def test_a_connection_that_cannot_be_used_fails_all_who_ask_and_is_read_anew_later():
    loader = Loader(InvalidConnection("the field 'host' is empty"))
    loader.gate.clear()

    async def wait():
        async with loader.use():
            raise AssertionError("there is no client")

    waiting = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    loader.gate.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [InvalidConnection] * 3
    loader.error = None
    async with loader.use() as member:
        assert member.client.state == "open"
    assert len(loader.clients) == 2


async def test_one_that_is_cancelled_while_the_client_is_made_does_not_disturb_the_others():
    loader = Loader()
    loader.gate.clear()

    async def wait():
        async with loader.use() as member:
            return member.client.state

    first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    loader.gate.set()
    assert await second == "open"
    assert (first.cancelled(), loader.clients[0].state) == (True, "closed")


async def test_when_all_are_cancelled_while_the_client_is_made_nothing_is_left():
    loader = Loader()
    loader.gate.clear()

    async def wait():
        async with loader.use():
            raise AssertionError("nobody waits any more")

    only = asyncio.create_task(wait())
    await asyncio.sleep(0)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    loader.gate.set()
    async with loader.use() as member:
        assert member.client.state == "open"
    assert len(loader.clients) == 2


def test_event_loops_do_not_share():
    """A socket belongs to its loop; tests and `dag.test` run many of them."""
    states = []

    async def use():
        loader = Loader()
        async with loader.use() as member:
            states.append(member.client.state)

    asyncio.run(use())
    asyncio.run(use())
    assert states == ["open", "open"]


async def test_after_a_refusal_the_next_one_reads_the_connection_anew():
    """A token may have been rotated; those who still wait with the old one keep their client."""
    loader = Loader()
    async with loader.use() as old:
        retire("key")
        async with loader.use() as new:
            assert new is not old
        assert (new.client.state, old.client.state) == ("closed", "open")
    assert old.client.state == "closed"

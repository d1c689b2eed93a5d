"""A server that is down, or asked for a pause, is left alone by all who wait for its runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from airflow_workflow_provider.client.request_limiter import LONGEST, PROBE, TRIES, Breaker
from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import Flow, NotSent, Request, TransportError

from .recording import HTML_503, Reply

EPOCH = 1_790_000_000.0


@dataclass
class Clock:
    """The time as the test sets it."""

    now: float = EPOCH

    def __call__(self) -> float:
        return self.now


def asking(url: str) -> Flow[str]:
    """Ask once, and tell how it went: the status, or that nothing was sent, or that no answer came."""
    try:
        response = yield Request("GET", url)
    except TransportError as error:
        return type(error).__name__
    return str(response.status)


async def asked(client: TriggererClient, url: str, times: int) -> list[str]:
    """Ask one after the other."""
    return [await client.run(asking(url)) for _ in range(times)]


def test_after_some_failures_in_a_row_the_server_is_not_asked(server):
    """Two hundred waiters cost a server that is down a handful of requests, and it is asked again after a pause."""
    server.script([HTML_503])
    clock = Clock()

    async def story() -> tuple[list[str], list[str], list[str]]:
        async with TriggererClient(Transport(timeout=5), now=clock) as client:
            down = await asked(client, server.url, 200)
            server.replies = [Reply(200, {})]
            clock.now += LONGEST
            first, *rest = await asyncio.gather(*[client.run(asking(server.url)) for _ in range(20)])
            return down, [first, *rest], await asked(client, server.url, 3)

    down, probing, after = asyncio.run(story())

    assert down == ["503"] * TRIES + [NotSent.__name__] * (200 - TRIES)
    assert sorted(probing) == ["200"] + [NotSent.__name__] * 19
    assert after == ["200"] * 3


def test_a_pause_that_the_server_asks_for_is_everybodys(server):
    """One waiter is told to come back in 30 seconds; no other asks before."""
    server.script([Reply(429, "", {"Retry-After": "30"}), Reply(200, {})])
    clock = Clock()

    async def story() -> list[str]:
        async with TriggererClient(Transport(timeout=5), now=clock) as client:
            told = await asked(client, server.url, 2)
            clock.now += 29
            still = await asked(client, server.url, 1)
            clock.now += 1.5
            return [*told, *still, *await asked(client, server.url, 1)]

    assert asyncio.run(story()) == ["429", "NotSent", "NotSent", "200"]


def test_an_older_answer_does_not_end_a_pause_that_the_server_asks_for():
    """Of requests that are under way together one is told to wait; another, sent before, is answered after it."""
    breaker = Breaker()
    sent = breaker.closed_until
    breaker.failed(EPOCH, 30, breaker.failures)
    breaker.answered(sent)
    assert breaker.wait(EPOCH + 1) == 29
    assert breaker.wait(EPOCH + 31) == 0


def test_who_is_told_to_wait_knows_how_long(server):
    server.script([Reply(429, "", {"Retry-After": "30"})])

    def told() -> Flow[float | None]:
        try:
            yield Request("GET", server.url)
        except NotSent as error:
            return error.retry_after
        return None

    async def story() -> list[float | None]:
        async with TriggererClient(Transport(timeout=5), now=Clock()) as client:
            return [await client.run(told()) for _ in range(2)]

    assert asyncio.run(story()) == [None, 30.0]


def test_a_client_that_was_closed_says_that_nothing_was_sent(server):
    """The last who used it has left, while somebody waited for a turn."""

    async def story() -> list[str]:
        async with TriggererClient(Transport(timeout=5)) as client:
            pass
        return await asked(client, server.url, 1)

    assert asyncio.run(story()) == ["NotSent"]
    assert server.heard == []


def test_another_server_is_none_of_its_business(server):
    """The host of the results, or of the tokens, is asked although the API is down."""
    server.script([HTML_503])
    other = server.url.replace("127.0.0.1", "localhost")

    async def story() -> list[str]:
        async with TriggererClient(Transport(timeout=5), now=Clock()) as client:
            await asked(client, server.url, TRIES + 1)
            return await asked(client, other, 1)

    assert asyncio.run(story()) == ["503"]


@pytest.mark.parametrize("status", [200, 302, 401, 404, 422])
def test_an_answer_that_the_server_meant_clears_the_count(server, status):
    """A refusal is no sign that a server is down."""
    server.script([*[HTML_503] * (TRIES - 1), Reply(status, {}), HTML_503, Reply(200, {})])

    async def story() -> list[str]:
        async with TriggererClient(Transport(timeout=5), now=Clock()) as client:
            return await asked(client, server.url, TRIES + 2)

    assert asyncio.run(story()) == ["503"] * (TRIES - 1) + [str(status), "503", "200"]


def test_the_pauses_grow_up_to_a_bound():
    """However long the server is down, it is asked about once a minute."""
    breaker, now, pauses = Breaker(), EPOCH, []
    for _ in range(TRIES + 30):
        breaker.failed(now, None)
        pause = breaker.wait(now)
        pauses.append(pause)
        now += pause
    assert pauses[: TRIES - 1] == [0.0] * (TRIES - 1)
    assert 0 < pauses[TRIES - 1] <= 1
    assert all(LONGEST / 2 <= pause <= LONGEST for pause in pauses[-10:])


def test_one_request_finds_out_whether_the_server_is_back():
    """While it is under way the others go on waiting; one that never returns does not block them for ever."""
    breaker = Breaker()
    for _ in range(TRIES):
        breaker.failed(EPOCH, None)
    later = EPOCH + LONGEST
    assert breaker.wait(later) == 0.0
    assert breaker.wait(later) == PROBE
    assert breaker.wait(later + PROBE) == 0.0

"""Many who wait for the runs of one server, when it stumbles."""

from __future__ import annotations

import asyncio

from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import Request, TransportError
from tests.client.driving import EPOCH
from tests.client.recording import HTML_503, Reply

A_MOMENT = 5.0  # seconds; far less than the longest pause


def ask(url):
    """Ask once; True if there was an answer that makes sense."""
    try:
        response = yield Request("GET", url)
    except TransportError:
        return False
    return response.status == 200


async def test_a_blip_that_many_see_at_once_is_no_longer_than_one_that_few_see(server):
    """The pause grows with how long a server is down, not with how many happened to ask at that moment."""
    now = [EPOCH]
    async with TriggererClient(Transport(timeout=5), now=lambda: now[0]) as client:
        server.script([HTML_503])
        assert not any(await asyncio.gather(*(client.run(ask(server.url)) for _ in range(100))))
        server.script([Reply(200)])
        now[0] += A_MOMENT
        assert await client.run(ask(server.url))

"""One list for many watchers, some of whom are busy when a page comes."""

from __future__ import annotations

import asyncio

import pytest

from airflow_workflow_provider.client.list_poller import Feed, Page
from airflow_workflow_provider.triggers import event_feed
from airflow_workflow_provider.triggers.event_feed import Source, pages
from airflow_workflow_provider.triggers.event_trouble import Troubles
from airflow_workflow_provider.triggers.loading import loaded

SOURCE = Source("stevesie", "c", "wf", 10.0)


def nothing():
    """No connection is made here."""
    raise AssertionError


@pytest.fixture
async def feed():
    """A feed that publishes when the test says so."""
    await loaded()
    made = Feed(SOURCE, nothing, nothing, Troubles(SOURCE, 10.0))
    made.users = 1
    event_feed._feeds.setdefault(asyncio.get_running_loop(), {})[SOURCE] = made
    yield made
    await made.stop()


def publish(feed, number, whole=False):
    """Publish a page without runs."""
    feed._publish(Page([], whole, feed, number))


async def taken(watcher):
    """Wait for the next page; gives its number."""
    return (await asyncio.wait_for(anext(watcher), 5)).number


async def test_who_was_busy_while_a_page_came_gets_a_whole_one(feed):
    """What has ended in between may be in no later page."""
    watcher = pages(SOURCE)
    waiting = asyncio.create_task(taken(watcher))
    await asyncio.sleep(0.01)
    publish(feed, 1)
    assert await waiting == 1
    publish(feed, 2)  # nobody waits for it
    for number, whole, wants in ((3, False, True), (4, False, True), (5, True, False), (6, False, False)):
        waiting = asyncio.create_task(taken(watcher))
        await asyncio.sleep(0.01)
        publish(feed, number, whole=whole)
        assert await waiting == number
        assert bool(feed.behind) is wants
    await watcher.aclose()


async def test_who_leaves_wants_nothing_any_more(feed):
    watcher = pages(SOURCE)
    for number in (1, 3):
        waiting = asyncio.create_task(taken(watcher))
        await asyncio.sleep(0.01)
        publish(feed, number)
        await waiting
    assert feed.behind
    await watcher.aclose()
    assert not feed.behind


@pytest.mark.parametrize("behind", [False, True])
async def test_while_somebody_is_behind_the_whole_list_is_asked_for(feed, behind):
    asked = []

    class Member:
        class client:  # noqa: N801  # an attribute of the real one
            @staticmethod
            async def run(flow):
                return flow

        class system:  # noqa: N801  # as well
            @staticmethod
            def list_runs(workflow, since):
                asked.append(since)
                return []

    feed._all, feed._floor = False, lambda: "a moment"
    if behind:
        feed.behind.add(object())
    page = await feed._page(Member, "wf")
    assert (asked, page.whole) == ([None] if behind else ["a moment"], behind)

"""Watchers of the same workflow in one event loop share its list calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.systems import system_class
from airflow_workflow_provider.triggers.event_trouble import Troubles
from airflow_workflow_provider.triggers.loading import load, loaded

if TYPE_CHECKING:
    from airflow_workflow_provider.client.list_poller import Feed, Page


@dataclass(frozen=True)
class Source:
    """What is listed: a workflow of a connection, every so many seconds; None stands for what the system says."""

    system: str
    conn_id: str
    workflow: str
    interval: float | None

    def __str__(self) -> str:
        return f"workflow {self.workflow!r} of connection {self.conn_id!r}"

    @property
    def key(self) -> tuple[str, str]:
        """System and connection, which name the client."""
        return self.system, self.conn_id


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Source, Feed]] = WeakKeyDictionary()


def _usual_interval(system: str) -> float:
    """Return the default interval of a system; a system that cannot be loaded fails when it lists runs."""
    try:
        return system_class(system).poll_interval
    except InvalidArgument:
        return WorkflowSystem.poll_interval


async def pages(source: Source) -> AsyncIterator[Page]:
    """Give each page of a source; all who ask for the same source in one event loop share its list calls."""
    await loaded()
    from airflow_workflow_provider.client.list_poller import Feed
    from airflow_workflow_provider.client.pool import retire, shared_client

    if source.interval is None:
        source = replace(source, interval=await sync_to_async(_usual_interval, thread_sensitive=False)(source.system))
    feeds = _feeds.setdefault(asyncio.get_running_loop(), {})
    feed = feeds.get(source)
    if feed is None:
        feed = feeds[source] = Feed(
            source,
            partial(shared_client, source.key, partial(load, *source.key)),
            partial(retire, source.key),
            Troubles(source, source.interval or WorkflowSystem.poll_interval),
        )
        feed.start()
    feed.users += 1
    watcher, last = object(), None
    try:
        if feed.latest and feed.latest.whole:
            last = feed.latest.number
            yield feed.latest
        while True:
            page = await feed.next_page()
            if last is not None and page.number != last + 1:  # this one was busy: what ended in between may be gone
                feed.behind.add(watcher)
            if page.whole:
                feed.behind.discard(watcher)
            last = page.number
            yield page
    finally:
        feed.users -= 1
        feed.behind.discard(watcher)
        if not feed.users:
            del feeds[source]
            await feed.stop()

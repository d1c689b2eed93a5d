"""Airflow's shared stream (3.3+): one poll for many watchers, and word when their events have been stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from airflow_workflow_provider.triggers.event_feed import Source, pages

if TYPE_CHECKING:
    from airflow_workflow_provider.client.list_poller import Page


class RunsProducer(SharedStreamProducer):
    """Hands Airflow the pages of a feed, and lets the watchers write their cursors once it has stored their events."""

    def __init__(self, source: Source) -> None:
        self.source = source

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Give each page, which is also what Airflow hands back when its events are stored."""
        async with aclosing(pages(self.source)) as stream:  # type: ignore[type-var]  # it is a generator
            async for page in stream:
                own = replace(page, kept=[])
                yield own, own

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Write the cursors of watchers whose events are in the database now.

        One whose events are not has been stopped by Airflow, and starts again from the cursor that it has.
        """
        for item in batch:
            page: Page = item.broker_payload
            for write in page.kept or ():
                await write()

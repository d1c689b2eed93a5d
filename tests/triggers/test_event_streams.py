"""Watchers in Airflow's own shared streams (3.3+): one poll, and a cursor that follows what the database has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.triggers.event_stage import AssetStore, Elsewhere, Watching, until, watcher

streams = pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow 3.3 has shared streams")


@pytest.fixture
def elsewhere(sandbox) -> Elsewhere:
    """Somebody who starts executions that take a moment."""
    sandbox.settings("stevesie", running_seconds=0.05)
    return Elsewhere(sandbox)


class Triggerer:
    """What the triggerer does with watchers; ``stored`` says whether its database takes events."""

    def __init__(self) -> None:
        self.manager = streams.SharedStreamManager()
        self.waiting: list[int] = []
        self.stored = True
        self.watchers: list[tuple[int, Any, Watching]] = []

    def run(self, trigger: Any) -> Watching:
        """Run a watcher."""
        number, key = len(self.watchers), trigger.shared_stream_key()
        stream = trigger.filter_shared_stream(self.manager.subscribe(trigger_id=number, trigger=trigger, key=key))
        self.watchers.append((number, key, Watching(trigger, self._taken(number, key, stream))))
        return self.watchers[-1][2]

    async def _taken(self, number: int, key: Any, stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for event in stream:
            seq = self.manager.bind_pending_event(trigger_id=number, key=key)
            assert seq is not None, "an event that is bound to no page would never be confirmed"
            self.waiting.append(seq)
            yield event
            self.confirm()

    def confirm(self) -> None:
        """Tell the watchers that their events are in the database."""
        if self.stored:
            self.manager.confirm_persisted(self.waiting)
            self.waiting.clear()

    async def stop(self) -> None:
        """End all of it."""
        for number, key, watch in self.watchers:
            await watch.stop()
            await self.manager.unsubscribe(number, key)
        await self.manager.stop_all()


@pytest.fixture
async def triggerer() -> AsyncIterator[Triggerer]:
    """A triggerer, ended with the test."""
    running = Triggerer()
    yield running
    await running.stop()


async def written(store: AssetStore, times: int) -> None:
    """Wait until a cursor has been written so many times."""
    await until(lambda: store.writes >= times)


async def test_twenty_watchers_share_one_poll(elsewhere, triggerer):
    """They are those of twenty assets, with states of their own."""
    states = (["succeeded"], ["succeeded", "failed"])
    watchers = [triggerer.run(watcher(AssetStore(), states=states[place % 2])) for place in range(20)]
    await elsewhere.listed()
    assert len(triggerer.manager._groups) == 1
    run = elsewhere.start()
    for watch in watchers:
        assert await watch.has(1) == [run]
    looks = [one for one in elsewhere.sandbox.requests("stevesie") if one["path"].endswith(f"/executions/{run}")]
    assert len(looks) == 1


async def test_the_cursor_is_written_when_airflow_has_stored_the_events(elsewhere, triggerer):
    """And not before: a triggerer that is killed in between fires again instead of never."""
    store = AssetStore()
    watch = triggerer.run(watcher(store))
    await written(store, 1)  # the beginning
    triggerer.stored = False
    run = elsewhere.start()
    assert await watch.has(1) == [run]
    await elsewhere.listed(5)
    assert store.writes == 1
    triggerer.stored = True
    triggerer.confirm()
    await written(store, 2)
    await triggerer.stop()
    again = Triggerer()
    watch = again.run(watcher(store))
    await elsewhere.listed(3)
    await again.stop()
    assert watch.ids == []


async def test_a_triggerer_that_is_killed_before_that_fires_again(elsewhere, triggerer):
    store = AssetStore()
    watch = triggerer.run(watcher(store))
    await written(store, 1)
    triggerer.stored = False
    run = elsewhere.start()
    assert await watch.has(1) == [run]
    await triggerer.stop()
    again = Triggerer()
    watch = again.run(watcher(store))
    assert await watch.has(1) == [run]
    await again.stop()


async def test_a_watcher_that_joins_later_has_a_beginning_of_its_own(elsewhere, triggerer):
    triggerer.run(watcher(AssetStore()))
    await elsewhere.listed()
    early = elsewhere.start()
    await elsewhere.ended(early)
    joined = triggerer.run(watcher(AssetStore(), states=["succeeded", "failed"]))
    await elsewhere.listed(3)
    late = elsewhere.start()
    assert await joined.has(1) == [late]


async def test_an_airflow_that_asks_for_no_producer_gets_the_pages_too(elsewhere):
    store, trigger = AssetStore(), watcher()
    trigger.asset_state_store = store
    pages = trigger.open_shared_stream(trigger.serialize()[1])
    watch = Watching(trigger, trigger.filter_shared_stream(pages))
    await elsewhere.listed()
    run = elsewhere.start()
    assert await watch.has(1) == [run]
    await written(store, 2)
    await watch.stop()

"""One watcher and its pages: what it asks of the next one, and when it gives a run up."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_workflow_provider.client.list_poller import Page
from airflow_workflow_provider.exceptions import ServerUnavailable, WorkflowNotFound
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.triggers.event_feed import Source
from airflow_workflow_provider.triggers.event_watch import LOOKS, STALL, UNKNOWN, Watch
from tests.triggers.event_stage import AssetStore

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = Source("stevesie", "c", "w", 1.0)


class Asked:
    """Where pages come from, as far as a watcher asks it for something."""

    def __init__(self, **failures: Exception) -> None:
        self.failures = failures
        self.for_all = 0
        self.looks: list[str] = []

    def ask_for_all(self) -> None:
        """Count the wish for a whole page."""
        self.for_all += 1

    async def look(self, run: Run) -> Run:
        """Give the run as it is, or fail."""
        self.looks.append(run.run_id)
        if run.run_id in self.failures:
            raise self.failures[run.run_id]
        return replace(run, message="looked at")

    def page(self, *runs: Run, whole: bool = True) -> Page:
        """Make a page."""
        return Page(list(runs), whole, self, 1)  # type: ignore[arg-type]  # a watcher needs no more of it


def run(name: str, hours: float, state: RunState = RunState.SUCCEEDED) -> Run:
    """A run that started so many hours after the beginning, and took a minute."""
    started = BEGAN + timedelta(hours=hours)
    ended = started + timedelta(minutes=1) if state.is_terminal else None
    return Run("stevesie", "c", "w", name, state, started_at=started, ended_at=ended)


async def watch(store: Any = None, **more: Any) -> Watch:
    """A watcher that has read its cursor."""
    made = Watch(SOURCE, **{"states": ["succeeded"], "since": None, "store": store, **more})
    await made.load()
    return made


async def fired(watcher: Watch, page: Page) -> list[str]:
    """What a page makes it fire for."""
    found = [one.run_id async for one in watcher.runs(page)]
    if write := watcher.keeper():
        await write()
    return found


@pytest.mark.parametrize("known", [False, True])
async def test_a_watcher_begins_with_a_whole_page(known):
    """Also one that knows where it was: what ended meanwhile may have started long ago."""
    store, feed = AssetStore(), Asked()
    if known:
        await fired(await watch(store), feed.page())
    begun = await watch(store)
    assert await fired(begun, feed.page(run("a", 9), whole=False)) == []
    assert feed.for_all == 1
    assert await fired(begun, feed.page(run("long ago", 1), run("a", 9))) == (["long ago", "a"] if known else [])


async def test_a_run_that_cannot_be_looked_at_is_asked_for_again(caplog):
    feed = Asked(a=ServerUnavailable("gone for a moment"))
    watcher = await watch()
    await fired(watcher, feed.page())
    page = feed.page(run("a", 1), run("b", 2))
    assert await fired(watcher, page) == ["b"]
    assert feed.for_all == 1, "the next page must not leave it out"
    assert await fired(watcher, page) == []
    assert caplog.text.count("The final state of run a is not known yet") == 1
    feed.failures.clear()
    assert await fired(watcher, page) == ["a"]
    assert feed.for_all == 2


async def test_a_run_that_has_ended_and_is_gone_is_given_up(caplog):
    feed = Asked(a=WorkflowNotFound("no such run"))
    watcher = await watch()
    await fired(watcher, feed.page())
    for _ in range(UNKNOWN + 2):
        assert await fired(watcher, feed.page(run("a", 1))) == []
    assert feed.looks == ["a"] * UNKNOWN
    assert "Run a has ended and is gone, no event fires for it" in caplog.text


async def test_after_a_long_absence_the_runs_come_in_portions_in_the_order_of_their_ends(caplog):
    caplog.set_level(logging.INFO)
    feed, watcher = Asked(), await watch()
    await fired(watcher, feed.page())
    runs = [run(f"{number:04d}", number) for number in range(LOOKS + 50)]
    page = feed.page(*reversed(runs))
    first, second, third = [await fired(watcher, page) for _ in range(3)]
    assert [*first, *second] == [one.run_id for one in runs]
    assert len(first) == LOOKS
    assert third == []
    assert feed.for_all == 1


async def test_the_cursor_is_there_before_anything_fires():
    """A triggerer that is killed at once must not forget when the watch began."""
    store, feed = AssetStore(), Asked()
    watcher = await watch(store, since=BEGAN)
    stream = watcher.runs(feed.page(run("a", 1)))
    assert (await anext(stream)).run_id == "a"
    await stream.aclose()
    assert store.writes == 1
    assert await fired(await watch(store, since=BEGAN), feed.page(run("a", 1))) == ["a"]


async def test_nothing_is_written_while_nothing_changes():
    store, feed = AssetStore(), Asked()
    watcher = await watch(store)
    for _ in range(3):
        await fired(watcher, feed.page(run("a", 1), run("b", 2, RunState.RUNNING)))
    assert store.writes == 1
    await fired(watcher, feed.page(run("a", 1), run("b", 2)))
    assert store.writes == 2
    again = await watch(store)
    await fired(again, feed.page(run("a", 1), run("b", 2)))
    assert store.writes == 2


async def test_after_a_stall_the_cursor_is_read_again():
    """Another triggerer has taken over meanwhile and fired; its events are not repeated."""
    store, now = AssetStore(), [0.0]
    stalled = await watch(store, clock=lambda: now[0])
    other = await watch(store)
    page = Asked().page(run("old", 0))
    assert await fired(stalled, page) == []
    await other.load()
    later = Asked().page(run("old", 0), run("one", 1), run("two", 2))
    now[0] += STALL + 1
    assert await fired(other, later) == ["one", "two"]
    assert await fired(stalled, later) == []
    newest_page = Asked().page(run("old", 0), run("one", 1), run("two", 2), run("three", 3))
    assert await fired(stalled, newest_page) == ["three"]


async def test_a_stall_between_two_events_is_noticed_too():
    """The page was read before the stall, and some of its runs have fired."""
    store, now = AssetStore(), [0.0]
    stalled = await watch(store, clock=lambda: now[0])
    await fired(stalled, Asked().page(run("old", 0)))
    other = await watch(store)
    page = Asked().page(run("old", 0), run("one", 1), run("two", 2))
    found = []
    async for one in stalled.runs(page):
        found.append(one.run_id)
        if found == ["one"]:
            now[0] += STALL + 1
            assert await fired(other, page) == ["one", "two"]
    assert found == ["one"]

"""What one watcher has dealt with, and what it fires for next."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from airflow_workflow_provider.client.start_throttle import clock, pause
from airflow_workflow_provider.exceptions import WorkflowError, WorkflowNotFound
from airflow_workflow_provider.hooks.supervisor import ask
from airflow_workflow_provider.protocol.cursor import Cursor, newest
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.retry import Retry
from airflow_workflow_provider.triggers.event_feed import Source

if TYPE_CHECKING:
    from airflow_workflow_provider.client.list_poller import Feed, Page

log = logging.getLogger(__name__)
AT_ONCE = 8  # runs that are looked at together
STALL = 30.0  # seconds; Airflow gives the triggers of a triggerer that is silent for so long to another one
LOOKS = 200  # runs that are looked at for one page; the others are for the next one
UNKNOWN = 5  # times that an ended run may be unknown when it is looked at, before it is given up
STORE_DOWN = Retry(base=1.0, cap=30.0)


class Watch:
    """Compares each page with a cursor, and keeps the cursor where Airflow has a store for it.

    :param source: what is listed.
    :param states: the ends that fire.
    :param since: runs that ended before the watch began fire if they ended (or, where the list does not tell that,
        started) at this moment or later; None for none of them.
    :param store: Airflow's asset state store (3.3+), or None.
    """

    def __init__(
        self,
        source: Source,
        states: Iterable[str],
        since: datetime | None,
        store: Any,
        clock: Callable[[], float] = clock,
    ) -> None:
        self._clock = clock
        self._awake_at: float | None = None
        self.source, self.states, self.since = source, frozenset(states), since
        self.key = f"workflow-runs:{source.system}:{_digest(source, self.states, since)}"
        self._accessors = accessors(store)
        self._cursor: Cursor | None = None
        self._kept: int | None = None  # the count of the cursor that every store has
        self._unknown: dict[str, int] = {}
        self._unclear: set[str] = set()
        self._first = True

    async def load(self) -> None:
        """Read the cursor. While the store fails nothing fires: without it, runs would be lost."""
        failures = 0
        while self._accessors:
            try:
                found = [await _call(store, "get", self.key) for store in self._accessors]
            except Exception as error:  # noqa: BLE001  # whatever it is, it must not end the watcher
                failures += 1
                if failures == 1:
                    log.warning("The cursor for %s cannot be read, it is tried again: %s", self.source, error)
                await pause(STORE_DOWN.delay(failures))
            else:
                cursors = [Cursor.from_json(value) for value in found]
                self._cursor = newest([*cursors, self._cursor])
                if self._cursor and all(cursor and cursor.count == self._cursor.count for cursor in cursors):
                    self._kept = self._cursor.count
                return

    async def runs(self, page: Page) -> AsyncIterator[Run]:
        """Give each run of the page that has newly ended in one of the states.

        A run counts as dealt with when the next one is asked for; `kept` is for the caller to write then.
        """
        if self._first and not page.whole:
            page.feed.ask_for_all()  # a run that has ended since then may have started long ago
            return
        self._first = False
        await self._catch_up()
        cursor = self._cursor or await self._begin(page)
        waiting = [run for run in page.runs if run.state.is_terminal and not cursor.is_settled(run)]
        ended = sorted(waiting, key=_ended_at)[:LOOKS]
        for start in range(0, len(ended), AT_ONCE):
            looked = await asyncio.gather(*(self._looked(page.feed, run) for run in ended[start : start + AT_ONCE]))
            for run in sorted((run for run in looked if run), key=_ended_at):
                await self._catch_up()
                cursor = self._cursor or cursor
                if cursor.is_settled(run):
                    continue
                if run.state.value in self.states:
                    yield run
                cursor.settle(run)
        if not all(cursor.is_settled(run) for run in waiting):
            page.feed.ask_for_all()  # the next page may leave out what is still to be looked at
        cursor.tidy(page.runs)

    async def _catch_up(self) -> None:
        """Read the cursor again after a stall: another triggerer may have taken over and fired since then."""
        now, last = self._clock(), self._awake_at
        self._awake_at = now
        if self._accessors and self._cursor and last is not None and now - last > STALL:
            await self.load()

    def keeper(self) -> Callable[[], Awaitable[None]] | None:
        """Give what writes the cursor as it is now; None if the store has it already."""
        if not self._accessors or self._cursor is None:
            return None
        if self._cursor.count == self._kept:
            return None
        return partial(self._keep, self._cursor.to_json())

    async def _begin(self, page: Page) -> Cursor:
        """Take what has ended before as settled, and write that down before anything fires."""
        cursor = self._cursor = Cursor()
        for run in page.runs:
            moment = run.ended_at or run.started_at
            wanted = self.since is not None and moment is not None and moment >= self.since
            if run.state.is_terminal and not wanted:
                cursor.settle(run)
        cursor.tidy(page.runs)
        if write := self.keeper():
            await write()
        log.info("Watching %s; %d runs that had ended before do not fire", self.source, cursor.count)
        return cursor

    async def _looked(self, feed: Feed, run: Run) -> Run | None:
        """Look at a run that the list shows as ended; None if it cannot be told now how it ended."""
        try:
            seen = await feed.look(run)
        except WorkflowNotFound as error:
            self._unknown[run.run_id] = self._unknown.get(run.run_id, 0) + 1
            if self._unknown[run.run_id] >= UNKNOWN and self._cursor:
                del self._unknown[run.run_id]
                self._cursor.settle(run)
                log.warning("Run %s has ended and is gone, no event fires for it: %s", run.run_id, error)
            return None
        except WorkflowError as error:
            if run.run_id not in self._unclear:
                self._unclear.add(run.run_id)
                log.warning("The final state of run %s is not known yet, it is polled again: %s", run.run_id, error)
            return None
        self._unclear.discard(run.run_id)
        return seen if seen.state.is_terminal else None

    async def _keep(self, value: dict[str, Any]) -> None:
        stored = {**value, "watches": f"{self.source}, {', '.join(sorted(self.states))}"}
        try:
            for store in self._accessors:
                await _call(store, "set", self.key, stored)
        except Exception as error:  # noqa: BLE001  # the next change writes all of it again
            log.warning("The cursor for %s was not written; after a restart its events may repeat: %s", self.key, error)
        else:
            self._kept = value["count"]


def accessors(store: Any) -> list[Any]:
    """Give the stores of the assets that share a watcher; one of several assets wants to be named."""
    if store is None:
        return []
    # There is no public way to ask which assets there are.
    named = [*getattr(store, "_by_name", {}).values(), *getattr(store, "_by_uri", {}).values()]
    return named if len(named) > 1 else [store]


async def _call(store: Any, name: str, *arguments: Any) -> Any:
    """Call the store: its coroutine where it has one (3.3.2+), else its method by `sync_to_async`."""
    call = getattr(store, f"a{name}", None)
    if call is not None:
        return await ask(lambda: call(*arguments))
    return await ask(lambda: sync_to_async(getattr(store, name))(*arguments))


def _ended_at(run: Run) -> float:
    moment = run.ended_at or run.started_at
    return moment.timestamp() if moment else 0.0


def _digest(source: Source, states: frozenset[str], since: datetime | None) -> str:
    """Tell watchers of one asset apart. The interval is no part of it: it may be changed."""
    parts = [source.system, source.conn_id, source.workflow, *sorted(states), str(since)]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()

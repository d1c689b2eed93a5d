"""Lists the runs of a workflow once an interval, for all who watch it in one process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from airflow_workflow_provider.client.pool import Load, Member, retire, shared_client
from airflow_workflow_provider.client.start_throttle import clock, pause
from airflow_workflow_provider.exceptions import ServerUnavailable, WorkflowError, WorkflowNotFound
from airflow_workflow_provider.protocol.cursor import OVERLAP
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.policy import Ends, treatment
from airflow_workflow_provider.protocol.system import WorkflowSystem

FEW = 100  # runs; a list of so many is asked for as a whole every time
AT_ONCE = 8  # runs that are looked at together
MISSING = 20  # runs that are asked for alone in one interval, since the list shows them no more
REMEMBERED = 5_000  # runs that have been looked at, for the watchers that ask later
FRESH = 900.0  # seconds after which the connection and the name of a workflow are read again


class Source(Protocol):
    """What is listed: a workflow of a connection, every so many seconds."""

    @property
    def key(self) -> tuple[str, str]:
        """System and connection."""

    @property
    def workflow(self) -> str:
        """The workflow's id or name."""

    @property
    def interval(self) -> float | None:
        """Seconds between two list calls; None stands for the usual ones."""


class FailureLog(Protocol):
    """Logs failures, and says how long to wait after each."""

    def failed(self, error: Exception) -> float:
        """Give the seconds to wait."""

    def over(self) -> None:
        """It works again."""


@dataclass
class Page:
    """What one list call has shown; ``whole`` if no older run was left out. The ``number`` counts them.

    ``kept`` gathers what is to be done when Airflow has stored all events of this page; None where it never says so.
    """

    runs: list[Run]
    whole: bool
    feed: Feed
    number: int
    kept: list[Callable[[], Awaitable[None]]] | None = None


class Feed:
    """Lists the runs of one workflow and gives the pages to all who wait for the next one.

    It never ends by itself: each kind of failure is logged once, and the list is asked for again. ``load`` makes the
    client, ``failures`` logs.
    """

    def __init__(self, source: Source, load: Load, failures: FailureLog) -> None:
        self.source, self._load, self._failures = source, load, failures
        self.users = 0
        self.behind: set[object] = set()  # watchers that have missed a page, and want a whole one
        self._all = True
        self.latest: Page | None = None
        self._next: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
        self._member: Member | None = None
        self._going: dict[str, Run] = {}
        self._newest: datetime | None = None
        self._looks: OrderedDict[str, asyncio.Task[Run]] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to list."""
        self._task = asyncio.get_running_loop().create_task(self._poll())
        self._task.add_done_callback(self._over)

    async def stop(self) -> None:
        """End the list calls and the looks under way."""
        tasks = [task for task in (self._task, *self._looks.values()) if task and not task.done()]
        self._next.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ask_for_all(self) -> None:
        """Let the next page be a whole one, for a watcher that joins."""
        self._all = True

    async def next_page(self) -> Page:
        """Wait for the next page."""
        return await asyncio.shield(self._next)

    async def look(self, run: Run) -> Run:
        """Look at one run alone, once for all watchers; raises as the system does."""
        known = self._looks.get(run.run_id)
        if known is None or (known.done() and not _ended(known)):
            if self._member is None:
                raise ServerUnavailable(f"{self.source}: the connection is closed at the moment")
            flow = self._member.system.look(run)
            known = asyncio.get_running_loop().create_task(self._member.client.run(flow))
            self._looks[run.run_id] = known
            known.add_done_callback(_seen)
        self._looks.move_to_end(run.run_id)
        while len(self._looks) > REMEMBERED:
            self._looks.popitem(last=False)
        return await asyncio.shield(known)

    def _over(self, task: asyncio.Task[None]) -> None:
        """Pass an unexpected end on, so that Airflow starts the watchers again."""
        if not self._next.done():
            self._next.set_exception(RuntimeError(f"the list calls for {self.source} have ended: {task!r}"))

    async def _poll(self) -> None:
        while True:
            try:
                await self._visit()
            except Exception as error:  # noqa: BLE001  # a watcher cannot fail visibly: it goes on, whatever it was
                if isinstance(error, WorkflowError) and treatment(error).ends is Ends.TASK:
                    retire(self.source.key)  # the connection may be corrected by now
                await pause(self._failures.failed(error))

    async def _visit(self) -> None:
        """List with one client, until it is time to read the connection again."""
        async with shared_client(self.source.key, self._load) as member:
            self._member, until = member, clock() + FRESH
            try:
                workflow = await member.client.run(member.system.resolved(self.source.workflow))
                while clock() < until:
                    self._publish(await self._page(member, workflow))
                    await pause(self.source.interval or WorkflowSystem.poll_interval)
            finally:
                self._member = None  # before the client is closed: no poll may begin with it then

    async def _page(self, member: Member, workflow: str) -> Page:
        since = None if self._all or self.behind else self._floor()
        self._all = False
        try:
            runs = await member.client.run(member.system.list_runs(workflow, since))
        except BaseException:
            self._all = self._all or since is None
            raise
        runs = await self._completed(runs)
        self._going = {run.run_id: run for run in runs if not run.state.is_terminal}
        if since is None:
            self._all = len(runs) <= FEW
        self._newest = max((run.started_at for run in runs if run.started_at), default=None)
        number = self.latest.number + 1 if self.latest else 1
        return Page(runs, since is None, self, number)

    async def _completed(self, listed: list[Run]) -> list[Run]:
        """Look at runs that the list shows with their id only, and at those that it shows no more."""
        shown = {run.run_id for run in listed}
        lost = [run for run in self._going.values() if run.run_id not in shown]
        bare = {run.run_id: run for run in listed if run.started_at is None and not run.state.is_terminal}
        asked = [*bare.values(), *lost[:MISSING]]
        seen: dict[str, Run | None] = {}
        for start in range(0, len(asked), AT_ONCE):
            part = asked[start : start + AT_ONCE]
            found = await asyncio.gather(*(self._alone(run, strict=run.run_id in bare) for run in part))
            seen |= {run.run_id: one for run, one in zip(part, found, strict=True)}
        whole = [seen.get(run.run_id, run) for run in (*listed, *lost)]
        return [run for run in whole if run]

    def _floor(self) -> datetime | None:
        """Give the start from which on runs are of interest; None for all."""
        times = [run.started_at for run in self._going.values()]
        if self._newest is None or None in times:
            return None
        return min([self._newest - timedelta(seconds=OVERLAP), *(time for time in times if time)])

    async def _alone(self, run: Run, *, strict: bool) -> Run | None:
        """Look at a run of which the list tells too little; None if it is gone.

        A ``strict`` look that fails fails the page: a run that ended long ago must not be taken for a going one.
        """
        try:
            return await self.look(run)
        except WorkflowNotFound:
            return None
        except WorkflowError:
            if strict:
                raise
            return run

    def _publish(self, page: Page) -> None:
        self._failures.over()
        self.latest = page
        waiting, self._next = self._next, asyncio.get_running_loop().create_future()
        if not waiting.done():
            waiting.set_result(page)


def _ended(task: asyncio.Task[Run]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result().state.is_terminal


def _seen(task: asyncio.Task[Run]) -> None:
    if not task.cancelled():
        task.exception()  # marks it as seen when every watcher has gone

"""Asks for a list of runs once an interval, for all in one process who need it. It has two uses.

`ListPollers` serve tasks that wait for their runs. Fewer than `LEAST` waiting runs are polled one by one. From that
number on one list call an interval answers for all: a run that the list shows as going stays asleep, and a run that it
shows as over is woken and polled by itself. A run that the list does not show is polled by itself, too, and from the
second time on for good. A list that the server refuses is not asked for again; one that fails is tried again. However a
list call ends, every run that is not known to be going is polled by itself.

A `Feed` serves the watchers of a workflow: each page goes to all of them, and a list that fails is tried again always.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from airflow_workflow_provider.client.start_throttle import clock, pause, wake
from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidConnection,
    NotSupported,
    PermissionDenied,
    RequestRejected,
    ServerUnavailable,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.cursor import OVERLAP
from airflow_workflow_provider.protocol.effects import Flow, Rest, RunList, Shown, T
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.policy import Ends, treatment
from airflow_workflow_provider.protocol.retry import Retry
from airflow_workflow_provider.protocol.system import WorkflowSystem

LEAST = 3  # waiters from which on a list call is worth it
ROWS = 20  # rows that cost as much as one request; a list longer than this for each waiter is not worth it
GATHER = 0.05  # seconds in which those who come together are gathered for their first list call
EARLY = 0.25  # of an interval: how soon after a list call newcomers may have another
MOST = 1000  # list pollers that are kept although no run waits in them
MISSES = 2  # lists in a row that do not show a run, after which it is asked for alone
FAILURES = 2  # list calls in a row that fail, after which everybody looks alone
STRIKES = 3  # times that this happened although looking alone went well; then the list is given up
BACK_OFF = Retry(base=1.0, cap=60.0)
REFUSED = (PermissionDenied, WorkflowNotFound, RequestRejected, NotSupported)
NO_SUCH_CALL = 501
FEW = 100  # runs; a list of so many is asked for as a whole every time
AT_ONCE = 8  # runs that are looked at together
MISSING = 20  # runs that are asked for alone in one interval, since the list shows them no more
REMEMBERED = 5_000  # runs that have been looked at, for the watchers that ask later
FRESH = 900.0  # seconds after which the connection and the name of a workflow are read again
Timer = asyncio.TimerHandle | None


@dataclass
class Meter:
    """Counts of the triggerer's clients since the start, but for ``waiters``, which is how many wait now."""

    polls: int = 0
    retries: int = 0
    requests_saved: int = 0
    waiters: int = 0


class ListPoller:
    """The waits of one client for runs that one list call shows; ``watchers`` counts them all."""

    def __init__(
        self,
        run_list: RunList,
        drive: Callable[[Flow[Shown]], Coroutine[Any, Any, Shown]],
        note: Callable[[str], None],
        meter: Meter,
        watchers: Callable[[], int],
    ) -> None:
        self._run_list, self._drive, self._note, self._meter, self._watchers = run_list, drive, note, meter, watchers
        self._parked: dict[str, list[tuple[asyncio.Future[None], float]]] = {}  # with the interval that each wants
        self._misses: dict[str, int] = {}
        self._least, self._failures, self._strikes, self._blind = LEAST, 0, 0, 0
        self._asked_at, self._due = float("-inf"), float("inf")
        self._timer: Timer = None
        self._asking: asyncio.Task[None] | None = None
        self.is_refused = False

    @property
    def is_idle(self) -> bool:
        """True when no run waits here."""
        return not (self._parked or self._asking)

    def takes(self, rest: Rest) -> bool:
        """Tell whether this one is to wait here, or for itself."""
        shared = not self.is_refused and self._misses.get(rest.run_id, 0) < MISSES
        return shared and self._watchers() >= self._least

    def close(self) -> None:
        """Ask no more."""
        self._due = float("inf")
        if self._timer:
            self._timer.cancel()
            self._timer = None
        # Forgotten at once: a run that comes before the task has noticed must be able to ask again.
        asking, self._asking = self._asking, None
        if asking:
            asking.cancel()

    async def park(self, rest: Rest) -> None:
        """Wait until a list call does not show the run as going, or for as long as nothing may prolong."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        place = (future, rest.interval)
        self._parked.setdefault(rest.run_id, []).append(place)
        limit = None if rest.longest is None else loop.call_later(rest.longest, wake, future)
        is_new = rest.seconds <= 0
        soon = loop.time() + (GATHER if is_new else rest.seconds)
        self._ask_at(max(soon, self._asked_at + rest.interval * (EARLY if is_new else 1.0)))
        try:
            await future
        finally:
            if limit:
                limit.cancel()
            self._leave(rest.run_id, place)

    def _leave(self, run_id: str, place: tuple[asyncio.Future[None], float]) -> None:
        places = self._parked.get(run_id, [])
        if place in places:
            places.remove(place)
            if not places:
                del self._parked[run_id]
        if not self._parked:
            self.close()

    def _ask_at(self, moment: float) -> None:
        """See to it that the list is asked for at this moment of the loop's clock, if not earlier."""
        if moment >= self._due or self._asking:
            return
        if self._timer:
            self._timer.cancel()
        self._due = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._ask)

    def _ask(self) -> None:
        self._timer, self._due = None, float("inf")
        if self._watchers() < self._least:
            self._release(list(self._parked))
        elif self._parked:
            self._asking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """Ask for the list once, and wake the runs that it does not show as going."""
        loop = asyncio.get_running_loop()
        wanted = set(self._parked)
        self._asked_at = loop.time()
        wait = GATHER
        interval = min(wanted_interval for places in self._parked.values() for _, wanted_interval in places)
        try:
            shown = await self._drive(self._run_list.ask(wanted))
        except WorkflowError as error:
            wait = self._failed(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the runs that wait must not be lost
            self._give_up(f"{type(error).__name__}: {error}")
        else:
            self._take(wanted, shown)
        finally:
            if self._asking is asyncio.current_task():
                self._asking = None
        if self._parked:
            self._ask_at(max(self._asked_at + interval, loop.time() + wait))

    def _take(self, wanted: set[str], shown: Shown) -> None:
        self._failures = self._strikes = 0
        self._meter.requests_saved += max(0, len(shown.going) - shown.requests)
        for run_id in wanted:
            if run_id in shown.going:
                self._misses.pop(run_id, None)
                continue
            if run_id not in shown.over:
                self._misses[run_id] = self._misses.get(run_id, 0) + 1
            self._release([run_id])
        self._misses = self._misses if len(self._misses) < 10 * len(wanted) + 1000 else {}
        self._blind = 0 if shown.going or shown.over or not shown.is_whole else self._blind + 1
        if self._blind >= MISSES:
            self._give_up("it shows none of the runs that are waited for")
        self._least = max(LEAST, shown.rows // ROWS)

    def _failed(self, error: WorkflowError) -> float:
        """Count a failed list call; gives the seconds from now to wait at least before the next."""
        asked_for = getattr(error, "retry_after", None)
        if isinstance(error, REFUSED) or error.status == NO_SUCH_CALL:
            self._give_up(str(error))
        elif isinstance(error, (AuthenticationFailed, InvalidConnection)):
            self._release(list(self._parked))  # each wait counts refused credentials by itself
        elif error.status is not None or asked_for is None:  # else nothing was sent: the server has asked for a pause
            self._failures += 1
            if self._failures >= FAILURES:
                self._failures, self._strikes = 0, self._strikes + 1
                self._release(list(self._parked))
            if self._strikes >= STRIKES:
                self._give_up(str(error))
        asked_for = None if asked_for is None else min(asked_for, BACK_OFF.longest)
        return max(GATHER, BACK_OFF.delay(self._failures, asked_for))

    def _give_up(self, reason: str) -> None:
        if not self.is_refused:
            self.is_refused = True
            self._note(f"Runs are polled one by one from now on, because their list cannot be used: {reason}")
        self._release(list(self._parked))

    def _release(self, run_ids: list[str]) -> None:
        for run_id in run_ids:
            for future, _ in self._parked.pop(run_id, ()):
                wake(future)


class ListPollers:
    """The pollers of one client, by workflow, and how many watch runs of it, together or alone."""

    def __init__(
        self,
        drive: Callable[[Flow[Shown]], Coroutine[Any, Any, Shown]],
        note: Callable[[str], None],
        meter: Meter,
    ) -> None:
        self._drive, self._note, self._meter = drive, note, meter
        self._watchers: dict[str, int] = {}
        self._pollers: dict[str, ListPoller] = {}

    @property
    def is_idle(self) -> bool:
        """True when no run is watched, and no list is being asked for."""
        return not self._watchers and all(poller.is_idle for poller in self._pollers.values())

    def join(self, workflow: str) -> None:
        """Count one more who watches a run of this workflow."""
        self._watchers[workflow] = self._watchers.get(workflow, 0) + 1

    def leave(self, workflow: str) -> None:
        """Count one less."""
        self._watchers[workflow] -= 1
        if not self._watchers[workflow]:
            del self._watchers[workflow]

    def taking(self, rest: Rest) -> ListPoller | None:
        """Give the poller in which this one is to wait; None if it is to wait for itself."""
        poller = self._pollers.get(rest.run_list.workflow)
        if poller is None and self._watchers[rest.run_list.workflow] >= LEAST:
            poller = self._made(rest.run_list)
        return poller if poller is not None and poller.takes(rest) else None

    def close(self) -> None:
        """Ask for no list any more."""
        for poller in self._pollers.values():
            poller.close()

    def _made(self, run_list: RunList) -> ListPoller:
        if len(self._pollers) >= MOST:  # what they know of their lists is found out again
            self._pollers = {workflow: poller for workflow, poller in self._pollers.items() if not poller.is_idle}
        watchers, workflow = self._watchers, run_list.workflow
        poller = ListPoller(run_list, self._drive, self._note, self._meter, lambda: watchers.get(workflow, 0))
        self._pollers[workflow] = poller
        return poller


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


class Client(Protocol):
    """A client that drives flows in an event loop."""

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end and give its value."""


class Member(Protocol):
    """A system, and the client that its flows run in."""

    @property
    def system(self) -> WorkflowSystem:
        """The system."""

    @property
    def client(self) -> Client:
        """The client."""


Opened = AbstractAsyncContextManager[Member, bool | None]


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

    It never ends by itself: each kind of failure is logged once, and the list is asked for again.

    :param opened: gives the system and the open client that its flows run in, for as long as a block lasts.
    :param retire: lets the next block read the connection again.
    :param log: logs failures.
    """

    def __init__(
        self, source: Source, opened: Callable[[], Opened], retire: Callable[[], None], log: FailureLog
    ) -> None:
        self.source, self._opened, self._retire, self._failures = source, opened, retire, log
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
                    self._retire()  # the connection may be corrected by now
                await pause(self._failures.failed(error))

    async def _visit(self) -> None:
        """List with one client, until it is time to read the connection again."""
        async with self._opened() as member:
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

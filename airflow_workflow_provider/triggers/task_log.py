"""The log of a run in the log of a deferred task: turns for reading, and an XCom that survives the triggerer.

A triggerer that starts again knows only a trigger's keywords. So the state of the log is kept in an XCom of the task
instance: it is written when the new lines of the log are written, some milliseconds later. A triggerer that is killed
within these milliseconds repeats these lines.

Airflow 3 closes the log of a trigger when it receives the trigger's event. Lines of it that are still unread in the
socket of the logs then do not reach the task's log. So a trigger that has written shortly before its event waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from math import floor
from typing import Any
from weakref import WeakKeyDictionary

from airflow_workflow_provider.exceptions import ServerUnavailable, WorkflowError
from airflow_workflow_provider.hooks.supervisor import ask
from airflow_workflow_provider.protocol.effects import Call, Flow, Now, Sleep, T, intercept
from airflow_workflow_provider.protocol.follow_log import (
    LogFollower,
    LogState,
    LogTurn,
    RecallLog,
    WriteLog,
    write_lines,
)
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import shown

KEY = "_workflow_log"
TURNS = 10  # logs that a triggerer reads within a second
FULL = (1 << TURNS) - 1
XCOM_TIMEOUT = 20.0  # seconds that Airflow may take to read or write an XCom
REMEMBERED = 2_000  # seconds whose turns are remembered, most of them long over
# Airflow reads 4096 bytes of the logs of all triggers between two looks at its database; the socket holds some 200 kB.
READ_RATE = 40_000.0  # bytes a second that it reads on a machine with a high load
READ_DELAY = 0.5  # seconds before it reads
LONGEST_READ = 6.0  # seconds until it has read a full socket
RECORD = 250  # bytes of a log record besides its text
log = logging.getLogger(__name__)


class Unread:
    """Estimates when Airflow has read the lines that the triggers of one event loop have written."""

    def __init__(self) -> None:
        self._until = 0.0

    def written(self, size: int, now: float) -> float:
        """Add so many bytes; give the moment at which they are read (seconds since 1970)."""
        start = min(max(self._until, now), now + LONGEST_READ)
        self._until = start + size / READ_RATE
        return min(self._until + READ_DELAY, now + LONGEST_READ)


class Turns:
    """Moments at which logs are read: ten a second, one for each."""

    def __init__(self) -> None:
        self._taken: dict[int, int] = {}  # turns of a second that are taken, a bit for each
        self._next: dict[int, int] = {}  # of a second that is full: one that may have a turn

    def take(self, due: float) -> float:
        """Give the first free moment from ``due`` on (seconds since 1970)."""
        second = floor(due)
        free = self._first_free(second, floor((due - second) * TURNS))
        if free is None:
            second = self._with_a_turn(second + 1)
            free = self._first_free(second, 0) or 0
        taken = self._taken[second] = self._taken.get(second, 0) | 1 << free
        if taken == FULL:
            self._next[second] = second + 1
        if len(self._taken) > REMEMBERED:
            self._taken, self._next = (
                {one: value for one, value in known.items() if one > second - REMEMBERED // 2}
                for known in (self._taken, self._next)
            )
        return max(due, second + free / TURNS)

    def _first_free(self, second: int, start: int) -> int | None:
        taken = self._taken.get(second, 0)
        return next((turn for turn in range(start, TURNS) if not taken >> turn & 1), None)

    def _with_a_turn(self, second: int) -> int:
        passed = []
        while second in self._next:
            passed.append(second)
            second = self._next[second]
        for one in passed:
            self._next[one] = second
        return second


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()
_unread: WeakKeyDictionary[asyncio.AbstractEventLoop, Unread] = WeakKeyDictionary()


class TaskLog:
    """Writes the log of a run into the log of one deferred task, as `FollowsLog` has it."""

    __slots__ = ("_read_at", "_trigger", "follower")

    def __init__(self, trigger: Any, given: Mapping[str, Any], run: Run, phase: float = 0.0) -> None:
        interval = given.get("interval")
        seconds = interval if isinstance(interval, (int, float)) and not isinstance(interval, bool) else None
        self.follower = LogFollower.of(
            None,
            run,
            given.get("state"),
            **({} if seconds is None else {"interval": float(seconds)}),
            phase=phase,
        )
        self._read_at = 0.0
        self._trigger = trigger  # it makes its logger when it first writes: most have nothing to write for long

    @property
    def state(self) -> dict[str, Any] | None:
        """How far the log is written, for the event of the trigger; None where this trigger does not know it."""
        return self.follower.state.to_json() if self.follower.is_recalled else None

    def is_due(self, run: Run, now: float) -> bool:
        """Say whether a step would read the log now."""
        return self.follower.is_due(run, now)

    def left(self, now: float) -> float | None:
        """Give the seconds until the log is to be read; None where it takes no moment of its own."""
        return self.follower.left(now)

    def step(self, run: Run) -> Flow[None]:
        """Write what is new, if the log is due."""
        return intercept(self.follower.step(run), self.answer)

    def settled(self, flow: Flow[T]) -> Flow[T]:
        """Drive a wait, and end when Airflow has had time to read the last lines that were written."""
        try:
            result = yield from flow
        except WorkflowError:
            yield from self._settle()
            raise
        yield from self._settle()
        return result

    def _settle(self) -> Flow[None]:
        left = self._read_at - (yield Now())
        if left > 0:
            yield Sleep(min(left, LONGEST_READ))

    def answer(self, effect: Any) -> Flow[Any]:
        """Answer the effects of following a log; pass all others on."""
        kind = type(effect)
        if kind is LogTurn:
            return _turns.setdefault(asyncio.get_running_loop(), Turns()).take(effect.due)
        if kind is RecallLog:
            return (yield Call(self.recalled))
        if kind is WriteLog:
            write_lines(self._trigger.log, effect.lines)
            if effect.lines:
                size = sum(RECORD + len(shown(line).encode(errors="replace")) for line in effect.lines)
                unread = _unread.setdefault(asyncio.get_running_loop(), Unread())
                self._read_at = unread.written(size, (yield Now()))
            if effect.stores and self._ti is not None:
                yield Call(lambda: self._saved(effect.state))
            return None
        return (yield effect)

    @property
    def _ti(self) -> Any:
        return getattr(self._trigger, "task_instance", None)

    async def recalled(self) -> Any:
        """Give what an earlier process has saved. A new triggerer may take many seconds to answer at first."""
        if self._ti is None:
            return None
        try:
            async with asyncio.timeout(XCOM_TIMEOUT):
                return await get_xcom(self._ti)
        except Exception as error:
            raise ServerUnavailable(f"Airflow does not say how far it is written: {error!r}") from error

    async def _saved(self, state: LogState) -> None:
        await _quietly(lambda: set_xcom(self._ti, state.to_json()), "written")


async def _quietly(call: Callable[[], Any], what: str) -> Any:
    try:
        async with asyncio.timeout(XCOM_TIMEOUT):
            return await call()
    except Exception as error:  # noqa: BLE001  # the wait for the run does not depend on it
        log.warning("The position in the log of a run cannot be %s; lines may be repeated: %s", what, error)
        return None


def _place(ti: Any) -> dict[str, Any]:
    index = getattr(ti, "map_index", -1)
    return {
        "dag_id": ti.dag_id,
        "task_id": ti.task_id,
        "run_id": ti.run_id,
        "map_index": -1 if index is None else index,
    }


def _xcom() -> Any:
    """Give Airflow's XCom class; in a triggerer of Airflow 2 it is the database's."""
    try:
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:
        return import_module("airflow.models.xcom").XCom
    return XCom


async def get_xcom(ti: Any) -> Any:
    """Read the XCom of a task instance in the triggerer, only by ways that belong to its event loop."""
    from asgiref.sync import sync_to_async

    xcom = _xcom()
    if hasattr(xcom, "aget_one"):
        return await ask(lambda: xcom.aget_one(key=KEY, **_place(ti)))
    return await ask(sync_to_async(lambda: xcom.get_one(key=KEY, **_place(ti))))


async def set_xcom(ti: Any, value: Any) -> None:
    """Write the XCom of a task instance in the triggerer, only by ways that belong to its event loop."""
    from asgiref.sync import sync_to_async

    xcom = _xcom()
    if hasattr(xcom, "aset"):
        await ask(lambda: xcom.aset(key=KEY, value=value, **_place(ti)))
    else:
        await ask(sync_to_async(lambda: xcom.set(key=KEY, value=value, **_place(ti))))

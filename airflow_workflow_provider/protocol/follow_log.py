"""Following the log of a run while it goes on: every line once and in order, within bounds, without harm to the wait.

The rules of this file. A line counts as written when the driver has performed its `WriteLog`, which writes first and
stores the `LogState` after that: whoever takes over continues behind the last line that was stored. An error of the
log is a line in the log and never an error of the wait. The log has an interval of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    NotSupported,
    RequestRejected,
    TaskStopped,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.effects import Flow, Now, Request, Sleep, T, intercept
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import (
    MOST_PAGES,
    Cursor,
    CursorLost,
    HasLog,
    LogLine,
    LogPage,
    progress_text,
    read_all,
    secrets_of,
    shown,
    text_of_error,
    tidy,
    unseen,
)
from airflow_workflow_provider.protocol.text import REPLACEMENT, sendable

INTERVAL = 30.0  # seconds between two requests for the log of a run
SHORTEST = 1.0  # seconds; no setting makes that interval shorter
LONGEST = 600.0  # seconds between two requests for a log that cannot be read
REQUEST_TIMEOUT = 10.0  # seconds that a request for a log may take: the wait for the run pauses meanwhile
REFUSALS = 5  # requests in a row that are refused, after which the log is not read any more
BATCH = 100  # lines that are written at once; an event loop does other work between two batches
STORED_AFTER = 500  # lines of one page after which the state is stored although the page goes on
LINES_A_MINUTE = 20_000
CHARACTERS_A_MINUTE = 4_000_000
LAST_TRIES = 3  # at a log that cannot be read when its run is over, a second apart
SETTLING = 5  # times that a log is read again after the end of its run, a second apart
SETTLED = 30.0  # seconds after the end of a run from which on its log is whole
WHOLE = "whole"  # in the cursor of a log whose server forgets cursors: that of `unseen`
LONGEST_CURSOR = 64 * 1024  # characters of a cursor as JSON; a longer one cannot travel with every event
MOST_LINES = 2_000_000  # of one page: the lines may be made while they are read, without an end
NO_TEXT = f"bytes that are no text in UTF-8, or control characters; each is shown as {REPLACEMENT}"
TAIL = 200  # lines that a resumed task writes again where the triggerer's log may be lost
REFUSED = (AuthenticationFailed, WorkflowNotFound, RequestRejected)


@dataclass(frozen=True, slots=True)
class LogState:
    """How far the log of a run is written; it travels as JSON from process to process.

    ``skip`` lines after ``cursor`` are written already. ``lines`` counts all that were written or left out.
    """

    run_id: str
    cursor: Cursor = None
    skip: int = 0
    lines: int = 0
    progress: str = ""
    is_over: bool = False
    """True where the log is not read any more."""

    def to_json(self) -> dict[str, Any]:
        """Give the state as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, value: Any, run_id: str) -> LogState:
        """Read what `to_json` gave; anything else, and the state of another run's log, is the beginning."""
        if not isinstance(value, Mapping) or value.get("run_id") != run_id:
            return cls(run_id)
        cursor, progress = value.get("cursor"), value.get("progress")
        counts = [value.get(name) for name in ("skip", "lines")]
        skip, lines = (n if isinstance(n, int) and not isinstance(n, bool) and n > 0 else 0 for n in counts)
        return cls(
            run_id,
            cursor,
            skip,
            lines,
            progress if isinstance(progress, str) else "",
            value.get("is_over") is True,
        )


@dataclass(frozen=True, slots=True)
class WriteLog:
    """Effect: write these lines to the task's log and then, where ``stores``, store the state that holds from then on.

    To store takes many times as long as to write, and a process that is killed in between repeats what it has written.
    So the state is stored when a page is written, and within a long one now and then.
    """

    lines: Sequence[LogLine]
    state: LogState
    stores: bool = True


Store = Callable[[LogState], None]


@dataclass(frozen=True, slots=True)
class RecallLog:
    """Effect: give the `LogState` as JSON that another process of the same try has stored last, or None.

    Raises a `WorkflowError` where it cannot be found out.
    """


@dataclass(frozen=True, slots=True)
class LogTurn:
    """Effect: ask when a log may be read, not before ``due``; the answer is a moment in seconds since 1970.

    A driver that serves many runs gives few such turns a second, each to one of them.
    """

    due: float


class FollowsLog(Protocol):
    """What a wait needs of one who follows a log."""

    def is_due(self, run: Run, now: float) -> bool:
        """Say whether a step would read the log now."""
        ...

    def left(self, now: float) -> float | None:
        """Give the seconds until the log is to be read; None where it takes no moment of its own."""
        ...

    def step(self, run: Run) -> Flow[None]:
        """Write what is new, if the log is due."""
        ...


@dataclass(slots=True)
class _Minute:
    """How much was written within the running minute."""

    began: float = float("-inf")
    lines: int = 0
    characters: int = 0

    def begin(self, now: float) -> None:
        if now - self.began >= 60:
            self.began, self.lines, self.characters = now, 0, 0

    @property
    def is_full(self) -> bool:
        """True where no further line is written within this minute."""
        return self.lines >= LINES_A_MINUTE or self.characters >= CHARACTERS_A_MINUTE

    def count(self, lines: Sequence[LogLine]) -> None:
        """Count lines that are written."""
        self.lines += len(lines)
        self.characters += sum(len(line.text) for line in lines)


@dataclass(slots=True)
class LogFollower:
    """Follows the log of one run.

    ``stored`` says how far it is written; None is its beginning.
    ``due`` is the moment (seconds since 1970) of its next request, once there was a first step. ``interval`` is in
    seconds; ``phase`` (0 to 1) shifts the first request, so that those that begin together do not ask together.
    """

    system: Any
    run_id: str
    stored: LogState | None = None
    interval: float = INTERVAL
    phase: float = 0.0
    due: float | None = None
    is_recalled: bool = False
    seen: Run | None = None
    failures: int = 0
    refusals: int = 0
    minute: _Minute | None = None
    says_no_text: bool = False
    """True once the log says that it holds bytes that are no text."""

    @classmethod
    def of(
        cls, system: Any, run: Run, state: Any = None, *, interval: float = INTERVAL, phase: float = 0.0
    ) -> LogFollower:
        """Follow the log of a run from a `LogState` as JSON, or from its beginning."""
        stored = LogState.from_json(state, run.run_id) if state else None
        return cls(system, run.run_id, stored, max(interval, SHORTEST), phase)

    @property
    def state(self) -> LogState:
        """How far the log is written. Thousands wait who have written nothing, so the beginning is not stored."""
        return self.stored or LogState(self.run_id)

    @property
    def is_over(self) -> bool:
        """True where the log is not read any more."""
        return self.stored is not None and self.stored.is_over

    def left(self, now: float) -> float | None:
        """Give the seconds until the log is to be read; None where it takes no moment of its own."""
        if self.is_over or self.due is None or self._is_free:
            return None
        return max(self.due - now, 0.0)

    def is_due(self, run: Run, now: float) -> bool:
        """Say whether a step would read the log now."""
        if self.is_over:
            return False
        if self._is_free and self.is_recalled:
            is_new = _tells_more(run, self.seen)
            self.seen = self.seen if is_new else run  # no second object of the same run is kept
            return is_new
        return self.due is None or now >= self.due

    def step(self, run: Run) -> Flow[None]:
        """Write what is new, if the log is due. Raises nothing but `TaskStopped`."""
        if self.is_over:
            return
        if self._is_free and self.is_recalled:
            self.seen = run
            yield from self._read(run)
            return
        now = yield Now()
        if self.due is None:
            self.due = yield LogTurn(now + self.phase * self.interval)
        if now < self.due:
            return
        yield from self._read(run)
        if self._is_free and self.is_recalled:
            return
        self.due = yield LogTurn((yield Now()) + self._pause())

    def finish(self, run: Run) -> Flow[None]:
        """Write the rest, due or not: the run is over. Raises nothing but `TaskStopped`.

        Lines may come a little later than the end of the run. So the log is read again, a second later, while it brings
        new lines and the run has just ended.
        """
        for failed in range(LAST_TRIES):  # what is not read now is never read
            if failed:
                yield Sleep(1.0)
            before, known = self.state.lines, self.failures
            if not self.is_over:
                yield from self._read(run, is_last=True, is_quiet=failed < LAST_TRIES - 1)
            if self.failures <= known or self.refusals:
                break
        for rereads in range(SETTLING + 1):
            if rereads:
                before = self.state.lines
                if not self.is_over:
                    yield from self._read(run, is_last=True)
            is_live = self.state.lines > before or (not rereads and getattr(self.system, "log_lags", False))
            if self.is_over or self.failures or self._is_free or not is_live:
                return
            age = (yield Now()) - run.ended_at.timestamp() if run.ended_at else 0.0
            if age > SETTLED:
                return
            yield Sleep(1.0)

    def tail(self, run: Run, count: int = TAIL) -> Flow[list[LogLine]]:
        """Give the last lines that were written already, read again; none where that cannot be done."""
        if self.is_over or not self.state.lines:
            return []
        try:
            found = yield from read_all(self.system, run)
        except (WorkflowError, CursorLost):
            return []
        return found[: self.state.lines][-count:]

    @property
    def _is_free(self) -> bool:
        return bool(getattr(self.system, "log_from_run", False))

    def _pause(self) -> float:
        return min(self.interval * 2.0 ** min(self.failures, 16), max(LONGEST, self.interval))

    def _read(self, run: Run, *, is_last: bool = False, is_quiet: bool = False) -> Flow[None]:
        try:
            if not self.is_recalled:
                yield from self._recall()
            if self.is_over:
                return
            is_whole = yield from self._pages(run)
            if is_last and not is_whole:
                yield from self._say(f"The rest of the log of run {run.run_id} is left out: it is too long", "warning")
        except TaskStopped:
            yield WriteLog([], self.state, self.is_recalled)  # what is written already, for the next try
            raise
        except NotSupported as error:
            yield from self._end(f"Run {run.run_id} has no log to follow: {text_of_error(error)}", "info")
        except Exception as error:  # noqa: BLE001  # whatever a log does, the wait for its run goes on
            yield from self._failed(run, error, is_last=is_last, is_quiet=is_quiet)
        else:
            self.failures = self.refusals = 0

    def _recall(self) -> Flow[None]:
        """Take up what another process of the try has stored. Where that is not known, nothing must be written yet."""
        stored = LogState.from_json((yield RecallLog()), self.run_id)
        self.is_recalled = True
        if stored != LogState(self.run_id) and stored.lines >= self.state.lines:
            self.stored = stored

    def _failed(self, run: Run, error: Exception, *, is_last: bool, is_quiet: bool) -> Flow[None]:
        self.failures += 1
        self.refusals = self.refusals + 1 if isinstance(error, REFUSED) else 0
        if is_quiet and not self.refusals:  # it is tried again
            return
        text = text_of_error(error)
        if is_last:
            yield from self._say(f"The rest of the log of run {run.run_id} cannot be read: {text}", "warning")
        elif self.refusals >= REFUSALS:
            yield from self._end(f"The log of run {run.run_id} is not read any more: {text}", "warning")
        elif self.failures == 1:
            yield from self._say(f"The log of run {run.run_id} cannot be read at the moment: {text}", "warning")

    def _pages(self, run: Run) -> Flow[bool]:
        """Read pages up to the last one; False where there are more."""
        if not isinstance(self.system, HasLog):
            raise NotSupported(f"{getattr(self.system, 'label', self.system)} has no log of its runs")
        for _ in range(MOST_PAGES):
            page = yield from self._page(run)
            if page.note:
                yield from self._say(str(page.note), "warning")
            yield from self._write(page)
            if not page.more:
                return True
        return False

    def _page(self, run: Run) -> Flow[LogPage]:
        whole = self.state.cursor.get(WHOLE) if isinstance(self.state.cursor, Mapping) else None
        note = ""
        if whole is None:
            try:
                found = yield from self._asked(run, self.state.cursor)
            except CursorLost:
                pass
            else:
                if _is_storable(found.cursor):
                    return found
        # Read the log from its beginning at every reading; a comparison shows which lines were written before.
        page = yield from self._asked(run, None)
        lines = list(islice(page, MOST_LINES))
        for _ in range(MOST_PAGES):
            if not page.more:
                break
            page = yield from self._asked(run, page.cursor)
            lines += islice(page, MOST_LINES - len(lines))
        if whole is None:
            count = self.state.lines if self.state.lines <= len(lines) else 0
            note = "" if count == self.state.lines else "The server's log begins again"
            whole = unseen(lines[:count], None).cursor
            self.stored = replace(self.state, cursor={WHOLE: whole}, skip=0)
        new = unseen(lines, whole)
        return replace(new, cursor={WHOLE: new.cursor}, progress=page.progress, note=note or new.note or page.note)

    def _asked(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Read one page; the code of a system may give anything."""
        page: Any = yield from briefly(self.system.read_log(run, cursor))
        if not isinstance(page, LogPage):
            raise TypeError(f"the log is no LogPage but {type(page).__name__}")
        return page

    def _write(self, page: LogPage) -> Flow[None]:
        self.minute = minute = self.minute or _Minute()  # a thousand runs without a line need no thousand of these
        minute.begin((yield Now()))
        lines = iter(page)
        skipped = sum(1 for _ in islice(lines, self.state.skip))
        base = self.state.skip if skipped == self.state.skip else 0
        left_out = written = stored = 0
        while batch := list(islice(lines, BATCH)):
            secrets = self._secrets
            kept: list[LogLine] = []
            taken = 0
            for line in batch:
                if minute.is_full:
                    break  # what is left out needs no cleaning
                parts = list(tidy(line, secrets))
                minute.count(parts)
                kept += parts
                taken += 1
            left_out += len(batch) - taken
            written += len(batch)
            if not self.says_no_text and any(REPLACEMENT in line.text for line in kept):
                self.says_no_text = True
                kept.append(LogLine(None, "warning", f"The log of run {self.run_id} holds {NO_TEXT}"))
            if kept:
                self.stored = replace(self.state, skip=base + written, lines=self.state.lines + len(batch))
                stores = written - stored >= STORED_AFTER
                stored = written if stores else stored
                yield WriteLog(kept, self.state, stores)
            else:
                self.stored = replace(self.state, lines=self.state.lines + len(batch))
            yield Sleep(0)
            if written >= MOST_LINES:
                raise ValueError(f"one reading of the log gives more than {MOST_LINES} lines")
        progress = progress_text(page.progress, self._secrets) or self.state.progress
        news = []
        if left_out:
            news.append(LogLine(None, "warning", f"{left_out} lines were left out: the run writes too much a minute"))
        if progress != self.state.progress:
            news.append(LogLine(None, "info", f"progress: {progress}"))
        if news or written or page.cursor != self.state.cursor or self.state.skip:
            self.stored = replace(self.state, cursor=page.cursor, skip=0, progress=progress)
            yield WriteLog(news, self.state)

    @property
    def _secrets(self) -> tuple[str, ...]:
        return secrets_of(self.system)

    def _say(self, text: str, level: str) -> Flow[None]:
        # A state from before the recall must not replace what another process of the try has stored.
        lines = list(tidy(LogLine(None, level, text.replace("\n", " ")), self._secrets))
        yield WriteLog(lines, self.state, self.is_recalled)

    def _end(self, text: str, level: str) -> Flow[None]:
        self.stored = replace(self.state, is_over=True)
        yield from self._say(text, level)


def _tells_more(run: Run, seen: Run | None) -> bool:
    """Tell whether a run has changed since it was seen last."""
    if run is seen:
        return False
    return seen is None or (run.state, run.message, run.details) != (seen.state, seen.message, seen.details)


def _is_storable(cursor: Cursor) -> bool:
    """False for a cursor that no event, XCom or database takes: what is no JSON, or is too large."""
    try:
        return len(json.dumps(cursor, allow_nan=False)) <= LONGEST_CURSOR and sendable(cursor) == cursor
    except (TypeError, ValueError, RecursionError):
        return False


def _nowhere(state: LogState) -> None:
    """Store nothing."""


def briefly(flow: Flow[T]) -> Flow[T]:
    """Drive a flow whose requests nothing depends on: each may take a few seconds only, and may fail."""

    def on_effect(effect: Any) -> Flow[Any]:
        if isinstance(effect, Request):
            limit = min(effect.timeout or REQUEST_TIMEOUT, REQUEST_TIMEOUT)
            effect = effect.changed(timeout=limit, optional=True)
        return (yield effect)

    return intercept(flow, on_effect)


@dataclass(slots=True)
class WrittenLog:
    """Follows a log on a worker: lines are written and states stored at once."""

    follower: LogFollower
    write: Callable[[Sequence[LogLine]], None]
    store: Store = _nowhere

    def is_due(self, run: Run, now: float) -> bool:
        """Say whether a step would read the log now."""
        return self.follower.is_due(run, now)

    def left(self, now: float) -> float | None:
        """Give the seconds until the log is to be read; None where it takes no moment of its own."""
        return self.follower.left(now)

    def step(self, run: Run) -> Flow[None]:
        """Write what is new, if the log is due."""
        return writing(self.follower.step(run), self.write, self.store)

    def finish(self, run: Run) -> Flow[None]:
        """Write what is new, due or not: the run is over."""
        return writing(self.follower.finish(run), self.write, self.store)


def writing(flow: Flow[T], write: Callable[[Sequence[LogLine]], None], store: Store = _nowhere) -> Flow[T]:
    """Drive a flow that follows a log on a worker: lines are written and states stored at once, turns are free."""

    def on_effect(effect: Any) -> Flow[Any]:
        if isinstance(effect, LogTurn):
            return effect.due
        if isinstance(effect, RecallLog):
            return None
        if isinstance(effect, WriteLog):
            write(effect.lines)
            if effect.stores:
                store(effect.state)
            return None
        return (yield effect)

    return intercept(flow, on_effect)


def write_lines(log: Any, lines: Sequence[LogLine]) -> None:
    """Write lines to a logger, each at its level; debug lines count as information."""
    for line in lines:
        getattr(log, "info" if line.level == "debug" else line.level)("%s", shown(line))


def to_log(log: Any) -> Callable[[Sequence[LogLine]], None]:
    """Give a function that writes lines to a logger."""
    return partial(write_lines, log)

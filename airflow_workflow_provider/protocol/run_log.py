"""The log of a run as its system gives it: lines, a cursor that marks a place between them, and progress."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol, SupportsIndex, overload, runtime_checkable

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.protocol.auth import redacted
from airflow_workflow_provider.protocol.effects import Flow
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.text import clean_text, cut_text
from airflow_workflow_provider.protocol.times import as_utc, iso

LINE = 2_000  # characters of a line that are shown
LOOKED_AT = 4 * LINE  # characters of a line that are cleaned; the others are dropped before
MOST_PAGES = 200  # pages that one read takes
REMEMBERED = 256  # lines of which a cursor of `unseen` holds the digests
BREAKS = 100  # lines that one line may become
MATCHING = 8  # lines at its end by which a log that lost its beginning is recognised
LEVELS = ("debug", "info", "warning", "error")
_DIGEST = 4  # bytes
_SPELLING = 3  # times as long as a secret are the ways to write it, such as %2F
# ECMA-48: control sequences, operating system commands and the like, single-character escapes; and control sequences
# whose escape character was cleaned before.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|\x9b[0-?]*[@-~]"
    r"|\ufffd\[(?:[0-9;?]+[A-Za-z]|[mKHJ])"
)

Cursor = Any  # a JSON value that only the system reads; None stands for the beginning


class LogLine(NamedTuple):
    """One line of a run's log. ``time`` is aware or None, ``level`` is debug, info, warning or error."""

    time: datetime | None
    level: str
    text: str


@dataclass(frozen=True, eq=False)
class LogPage(list[LogLine]):
    """Lines of a run's log that follow a cursor, and the cursor behind them.

    It is a list of its lines and cannot be changed. A ``@task`` can return it: the next task gets the lines.

    ``progress`` tells how far the run is, as a fraction from 0 to 1 or in words such as ``"node 3 of 7"``. ``more``
    says that further lines can be read at once. ``note`` is a sentence about the log itself, for people.
    """

    lines: Iterable[LogLine] = ()
    cursor: Cursor = None
    progress: str | float | None = None
    more: bool = False
    note: str = ""

    # The lines are not copied into the list itself: they may be made while they are read.
    __hash__ = object.__hash__  # type: ignore[assignment]  # a list that cannot be changed has one
    __eq__ = object.__eq__
    __ne__ = object.__ne__

    @overload
    def __getitem__(self, index: SupportsIndex) -> LogLine: ...
    @overload
    def __getitem__(self, index: slice) -> list[LogLine]: ...
    def __getitem__(self, index: Any) -> Any:
        found = self._all[index]
        return list(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[LogLine]:
        return iter(self.lines)

    def __reversed__(self) -> Iterator[LogLine]:
        return reversed(self._all)

    def __contains__(self, line: object) -> bool:
        return line in self._all

    def index(self, line: Any, *where: Any) -> int:
        """Give the place of a line."""
        return self._all.index(line, *where)

    def count(self, line: Any) -> int:
        """Say how often a line is there."""
        return self._all.count(line)

    def copy(self) -> list[LogLine]:
        """Give a plain list of the lines."""
        return list(self._all)

    def __add__(self, other: Any) -> Any:
        return [*self._all, *other]

    def __reduce__(self) -> Any:
        return type(self), (list(self._all), self.cursor, self.progress, self.more, self.note)

    def _refuse(self, *args: Any, **more: Any) -> Any:
        raise TypeError("a page of a log cannot be changed; make a list of it first")

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = extend = insert = _refuse
    pop = remove = clear = sort = reverse = _refuse

    @property
    def _all(self) -> Sequence[LogLine]:
        if not isinstance(self.lines, Sequence):  # it may be made while it is read
            object.__setattr__(self, "lines", list(self.lines))
        return self.lines  # type: ignore[return-value]  # a sequence by now


class CursorLost(Exception):
    """The server does not know the place in the log that a cursor stands for."""


@runtime_checkable
class HasLog(Protocol):
    """A system that gives the log of a run.

    The class attribute ``log_from_run = True`` says that the lines come from the run as the last poll saw it, so that
    reading them takes no request; ``log_lags = True`` that lines come a little later than what they tell of.
    """

    def read_log(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Give the lines after a cursor, oldest first; None stands for the beginning.

        ``run`` is the run as it was last seen. Raises `NotSupported` where this run has no log, and `CursorLost`.
        """
        ...


def shown(line: LogLine) -> str:
    """Give a line as a task's log shows it: with the time that the server gave it, in milliseconds."""
    moment = iso(line.time.replace(microsecond=line.time.microsecond // 1000 * 1000)) if line.time else None
    shown_time = f" {moment.replace('000Z', 'Z')}" if moment else ""
    return f"[run log]{shown_time}{' DEBUG' if line.level == 'debug' else ''} {line.text}"


def tidy(line: LogLine, secrets: tuple[str, ...]) -> Iterator[LogLine]:
    """Clean a line: no escape sequence, no control character, no secret, not too long; a break makes two of it.

    The code of a system may give anything. Raises TypeError for what is no `LogLine`.
    """
    if not isinstance(line, LogLine):
        raise TypeError(f"a line of the log is no LogLine but {type(line).__name__}")
    level = line.level if isinstance(line.level, str) and line.level in LEVELS else "info"
    time = _checked_time(line.time)
    given = line.text if isinstance(line.text, str) else _spelled(line.text)
    text = given[:LOOKED_AT]
    if not text.isprintable() or "\ufffd" in text:
        text = _ESCAPES.sub("", text)
    text = redacted(clean_text(text.rstrip()), secrets)
    if len(text) > LINE or len(given) > LOOKED_AT:
        # Where the text was cut before it was cleaned, its end may be the beginning of a secret.
        unsure = _SPELLING * max(map(len, secrets), default=0) if len(given) > LOOKED_AT else 0
        text = f"{text[: max(0, min(LINE, len(text) - unsure))]}… (cut: {len(given)} characters in all)"
    if "\n" not in text:
        yield LogLine(time, level, text)
        return
    parts = text.split("\n")
    for part in parts[:BREAKS]:
        yield LogLine(time, level, part)
    if len(parts) > BREAKS:
        yield LogLine(time, level, f"… (cut: {len(parts)} lines in one entry of the log)")


def _checked_time(value: Any) -> datetime | None:
    """Give a time in UTC; None where there is none that can be shown."""
    if not isinstance(value, datetime):
        return None
    try:
        return as_utc(value)
    except Exception:  # noqa: BLE001  # the time zone of a plug-in may raise anything
        return None


def _spelled(value: Any) -> str:
    """Spell what should be text."""
    try:
        return "" if value is None else str(value)
    except Exception:  # noqa: BLE001  # `__str__` of a plug-in may raise anything
        return f"({type(value).__name__})"


def text_of_error(error: BaseException) -> str:
    """Give the first line of an error's text; its type where it has no text."""
    return _spelled(error).partition("\n")[0] or type(error).__name__


def unseen(lines: Sequence[LogLine], cursor: Cursor) -> LogPage:
    """Give the new lines of a log that the API gives as a whole each time.

    The cursor holds how many lines were seen and digests of them. A line that comes late, in front of lines that were
    seen, is new. A log that lost its beginning is compared as far as the cursor remembers.
    """
    marks = [_mark(line) for line in lines]
    known = _Known.of(cursor)
    end = {
        "n": len(marks),
        "digest": _digest(marks),
        "last": _packed(marks[-REMEMBERED:]),
        "head": _digest(marks[:-REMEMBERED]),
    }
    if known.count <= len(marks) and known.digest == _digest(marks[: known.count]):
        return LogPage(lines[known.count :], end)
    start = known.count - len(known.last)
    is_same_head = start == 0 or known.head == _digest(marks[:start])
    if start <= len(marks) and is_same_head and Counter(known.last) <= Counter(marks[start:]):
        return LogPage(_others(lines[start:], marks[start:], known.last), end)
    ends = {b"".join(marks[at - MATCHING : at]): at for at in range(MATCHING, len(marks) + 1)}
    for taken in range(len(known.last), MATCHING - 1, -1):
        at = ends.get(b"".join(known.last[taken - MATCHING : taken]))
        if at is not None:
            return LogPage(_others(lines[at:], marks[at:], known.last[taken:]), end)
    if known.count <= REMEMBERED:
        return LogPage(_others(lines, marks, known.last), end)
    if len(marks) < known.count and not marks:
        return LogPage((), cursor, note="The server gives no log of this run any more")
    return LogPage(lines, end, note="The server gives another log than before; it follows from its beginning")


def _others(lines: Sequence[LogLine], marks: Sequence[bytes], seen: Sequence[bytes]) -> list[LogLine]:
    """Give the lines that were not seen; a line that was seen once and is there twice is new once."""
    left, new = Counter(seen), []
    for line, mark in zip(lines, marks, strict=True):
        if left[mark] > 0:
            left[mark] -= 1
        else:
            new.append(line)
    return new


@dataclass(frozen=True)
class _Known:
    """What a cursor of `unseen` holds."""

    count: int
    digest: str
    last: list[bytes]
    head: str = ""

    @classmethod
    def of(cls, cursor: Cursor) -> _Known:
        value = cursor if isinstance(cursor, dict) else {}
        count, digest, last = value.get("n"), value.get("digest"), value.get("last")
        if not isinstance(count, int) or count is True or not isinstance(digest, str) or not isinstance(last, str):
            return cls(0, _digest([]), [])
        packed = b""
        with suppress(ValueError):
            packed = base64.b64decode(last)
        marks = [packed[at : at + _DIGEST] for at in range(0, len(packed), _DIGEST)][:REMEMBERED]
        if len(marks) != min(max(count, 0), REMEMBERED):  # not what `unseen` wrote
            return cls(0, _digest([]), [])
        head = value.get("head")
        return cls(count, digest, marks, head if isinstance(head, str) else "")


def _mark(line: LogLine) -> bytes:
    return blake2b(f"{line.time}\0{line.level}\0{line.text}".encode(errors="replace"), digest_size=_DIGEST).digest()


def _digest(marks: Sequence[bytes]) -> str:
    return blake2b(b"".join(marks), digest_size=8).hexdigest()


def _packed(marks: Sequence[bytes]) -> str:
    return base64.b64encode(b"".join(marks)).decode()


def secrets_of(system: Any) -> tuple[str, ...]:
    """Give what no line may show: the connection's secrets and the tokens that were fetched with them."""
    return (*getattr(system, "secrets", ()), *getattr(getattr(system, "auth", None), "minted", ()))


def progress_text(value: Any, secrets: tuple[str, ...] = ()) -> str:
    """Give progress in words: a fraction in per cent, anything else as a short line without a secret."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, (int, float)):
        return f"{100 * min(max(value, 0.0), 1.0):.0f} %" if value == value else ""  # noqa: PLR0124  # not a number
    return cut_text(" ".join(line.text for line in tidy(LogLine(None, "info", value), secrets)).strip(), 200)


def read_all(system: Any, run: Run, cursor: Cursor = None) -> Flow[list[LogLine]]:
    """Read all lines after a cursor, cleaned. Raises `NotSupported` where the system gives no log."""
    return list((yield from read_page(system, run, cursor)))


def read_page(system: Any, run: Run, cursor: Cursor = None) -> Flow[LogPage]:
    """Read all lines after a cursor, cleaned, as one page. Raises `NotSupported` where the system gives no log."""
    if not isinstance(system, HasLog):
        raise NotSupported(f"{getattr(system, 'label', system)} has no log of its runs")
    secrets, found = secrets_of(system), list[LogLine]()
    page = LogPage(cursor=cursor)
    for _ in range(MOST_PAGES):
        page = yield from system.read_log(run, page.cursor)
        found += [part for line in page for part in tidy(line, secrets)]
        if not page.more:
            break
    return replace(page, lines=found)

"""Raw values into their final type: a whole column by Arrow where it can, else value by value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.column_stats import MOST_DIGITS
from airflow_workflow_provider.outputs.inference import bytes_of, iso_times, nanoseconds_or_none
from airflow_workflow_provider.outputs.spelling import Spelling
from airflow_workflow_provider.outputs.types import ZONE

_WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "t": True, "f": False}
_LONGEST = 76  # digits of a decimal256; a number beyond is spelled with an exponent
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})
_WIDE = Context(prec=100)  # more digits than any decimal type has: a check must not round
_MARK = "\udfff"  # no text holds it
_MARKED = re.compile(rf'"{_MARK}([^"]*)"')
_BELOW_MICROSECOND = re.compile(r"[.,][0-9]{6}0*[1-9]")
# What SQL Server and Snowflake write where a period has no end: their last moment, which Python's nearly is.
_LAST_MOMENT = re.compile(r"9999-12-31[T ]23:59:59[.,]9{7,9}(?!\d)")
_STEPS = {"s": 1_000_000, "ms": 1_000}  # microseconds of a unit
_FAILURES = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


def converted(
    array: pa.Array,
    target: pa.DataType,
    column: str,
    *,
    first_row: int = 1,
    where: str = "",
    spelling: Spelling | None = None,
) -> pa.Array:
    """Give a column in its final type; empty text is no value, unless the type is text.

    ``first_row`` is the number of the array's first row, ``where`` names the output in the error, ``spelling`` says how
    text spells numbers and dates. Raises `OutputUnavailable`, which names column and row.
    """
    if array.type == target:
        return array
    given = array
    if spelling is not None and _is_text(array.type):
        array = spelling.canonical(array, target)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if _is_text(array.type) and not _is_text(target) and pc.min(pc.binary_length(array)).as_py() == 0:
        array = pc.if_else(pc.equal(array, ""), pa.scalar(None, array.type), array)
    for attempt in _attempts(array, target):
        try:
            return attempt()
        except _FAILURES:
            continue
    return _one_by_one(array, target, column, first_row, where, given)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _attempts(array: pa.Array, target: pa.DataType) -> Iterator[Callable[[], pa.Array]]:
    """Give the ways to convert a whole column, the likeliest first; each is exact or fails."""
    if pa.types.is_decimal(target):
        yield from _decimal_attempts(array, target)
    elif pa.types.is_boolean(target):
        if _is_text(array.type):
            yield lambda: pc.cast(pc.utf8_lower(array), target)
    elif _is_text(array.type) and pa.types.is_timestamp(target):
        yield from _timestamp_attempts(iso_times(array), target)
    elif _is_text(array.type) and pa.types.is_time(target):
        yield lambda: _times_of_day(array, target)
    elif _is_text(target) and pa.types.is_floating(array.type):
        yield lambda: pc.cast(_without_exponents(pc.cast(array, pa.string())), target)
    elif not _is_safe(array, target):
        return
    elif pa.types.is_floating(target):
        yield lambda: _finite(pc.cast(array, target), array)
    else:
        yield lambda: pc.cast(array, target)


def _times_of_day(text: pa.Array, target: pa.DataType) -> pa.Array:
    """Read times of a day by way of a day; Python has no nanoseconds."""
    moments = pc.binary_join_element_wise("1970-01-01", text, " ")
    return pc.cast(pc.cast(moments, pa.timestamp(target.unit)), target)


def _finite(floats: pa.Array, array: pa.Array) -> pa.Array:
    """Give the floats unless one of them is infinite only because the type holds no number so big."""
    known = pc.sum(pc.is_inf(array)).as_py() if pa.types.is_floating(array.type) else 0
    if (pc.sum(pc.is_inf(floats)).as_py() or 0) != (known or 0):
        raise pa.ArrowInvalid("infinite")
    return floats


def _is_safe(array: pa.Array, target: pa.DataType) -> bool:
    """True if Arrow's cast does what is wanted, or fails."""
    if _is_text(target):
        return _prints_as_wanted(array.type)
    if pa.types.is_temporal(array.type) or pa.types.is_temporal(target):
        return _is_text(array.type) or _keeps_moments(array.type, target)
    return not (pa.types.is_integer(target) and _is_text(array.type)) or _is_plain(array)


def _keeps_moments(kind: pa.DataType, target: pa.DataType) -> bool:
    """True unless Arrow leaves out hours or days without an error, or takes a number for a count of days.

    A number for a timestamp is a count of the type's own unit since 1970.
    """
    if pa.types.is_integer(kind):
        return bool(pa.types.is_timestamp(target))
    if pa.types.is_date(kind):
        return bool(pa.types.is_date(target) or pa.types.is_timestamp(target))
    same = (pa.types.is_timestamp, pa.types.is_time, pa.types.is_duration)
    return any(test(kind) and test(target) for test in same)


def _is_plain(text: pa.Array) -> bool:
    """True if text has no letter and no underscore: Arrow reads ``0x10`` as a number, too."""
    values = text.drop_null()
    if not len(values) or not pc.sum(pc.binary_length(values)).as_py():
        return True
    return bool(pc.max(bytes_of(values)).as_py() < ord("A"))


def _without_exponents(numbers: pa.Array) -> pa.Array:
    """Spell numbers in full, as a page does that Arrow has parsed."""
    has_exponent = pc.match_substring_regex(numbers, "[0-9]e")
    if not pc.any(has_exponent).as_py():
        return numbers
    full = [text and (format(Decimal(text), "f") if "e" in text else text) for text in numbers.to_pylist()]
    return pa.array(full, pa.string())


def _prints_as_wanted(kind: pa.DataType) -> bool:
    return bool(_is_text(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind))


def _decimal_attempts(array: pa.Array, target: pa.DataType) -> Iterator[Callable[[], pa.Array]]:
    if pa.types.is_decimal(array.type):
        yield lambda: pc.cast(array, target)
        return
    text = array if _is_text(array.type) else pc.cast(array, pa.string())
    # Arrow wraps a number around that has more digits than a decimal128.
    if (pc.max(pc.utf8_length(text)).as_py() or 0) <= MOST_DIGITS:
        yield lambda: pc.cast(text, target)


def _timestamp_attempts(text: pa.Array, target: pa.DataType) -> Iterator[Callable[[], pa.Array]]:
    """Read ISO 8601; what has no zone is UTC, and what has more digits than the type fails."""
    own, other = (ZONE, None) if target.tz else (None, ZONE)
    yield lambda: pc.cast(text, target)
    for zone in (own, other):
        yield lambda zone=zone: _rezoned(pc.cast(text, pa.timestamp(target.unit, zone)), target)  # type: ignore[misc]  # binds the loop variable
        yield lambda zone=zone: _rezoned(_nanoseconds(text, zone), target)  # type: ignore[misc]  # binds the loop variable


def _nanoseconds(text: pa.Array, zone: str | None) -> pa.Array:
    times = nanoseconds_or_none(text, zone)
    if times is None:
        raise pa.ArrowInvalid("no times with nanoseconds")
    return times


def _rezoned(times: pa.Array, target: pa.DataType) -> pa.Array:
    if target.tz and not times.type.tz:
        times = pc.assume_timezone(times, ZONE)
    elif times.type.tz and not target.tz:
        times = pc.cast(times, pa.timestamp(times.type.unit))
    return pc.cast(times, target)


def _one_by_one(
    array: pa.Array, target: pa.DataType, column: str, first_row: int, where: str, given: pa.Array
) -> pa.Array:
    """Convert value by value; an error shows the value as it was ``given``."""
    read = next((reader for test, reader in _READERS if test(target)), lambda value, kind: value)
    made: list[Any] = []
    for row, value in enumerate(array.to_pylist(), first_row):
        try:
            made.append(None if value is None else read(value, target))
            pa.scalar(made[-1], target)  # fails here, where the row is known
        except (ValueError, TypeError, ArithmeticError, pa.ArrowException) as error:
            raise misfit(column, row, given[row - first_row].as_py(), target, where) from error
    return pa.array(made, target)


def misfit(column: str, row: int, value: Any, target: object, where: str) -> OutputUnavailable:
    """Make the error for a value that is not of its column's type."""
    return OutputUnavailable(f"{where}column {column!r}, row {row}: {str(value)[:80]!r} is not of type {target}")


def _bool(value: Any, target: pa.DataType) -> bool:
    return _WORDS[str(value).strip().lower()] if str(value).strip().lower() in _WORDS else _refused(value)


def _int(value: Any, target: pa.DataType) -> int:
    if isinstance(value, bool):
        return int(value)
    number = _number(value)
    return int(number) if number == number.to_integral_value(context=_WIDE) else _refused(value)


def _float(value: Any, target: pa.DataType) -> float:
    number = float(value) if isinstance(value, float) else float(_number(value))
    narrow = pa.scalar(number, target).as_py()
    return number if isfinite(narrow) or str(value).strip().lstrip("+-").lower() in _NOT_FINITE else _refused(value)


def _number(value: Any) -> Decimal:
    """Read a number; Python's own readers also take ``1_000`` and the digits of other scripts."""
    text = str(value).strip()
    return Decimal(text) if text.isascii() and "_" not in text else _refused(value)


def _decimal(value: Any, target: pa.DataType) -> Decimal:
    number = _number(int(value) if isinstance(value, bool) else value)
    made = number.quantize(Decimal(1).scaleb(-target.scale), context=_WIDE)
    return made if made == number else _refused(value)


def _date(value: Any, target: pa.DataType) -> date:
    moment = _moment(value)
    return moment.date() if moment.time() == time() else _refused(value)


def _timestamp(value: Any, target: pa.DataType) -> datetime:
    moment = _moment(value)
    if moment.microsecond % _STEPS.get(target.unit, 1):
        raise ValueError(value)
    if target.tz:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _time(value: Any, target: pa.DataType) -> time:
    moment = value if isinstance(value, time) else time.fromisoformat(_whole_microseconds(str(value).strip()))
    fits = moment.tzinfo is None and moment.microsecond % _STEPS.get(target.unit, 1) == 0
    return moment if fits else _refused(value)


def _whole_microseconds(text: str) -> str:
    """Refuse text with more digits than Python keeps, which cuts them; the last moment of all stays that."""
    if _BELOW_MICROSECOND.search(text) and not _LAST_MOMENT.match(text):
        raise ValueError(text)
    return text


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 (a date has no zone)
    text = _whole_microseconds(str(value).strip())
    return datetime.fromisoformat(text.removesuffix(ZONE).rstrip() + "Z" if text.endswith(ZONE) else text)


def as_text(value: Any, target: pa.DataType | None = None) -> str:
    """Spell a value that stands in a column of text: text as it is, the rest as JSON or ISO 8601 has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        text = str(value)
        return format(value, "f") if "E" in text and abs(value.adjusted()) <= _LONGEST else text
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").replace("+00:00", "Z")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return json_text(value)


def json_text(value: Any, separators: tuple[str, str] = (",", ":")) -> str:
    """Spell a value as JSON, in which a decimal is a number with its own digits. Raises ValueError for a bad one."""
    try:
        try:
            return json.dumps(value, ensure_ascii=False, separators=separators)
        except TypeError:
            return _with_decimals(value, separators)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _with_decimals(value: Any, separators: tuple[str, str]) -> str:
    """Let `json` write a marked text for each decimal, and take the quotes and the mark away."""
    count = 0

    def spelled(one: Any) -> str:
        nonlocal count
        if not (isinstance(one, Decimal) and one.is_finite()):
            return as_text(one)
        count += 1
        return f"{_MARK}{one}"

    text = json.dumps(value, ensure_ascii=False, separators=separators, default=spelled)
    if text.count(_MARK) != count:
        raise ValueError("it holds half a surrogate pair, which is not text")
    return _MARKED.sub(r"\1", text)


def _refused(value: Any) -> Any:
    raise ValueError(value)


_READERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.DataType], Any]], ...] = (
    (pa.types.is_boolean, _bool),
    (pa.types.is_integer, _int),
    (pa.types.is_floating, _float),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_time, _time),
    (pa.types.is_date, _date),
    (_is_text, as_text),
)

"""Finding out what a column of text holds. Kernels of Arrow do it; Python sees only the few hard values."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.types import UNIT, ZONE
from airflow_workflow_provider.protocol.effects import SAFE_DIGITS

# A number is text that a number prints as: "007" and "+47123" are not, and "12e5" is more likely a code.
_INTEGER = r"^(?:0|-?[1-9][0-9]*)$"
_NUMBER = r"^-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"
_CODE = r"^[0-9]+[eE][0-9]+$"
_NOT_FINITE = r"^[-+]?(?:nan|inf|infinity)$"
_NOT_FINITE_WORD = rf"(?i){_NOT_FINITE}"
_EXACT_IN_FLOAT = 2**53
_HEAD = 16  # values that are tried first
_WITH_SEVEN_DIGITS = len("2024-01-01T00:00:00.1234567")  # bytes; in shorter text there is no such time
_NANOSECOND_YEARS = pa.array(["1677-09-22", "2262-04-11"]).cast(pa.date32()).cast(pa.timestamp(UNIT))
# Python and the databases have no year 0, and no year behind 9999, which a time zone can lead to.
_YEARS = pa.array(["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]).cast(pa.timestamp(UNIT))


def infer_text(array: pa.Array, *, quoted_numbers: bool) -> ColumnStats:
    """Tell what text holds. Empty text counts as no value, unless the column turns out to be text.

    ``quoted_numbers`` allows numbers and booleans to be spelled as text, as in CSV; dates and times always are.
    """
    filled = _filled(array)
    if not len(filled):
        return ColumnStats(Kind.BLANK if array.null_count < len(array) else Kind.NULL)
    head = filled.slice(0, _HEAD)
    inferences = (*(_QUOTED if quoted_numbers else ()), *_ALWAYS)
    # What does not hold for the first values cannot hold for all, and a cast that fails is slow on many values.
    found = (infer(filled) for infer in inferences if infer(head) is not None)
    return next((seen for seen in found if seen is not None), TEXT)


def _filled(array: pa.Array) -> pa.Array:
    """Leave out nulls and empty text; a copy is made only where there are some."""
    values = array.drop_null() if array.null_count else array
    if len(values) and not pc.min(pc.binary_length(values)).as_py():
        return values.filter(pc.not_equal(values, ""))
    return values


def infer_int(values: pa.Array) -> ColumnStats:
    """Tell how big the integers of an Arrow column without nulls are."""
    bounds = pc.min_max(values).as_py()
    biggest = max(abs(bounds["min"]), abs(bounds["max"]))
    return ColumnStats(Kind.INT, digits=len(str(biggest)), fits_float64=biggest <= _EXACT_IN_FLOAT)


def infer_decimal_text(values: pa.Array) -> ColumnStats | None:
    """Tell what numbers spelled as text hold; None if one of them is none."""
    return _infer_int(values) or _infer_number(values)


def cast_or_none(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Cast a whole column, or give None."""
    try:
        return pc.cast(values, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def iso_times(values: pa.Array) -> pa.Array:
    """Spell times as Arrow reads them: ``… UTC`` (BigQuery) is ``Z``, the seventh digit (.NET) goes if it is a zero."""
    if pc.any(pc.ends_with(values, ZONE)).as_py():
        values = pc.replace_substring_regex(values, r" ?UTC$", "Z")
    if (pc.max(pc.binary_length(values)).as_py() or 0) < _WITH_SEVEN_DIGITS:
        return values
    if pc.any(pc.match_substring_regex(values, r"\.\d{7}")).as_py():
        return pc.replace_substring_regex(values, r"(\.\d{6})0+(\D|$)", r"\1\2")
    return values


def _all_match(values: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _infer_int(values: pa.Array) -> ColumnStats | None:
    numbers = cast_or_none(values, pa.int64())
    if numbers is not None:
        return infer_int(numbers) if _print_as_themselves(values) else None
    if not _all_match(values, _INTEGER):
        return None
    digits = pc.max(pc.utf8_length(pc.utf8_ltrim(values, "-"))).as_py()
    return ColumnStats(Kind.INT, digits=digits, fits_int64=False, fits_float64=False)


def _print_as_themselves(values: pa.Array) -> bool:
    """True if whole numbers, which can be cast, have no plus, no zero in front and no other base."""
    least, most = pc.min_max(bytes_of(values)).as_py().values()
    if not ord("-") <= least <= most <= ord("9"):
        return False
    if least == ord("-") and pc.any(pc.starts_with(values, "-0")).as_py():
        return False
    zeros = pc.starts_with(values, "0")
    return not (pc.any(zeros).as_py() and pc.max(pc.binary_length(values.filter(zeros))).as_py() > 1)


def _infer_number(values: pa.Array) -> ColumnStats | None:
    floats = _plain_floats(values)
    if floats is not None:
        digits, scale = _plain_width(values)
        fits = _print_as(values, floats, pc.greater(pc.binary_length(values), SAFE_DIGITS))
        return ColumnStats(Kind.NUMBER, digits, scale, fits_float64=fits)
    numeric = pc.match_substring_regex(values, _NUMBER)
    rest = values.filter(pc.invert(numeric))
    finite = values.filter(numeric)
    if not len(finite) or pc.any(pc.match_substring_regex(finite, _CODE)).as_py():
        return None
    if len(rest) and not pc.all(pc.match_substring_regex(rest, _NOT_FINITE, ignore_case=True)).as_py():
        return None
    digits, scale = _width(finite)
    return ColumnStats(Kind.NUMBER, digits, scale, fits_float64=_fit_float64(finite), finite=not len(rest))


def _plain_floats(values: pa.Array) -> pa.Array | None:
    """Give numbers that are spelled without an exponent, or None; it says the same as `_NUMBER`, only faster."""
    least, most = pc.min_max(bytes_of(values)).as_py().values()
    if not ord("-") <= least <= most <= ord("9"):
        return None
    floats = cast_or_none(values, pa.float64())
    if floats is None:
        return None
    zeros = pc.starts_with(values, "0")
    if least == ord("-"):
        zeros = pc.or_(zeros, pc.starts_with(values, "-0"))
    if pc.any(zeros).as_py() and pc.any(pc.match_substring_regex(values.filter(zeros), r"^-?0[0-9]")).as_py():
        return None
    return floats


def bytes_of(values: pa.Array) -> pa.Array:
    """Give the bytes of text without nulls, one after the other."""
    _, ends, data = values.cast(pa.string()).buffers()
    offsets = pa.Array.from_buffers(pa.int32(), len(values) + 1, [None, ends], offset=values.offset)
    start, end = offsets[0].as_py(), offsets[-1].as_py()
    return pa.Array.from_buffers(pa.uint8(), end - start, [None, data], offset=start)


def _width(numbers: pa.Array) -> tuple[int, int]:
    """Give the most digits before and after the point."""
    with_exponent = pc.match_substring(numbers, "e", ignore_case=True)
    widths = [_width_of(Decimal(text)) for text in numbers.filter(with_exponent).to_pylist()]
    plain = numbers.filter(pc.invert(with_exponent))
    if len(plain):
        widths.append(_plain_width(plain))
    return max(width[0] for width in widths), max(width[1] for width in widths)


def _plain_width(numbers: pa.Array) -> tuple[int, int]:
    length, point = pc.binary_length(numbers), pc.find_substring(numbers, ".")
    none = pc.equal(point, -1)
    before = pc.subtract(pc.if_else(none, length, point), pc.cast(pc.starts_with(numbers, "-"), pa.int32()))
    after = pc.if_else(none, pa.scalar(0, pa.int32()), pc.subtract(pc.subtract(length, point), 1))
    return pc.max(before).as_py(), pc.max(after).as_py()


def _width_of(number: Decimal) -> tuple[int, int]:
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    return max(len(digits) + exponent, 1), max(-exponent, 0)


def _fit_float64(numbers: pa.Array) -> bool:
    """True if every number comes back digit by digit from a float."""
    hard = pc.or_(
        pc.greater(pc.binary_length(numbers), SAFE_DIGITS), pc.match_substring(numbers, "e", ignore_case=True)
    )
    return _print_as(numbers, pc.cast(numbers, pa.float64()), hard)


def _print_as(numbers: pa.Array, floats: pa.Array, hard: pa.Array) -> bool:
    """True if the ``hard`` ones among these floats print the very numbers; the others are known to."""
    if not pc.any(hard).as_py():
        return True
    if not pc.all(hard).as_py():
        numbers, floats = numbers.filter(hard), floats.filter(hard)
    whole = numbers.filter(pc.invert(pc.match_substring_regex(numbers, "[.eE]")))
    if len(whole) and not _infer_int(whole).fits_float64:  # type: ignore[union-attr]  # whole numbers are integers
        return False  # as in a column, or in a part of it, that has whole numbers only
    printed = pc.cast(floats, pa.string())
    for padding in ("", "0"):  # as it stands, and without the zeros at its end
        other = pc.not_equal(printed, pc.utf8_rtrim(numbers, padding) if padding else numbers)
        if not pc.any(other).as_py():
            return True
        numbers, printed = numbers.filter(other), printed.filter(other)
    return all(_fits_float64(text) for text in numbers.to_pylist())


def _fits_float64(text: str) -> bool:
    number = float(text)
    return isfinite(number) and Decimal(repr(number)) == Decimal(text)


def _infer_not_finite(values: pa.Array) -> ColumnStats | None:
    return ColumnStats(Kind.NOT_FINITE, finite=False) if _all_match(values, _NOT_FINITE_WORD) else None


def _infer_bool(values: pa.Array) -> ColumnStats | None:
    words = pc.is_in(pc.utf8_lower(values), value_set=pa.array(["true", "false"]))
    return ColumnStats(Kind.BOOL) if pc.all(words).as_py() else None


def _infer_date(values: pa.Array) -> ColumnStats | None:
    dates = cast_or_none(values, pa.date32())
    if dates is None:
        return None
    times = pc.cast(dates, pa.timestamp(UNIT))
    return ranged(ColumnStats(Kind.DATE), times) if have_years(times) else None


def _infer_datetime(values: pa.Array) -> ColumnStats | None:
    return _infer_time(iso_times(values), Kind.DATETIME, None)


def _infer_timestamp(values: pa.Array) -> ColumnStats | None:
    return _infer_time(iso_times(values), Kind.TIMESTAMP, ZONE)


def _infer_time(values: pa.Array, kind: Kind, zone: str | None) -> ColumnStats | None:
    times = cast_or_none(values, pa.timestamp(UNIT, zone))
    if times is not None:
        return ranged(ColumnStats(kind), times) if have_years(times) else None
    return None if nanoseconds_or_none(values, zone) is None else ColumnStats(kind, nanoseconds=True)


def nanoseconds_or_none(text: pa.Array, zone: str | None) -> pa.Array | None:
    """Read times with more digits than six, or give None; Arrow keeps nanoseconds for the years 1678 to 2261 only."""
    years = pc.utf8_slice_codeunits(text, 0, 4)
    # Checked by hand: older versions of Arrow take other years for these.
    if pc.any(pc.or_(pc.less(years, "1678"), pc.greater(years, "2261"))).as_py():
        return None
    return cast_or_none(text, pa.timestamp("ns", zone))


def have_years(times: pa.Array) -> bool:
    """True if all times, of which there is one at least, lie in the years 1 to 9999."""
    bounds: Any = pc.min_max(pc.cast(times, pa.int64())).as_py()
    low, high = _YEARS.cast(pa.int64()).to_pylist()
    return bool(low <= bounds["min"] and bounds["max"] <= high)


def ranged(seen: ColumnStats, times: pa.Array) -> ColumnStats:
    """Note whether all times lie where Arrow keeps nanoseconds."""
    bounds: Any = pc.min_max(pc.cast(times, pa.int64())).as_py()
    low, high = _NANOSECOND_YEARS.cast(pa.int64()).to_pylist()
    inside = low <= bounds["min"] and bounds["max"] <= high
    return seen if inside else ColumnStats(seen.kind, in_nanosecond_range=False)


_Inference = Callable[[pa.Array], ColumnStats | None]
_QUOTED: tuple[_Inference, ...] = (_infer_int, _infer_number, _infer_not_finite, _infer_bool)
_ALWAYS: tuple[_Inference, ...] = (_infer_date, _infer_datetime, _infer_timestamp)

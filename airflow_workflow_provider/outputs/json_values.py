"""JSON values of a column into an Arrow array, and what was seen in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs import inference
from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.convert import as_text, converted, misfit
from airflow_workflow_provider.outputs.types import UNIT, WORDS, ZONE

_NUMBERS = frozenset({int, float, Decimal})
_WRAPPED = frozenset({"number", "date", "datetime", "timestamp"})


def column(
    values: list[Any], word: str, name: str, first_row: int, before: ColumnStats, where: str
) -> tuple[pa.Array, ColumnStats]:
    """Give one column of rows by the word that its page declares. Raises `OutputUnavailable`."""
    if word in _WRAPPED and dict in set(map(type, values)):
        values = [_unwrapped(value) for value in values]
    try:
        array, seen = _BUILDERS.get(word, _any)(values, name, first_row, before, where)
    except UnicodeEncodeError as error:
        raise _no_text(values, name, first_row, where) from error
    return array, seen.declared(WORDS.get(word, WORDS["any"]))


def untyped(values: list[Any], name: str, first_row: int, where: str) -> pa.Array:
    """Give one column whose final type the user has chosen."""
    try:
        return _any(values, name, first_row, TEXT, where)[0]
    except UnicodeEncodeError as error:
        raise _no_text(values, name, first_row, where) from error


def _no_text(values: list[Any], name: str, first_row: int, where: str) -> OutputUnavailable:
    """Make the error for half a surrogate pair, such as a text that was cut within an emoji."""
    for row, value in enumerate(values, first_row):
        text = "" if value is None else as_text(value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            spelled = text[:80].encode("ascii", "backslashreplace").decode()
            return OutputUnavailable(
                f"{where}column {name!r}, row {row}: {spelled!r} holds half a surrogate pair, which is not a character"
            )
    return OutputUnavailable(f"{where}column {name!r}: a text holds half a surrogate pair, which is not a character")


def _spelled_out(values: list[Any], name: str, first_row: int, where: str) -> pa.Array:
    """Give a column of text, in which other values are spelled as JSON."""
    made = []
    for row, value in enumerate(values, first_row):
        try:
            made.append(value if value is None else as_text(value))
        except ValueError as error:
            raise OutputUnavailable(f"{where}column {name!r}, row {row}: {error}") from error
    return pa.array(made, pa.string())


def _unwrapped(value: Any) -> Any:
    """BigQuery's own client writes its times and big numbers as ``{"value": …}``."""
    return value["value"] if isinstance(value, dict) and value.keys() == {"value"} else value


def _any(values: list[Any], name: str, first_row: int, before: ColumnStats, where: str) -> tuple[pa.Array, ColumnStats]:
    types = set(map(type, values)) - {type(None)}
    if not types:
        return pa.nulls(len(values)), ColumnStats()
    if str in types and len(types) > 1 and not any(values_of_text(values)):
        # Empty text is no value beside numbers; the text stays in the batch, for the column may turn out to be text.
        _, stats = _any([None if value == "" else value for value in values], name, first_row, before, where)
        return _spelled_out(values, name, first_row, where), stats | ColumnStats(Kind.BLANK)
    if types == {bool}:
        return pa.array(values, pa.bool_()), ColumnStats(Kind.BOOL)
    if types <= _NUMBERS:
        return _numbers(values, types)
    if types == {str} or types <= {datetime, date}:
        array = pa.array(values, pa.string()) if types == {str} else _spelled_out(values, name, first_row, where)
        return array, (TEXT if before.kind is Kind.TEXT else inference.infer_text(array, quoted_numbers=False))
    return _spelled_out(values, name, first_row, where), TEXT


def values_of_text(values: list[Any]) -> Iterator[str]:
    """Give the texts among these values."""
    return (value for value in values if type(value) is str)


def _numbers(values: list[Any], types: set[type]) -> tuple[pa.Array, ColumnStats]:
    if types == {int}:
        try:
            array = pa.array(values, pa.int64())
        except (OverflowError, pa.ArrowInvalid):
            pass
        else:
            return array, inference.infer_int(array.drop_null())
    text = pa.array([value if value is None else _digits(value) for value in values], pa.string())
    # Only "nan" and its like are no numbers in JSON's grammar; alone in a batch they are numbers all the same.
    # The text is kept: the column may be one of text, where a number has the digits that the source spells.
    return text, inference.infer_decimal_text(text.drop_null()) or ColumnStats(Kind.NUMBER, finite=False)


def _digits(value: Any) -> str:
    return repr(value) if type(value) is int else as_text(value)


def _string(
    values: list[Any], name: str, first_row: int, before: ColumnStats, where: str
) -> tuple[pa.Array, ColumnStats]:
    if set(map(type, values)) <= {str, type(None)}:
        array = pa.array(values, pa.string())
    else:
        array = _spelled_out(values, name, first_row, where)
    return array, (TEXT if array.null_count < len(array) else ColumnStats())


def _number(
    values: list[Any], name: str, first_row: int, before: ColumnStats, where: str
) -> tuple[pa.Array, ColumnStats]:
    types = set(map(type, values)) - {type(None)}
    if types <= _NUMBERS:
        return _any(values, name, first_row, before, where)
    text = pa.array([value if value is None else _spelled(value) for value in values], pa.string())
    seen = inference.infer_text(text, quoted_numbers=True)
    if seen.kind in (Kind.INT, Kind.NUMBER, Kind.BLANK):
        return text, seen if seen.kind is not Kind.BLANK else ColumnStats()
    row, value = next((row, value) for row, value in enumerate(values, first_row) if not _is_number(value))
    raise misfit(name, row, value, "number", where)


def _spelled(value: Any) -> str:
    return value.strip() if isinstance(value, str) else _digits(value)


def _is_number(value: Any) -> bool:
    if value is None or type(value) in _NUMBERS:
        return True
    one = inference.infer_text(pa.array([_spelled(value)]), quoted_numbers=True)
    return not isinstance(value, bool) and one.kind in (Kind.INT, Kind.NUMBER, Kind.BLANK)


def _typed(kind: Kind, wanted: pa.DataType) -> Builder:
    """Give the builder of a column whose type is certain."""

    def build(
        values: list[Any], name: str, first_row: int, before: ColumnStats, where: str
    ) -> tuple[pa.Array, ColumnStats]:
        if kind is not Kind.BOOL:  # a bare number is no time: nothing tells what it counts
            values = [value if value is None else as_text(value) for value in values]
        array = untyped(values, name, first_row, where)
        if pa.types.is_timestamp(wanted) and not pa.types.is_null(array.type) and has_nanoseconds(array):
            return array, ColumnStats(kind, nanoseconds=True)
        made = converted(array, wanted, name, first_row=first_row, where=where)
        if made.null_count == len(made):
            return made, ColumnStats()
        if pa.types.is_timestamp(wanted):
            return made, inference.ranged(ColumnStats(kind), made.drop_null())
        return made, ColumnStats(kind)

    return build


def has_nanoseconds(text: pa.Array) -> bool:
    """True if text holds times with more digits than six."""
    text = inference.iso_times(text)
    if not pc.any(pc.match_substring_regex(text, r"\.\d{7}")).as_py():
        return False
    return any(inference.nanoseconds_or_none(text, zone) is not None for zone in (ZONE, None))


Builder = Callable[[list[Any], str, int, ColumnStats, str], tuple[pa.Array, ColumnStats]]
_BUILDERS: Mapping[str, Builder] = {
    "string": _string,
    "number": _number,
    "bool": _typed(Kind.BOOL, pa.bool_()),
    "date": _typed(Kind.DATE, pa.date32()),
    "datetime": _typed(Kind.DATETIME, pa.timestamp(UNIT)),
    "timestamp": _typed(Kind.TIMESTAMP, pa.timestamp(UNIT, ZONE)),
    "any": _any,
}


def columns_of(
    rows: Sequence[Mapping[str, Any]],
    words: Mapping[str, str],
    *,
    typed: frozenset[str],
    before: Mapping[str, ColumnStats],
    first_row: int,
    where: str,
) -> tuple[pa.RecordBatch, dict[str, ColumnStats]]:
    """Give rows as a record batch with these columns; a row that lacks one has no value there."""
    arrays, seen = [], {}
    for name, word in words.items():
        values = [row.get(name) for row in rows]
        if name in typed:
            arrays.append(untyped(values, name, first_row, where))
            seen[name] = TEXT
        else:
            array, seen[name] = column(values, word, name, first_row, before.get(name, ColumnStats()), where)
            arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=list(words)), seen

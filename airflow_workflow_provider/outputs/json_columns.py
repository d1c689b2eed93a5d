"""Columns of a page that Arrow has parsed, and their statistics; the same as `json_values` gives for values."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.outputs import inference
from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.convert import converted
from airflow_workflow_provider.outputs.json_values import has_nanoseconds
from airflow_workflow_provider.outputs.types import WORDS

_KINDS = {"date": Kind.DATE, "datetime": Kind.DATETIME, "timestamp": Kind.TIMESTAMP}
_MOST_SCALE = 15  # of numbers with at most 15 digits and no exponent


def columns_of_batch(
    batch: pa.RecordBatch,
    words: Mapping[str, str],
    *,
    typed: frozenset[str],
    before: Mapping[str, ColumnStats],
    first_row: int,
    where: str,
) -> tuple[pa.RecordBatch, dict[str, ColumnStats]]:
    """Give these columns of a batch; one that it lacks has no value there."""
    arrays, seen = [], {}
    for name, word in words.items():
        array = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)
        if name in typed:
            seen[name] = TEXT
        else:
            array, one = _column(array, word, name, first_row, before.get(name, ColumnStats()), where)
            seen[name] = one.declared(WORDS.get(word, WORDS["any"]))
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=list(words)), seen


def _column(
    array: pa.Array, word: str, name: str, first_row: int, before: ColumnStats, where: str
) -> tuple[pa.Array, ColumnStats]:
    if array.null_count == len(array):
        return pa.nulls(len(array), pa.string() if word == "string" else pa.null()), ColumnStats()
    if word in _KINDS:
        return _times(array, word, name, first_row, where)
    return array, _seen(array, before, is_text=word == "string" or before.kind is Kind.TEXT)


def _seen(array: pa.Array, before: ColumnStats, *, is_text: bool) -> ColumnStats:
    if pa.types.is_boolean(array.type):
        return ColumnStats(Kind.BOOL)
    if pa.types.is_integer(array.type):
        return inference.infer_int(array.drop_null())
    if pa.types.is_floating(array.type):
        return _floats(array.drop_null(), before)
    return TEXT if is_text else inference.infer_text(array, quoted_numbers=False)


def _times(array: pa.Array, word: str, name: str, first_row: int, where: str) -> tuple[pa.Array, ColumnStats]:
    kind, wanted = _KINDS[word], WORDS[word]
    if pa.types.is_timestamp(wanted) and has_nanoseconds(array):
        return array, ColumnStats(kind, nanoseconds=True)
    made = converted(array, wanted, name, first_row=first_row, where=where)
    if made.null_count == len(made):
        return made, ColumnStats()
    return made, inference.ranged(ColumnStats(kind), made.drop_null()) if pa.types.is_timestamp(
        wanted
    ) else ColumnStats(kind)


def _floats(values: pa.Array, before: ColumnStats) -> ColumnStats:
    """Tell what numbers hold that were spelled with few digits, so that a float keeps them."""
    # What is found is joined with what was seen before, so there is no use in looking for a smaller scale.
    for scale in range(min(before.scale, _MOST_SCALE), _MOST_SCALE + 1):
        if pc.all(pc.equal(pc.round(values, ndigits=scale), values)).as_py():
            digits = len(str(int(pc.max(pc.abs(values)).as_py())))
            return ColumnStats(Kind.NUMBER, digits, scale)
    return inference.infer_decimal_text(pc.cast(values, pa.string())) or ColumnStats(Kind.NUMBER, finite=False)

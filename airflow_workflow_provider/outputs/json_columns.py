"""Columns of a page that were parsed by Arrow, and what was seen in them; the same as `rows` gives for values."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.outputs import scan
from airflow_workflow_provider.outputs.convert import converted
from airflow_workflow_provider.outputs.rows import has_nanoseconds
from airflow_workflow_provider.outputs.seen import TEXT, Kind, Seen
from airflow_workflow_provider.outputs.types import WORDS

_KINDS = {"date": Kind.DATE, "datetime": Kind.DATETIME, "timestamp": Kind.TIMESTAMP}
_MOST_SCALE = 15  # of numbers with at most 15 digits and no exponent


def columns_of_batch(
    batch: pa.RecordBatch,
    words: Mapping[str, str],
    *,
    typed: frozenset[str],
    before: Mapping[str, Seen],
    first_row: int,
    where: str,
) -> tuple[pa.RecordBatch, dict[str, Seen]]:
    """Give these columns of a batch; one that it lacks has no value there."""
    arrays, seen = [], {}
    for name, word in words.items():
        array = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)
        if name in typed:
            seen[name] = TEXT
        else:
            array, one = _column(array, word, name, first_row, before.get(name, Seen()), where)
            seen[name] = one.declared(WORDS.get(word, WORDS["any"]))
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=list(words)), seen


def _column(array: pa.Array, word: str, name: str, first_row: int, before: Seen, where: str) -> tuple[pa.Array, Seen]:
    if array.null_count == len(array):
        return pa.nulls(len(array), pa.string() if word == "string" else pa.null()), Seen()
    if word in _KINDS:
        return _times(array, word, name, first_row, where)
    return array, _seen(array, before, is_text=word == "string" or before.kind is Kind.TEXT)


def _seen(array: pa.Array, before: Seen, *, is_text: bool) -> Seen:
    if pa.types.is_boolean(array.type):
        return Seen(Kind.BOOL)
    if pa.types.is_integer(array.type):
        return scan.scan_int(array.drop_null())
    if pa.types.is_floating(array.type):
        return _floats(array.drop_null(), before)
    return TEXT if is_text else scan.scan_text(array, quoted_numbers=False)


def _times(array: pa.Array, word: str, name: str, first_row: int, where: str) -> tuple[pa.Array, Seen]:
    kind, wanted = _KINDS[word], WORDS[word]
    if pa.types.is_timestamp(wanted) and has_nanoseconds(array):
        return array, Seen(kind, nanoseconds=True)
    made = converted(array, wanted, name, first_row=first_row, where=where)
    if made.null_count == len(made):
        return made, Seen()
    return made, scan.ranged(Seen(kind), made.drop_null()) if pa.types.is_timestamp(wanted) else Seen(kind)


def _floats(values: pa.Array, before: Seen) -> Seen:
    """Tell what numbers hold that were spelled with few digits, so that a float keeps them."""
    # What is found is joined with what was seen before, so there is no use in looking for a smaller scale.
    for scale in range(min(before.scale, _MOST_SCALE), _MOST_SCALE + 1):
        if pc.all(pc.equal(pc.round(values, ndigits=scale), values)).as_py():
            digits = len(str(int(pc.max(pc.abs(values)).as_py())))
            return Seen(Kind.NUMBER, digits, scale)
    return scan.scan_decimal_text(pc.cast(values, pa.string())) or Seen(Kind.NUMBER, finite=False)

"""Arrow batches as the text of PostgreSQL's COPY: a row a line, made by kernels of Arrow alone."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.transfers.sinks.sql_dialects import SqlDialect
from airflow_workflow_provider.transfers.sinks.sql_types import kind_of

ROWS = 8_192  # a piece; about a megabyte
_ESCAPED = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


def copy_text(batch: pa.RecordBatch, dialect: SqlDialect) -> Iterator[memoryview]:
    r"""Give the rows of a batch, some thousands at a time; NULL is ``\N``."""
    for start in range(0, batch.num_rows, ROWS):
        yield _lines([_texts(column, dialect) for column in batch.slice(start, ROWS).columns])


def _lines(columns: list[pa.Array]) -> memoryview:
    joined = pc.binary_join_element_wise(*columns, "\t", null_handling="replace", null_replacement="\\N")
    lines = pc.binary_join_element_wise(joined, "", "\n")  # a line end behind each
    offsets = pa.Array.from_buffers(pa.int32(), len(lines) + 1, [None, lines.buffers()[1]], offset=lines.offset)
    return memoryview(lines.buffers()[2])[offsets[0].as_py() : offsets[len(lines)].as_py()]


def _texts(column: pa.Array, dialect: SqlDialect) -> pa.Array:
    """Spell the values of a column as PostgreSQL reads them, digit by digit."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _times(column)
    if pa.types.is_float32(kind):
        column = pc.cast(column, pa.float64())
    if kind_of(kind, dialect) == "binary":
        return pa.array([None if value is None else "\\\\x" + value.hex() for value in column.to_pylist()], pa.string())
    text = pc.cast(column, pa.string())
    return _escaped(text) if kind_of(kind, dialect) == "text" else text


def _times(column: pa.Array) -> pa.Array:
    """Spell times to the microsecond; PostgreSQL has no nanoseconds."""
    zone = "UTC" if column.type.tz else None
    # Arrow prints a time with a zone twenty times slower than one without.
    plain = pc.cast(pc.cast(column, pa.timestamp("us", zone), safe=False), pa.timestamp("us"))
    text = pc.cast(plain, pa.string())
    return pc.binary_join_element_wise(text, "Z", "") if zone else text


def _escaped(text: pa.Array) -> pa.Array:
    for character, spelled in _ESCAPED:
        if pc.any(pc.match_substring(text, character)).as_py():
            text = pc.replace_substring(text, character, spelled)
    return text

"""Arrow batches as the text of PostgreSQL's COPY: a row a line, made by kernels of Arrow alone."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.transfers.sinks.sql_dialects import SqlDialect
from airflow_workflow_provider.transfers.sinks.sql_types import kind_of

ROWS = 4_096  # a piece; about half a megabyte
_NULL = "\\N"
_ESCAPED = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


def copy_text(batch: pa.RecordBatch, dialect: SqlDialect) -> Iterator[memoryview]:
    r"""Give the rows of a batch, some thousands at a time; NULL is ``\N``."""
    for start in range(0, batch.num_rows, ROWS):
        yield _lines([_texts(column, dialect) for column in batch.slice(start, ROWS).columns])


def _lines(columns: list[pa.Array]) -> memoryview:
    *others, last = columns
    last = _joined(last, "", separator="\n")  # a line end behind each
    return _content(_joined(*others, last, separator="\t"))


def _joined(*texts: pa.Array | str, separator: str) -> pa.Array:
    return pc.binary_join_element_wise(*texts, separator, null_handling="replace", null_replacement=_NULL)


def _content(texts: pa.Array) -> memoryview:
    """Give all texts as they lie in memory, one behind the other, without copying them."""
    offsets = pa.Array.from_buffers(pa.int32(), len(texts) + 1, [None, texts.buffers()[1]], offset=texts.offset)
    return memoryview(texts.buffers()[2] or b"")[offsets[0].as_py() : offsets[len(texts)].as_py()]


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
    content = bytes(_content(text)) if len(text) else b""  # searching this is ten times as fast as each text
    for character, spelled in _ESCAPED:
        if character.encode() in content:
            text = pc.replace_substring(text, character, spelled)
    return text

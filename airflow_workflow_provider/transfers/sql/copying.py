"""PostgreSQL's ``COPY … FROM STDIN``, by psycopg 3 or psycopg2, whichever Airflow's hook has connected with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.transfers.sql.dialects import SqlDialect
from airflow_workflow_provider.transfers.sql.types import kind_of, spelled

PIECE = 1 << 20  # bytes that psycopg2 asks for at a time
_FIRST_VERSION = 90_400  # has FORCE_NULL; Redshift calls itself 8.0.2, and copies from its own storage only
_PLACE = re.compile(r"^COPY [^\n]*?, line (\d+)(?:, column (.*?)(?::|$))?", re.MULTILINE | re.DOTALL)
_DATA_EXCEPTION = "22"  # the class of SQLSTATEs


def can_copy(connection: Any, cursor: Any) -> bool:
    """True if this driver and this server have ``COPY … FROM STDIN``."""
    if not hasattr(cursor, "copy_expert") and not callable(getattr(cursor, "copy", None)):
        return False
    version = getattr(connection, "server_version", None) or getattr(connection, "info", None)
    return int(getattr(version, "server_version", version) or 0) >= _FIRST_VERSION


def copy(cursor: Any, statement: str, blocks: Iterable[Any]) -> int:
    """Send blocks of bytes; give the number of rows. What the blocks themselves raise comes out as it is."""
    source = _Watched(blocks)
    try:
        if hasattr(cursor, "copy_expert"):
            cursor.copy_expert(statement, source, PIECE)
        else:
            with cursor.copy(statement) as copying:
                for block in source:
                    copying.write(memoryview(block))  # psycopg cuts it into pieces, and would copy them
    except BaseException as error:
        if source.error is not None and error is not source.error:
            raise source.error from error
        raise
    return int(cursor.rowcount)


class _Watched:
    """Blocks as an iterator (psycopg 3) or as a file (psycopg2, which hides what its reading raises)."""

    def __init__(self, blocks: Iterable[Any]) -> None:
        self._blocks = iter(blocks)
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._blocks)
        except StopIteration:
            raise
        except BaseException as error:  # a task's time-out is no Exception
            self.error = error
            raise

    def read(self, size: int) -> bytes:
        """Give the next block, whatever its size; nothing at the end."""
        return bytes(next(self, b""))


def is_unfit(error: Exception) -> bool:
    """True if the server says that a value is none of its column's type, or the data no CSV."""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return str(code or "").startswith(_DATA_EXCEPTION)


def placed(error: Exception, unit: str, find: Callable[[int], tuple[str, int]]) -> WorkflowError | None:
    """Give the server's error with the output, the row or line, and the column, where it names them.

    ``find`` gives the output and the number there of what was sent, counted from 1.
    """
    diagnosis = getattr(error, "diag", None)
    found = _PLACE.search(str(getattr(diagnosis, "context", None) or ""))
    if diagnosis is None or found is None:
        return None
    column = f", column {found[2]!r}" if found[2] else ""
    detail = f" ({diagnosis.message_detail})" if diagnosis.message_detail else ""
    where, number = find(int(found[1]))
    return WorkflowError(f"{where}{unit} {number}{column}: {diagnosis.message_primary}{detail}")


ROWS = 4_096  # a piece; about half a megabyte
_NULL = "\\N"
_ESCAPED = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


def copy_text(batch: pa.RecordBatch, dialect: SqlDialect) -> Iterator[memoryview]:
    r"""Give the rows of a batch, some thousands at a time; NULL is ``\N``."""
    for start in range(0, batch.num_rows, ROWS):
        yield _lines([_texts(column, dialect) for column in batch.slice(start, ROWS).columns])


def without_zones(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give moments as times in UTC, and booleans as numbers, for a database that has neither zones nor booleans."""
    arrays = []
    for column in batch.columns:
        if pa.types.is_timestamp(column.type) and column.type.tz:
            arrays.append(pc.cast(column, pa.timestamp(column.type.unit)))
        elif pa.types.is_boolean(column.type):
            arrays.append(pc.cast(column, pa.int8()))
        else:
            arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


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
    if kind_of(kind, dialect) == "text":
        return _escaped(spelled(column))
    if pa.types.is_timestamp(kind):
        return moments(column)
    if kind_of(kind, dialect) == "binary":
        return pa.array([None if value is None else "\\\\x" + value.hex() for value in column.to_pylist()], pa.string())
    return pc.cast(column, pa.string())


def moments(column: pa.Array) -> pa.Array:
    """Spell times to the microsecond; PostgreSQL has no nanoseconds."""
    zone = "UTC" if column.type.tz else None
    # Arrow prints a time with a zone twenty times slower than one without.
    plain = pc.cast(pc.cast(column, pa.timestamp("us", zone)), pa.timestamp("us"))
    text = pc.cast(plain, pa.string())
    return pc.binary_join_element_wise(text, "Z", "") if zone else text


def _escaped(text: pa.Array) -> pa.Array:
    content = bytes(_content(text)) if len(text) else b""  # searching this is ten times as fast as each text
    for character, escape in _ESCAPED:
        if character.encode() in content:
            text = pc.replace_substring(text, character, escape)
    return text

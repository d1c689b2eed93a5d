"""PostgreSQL's ``COPY … FROM STDIN``, by psycopg 3 or psycopg2, whichever Airflow's hook has connected with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from airflow_workflow_provider.exceptions import WorkflowError

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


def placed(error: Exception, unit: str, first: int) -> WorkflowError | None:
    """Give the server's error with the row or line, and the column, where it names them."""
    diagnosis = getattr(error, "diag", None)
    found = _PLACE.search(str(getattr(diagnosis, "context", None) or ""))
    if diagnosis is None or found is None:
        return None
    column = f", column {found[2]!r}" if found[2] else ""
    detail = f" ({diagnosis.message_detail})" if diagnosis.message_detail else ""
    return WorkflowError(f"{unit} {first + int(found[1]) - 1}{column}: {diagnosis.message_primary}{detail}")

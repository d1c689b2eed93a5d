"""The bulk paths of databases: how many rows get there at once, each by the database's own client.

PostgreSQL's ``COPY`` is not among them: it takes the bytes of a file as they come, see `csv_copy`.
"""
# ruff: noqa: S608 (names are quoted)

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.transfers.sql.catalog import Asks, text_of
from airflow_workflow_provider.transfers.sql.columns import TargetColumn
from airflow_workflow_provider.transfers.sql.copying import copy_text, without_zones
from airflow_workflow_provider.transfers.sql.dialects import MYSQL
from airflow_workflow_provider.transfers.sql.names import TableName, quoted

F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)  # of Linux; where there is none, the pipe stays small
FAST_EXECUTEMANY = "fast_executemany"  # of pyodbc: the rows of a call travel as arrays
_PIPE = 1 << 20  # bytes
_MOMENT = 0.05  # seconds


class Counts(Asks, Protocol):
    """What runs statements and counts the rows that they change; `session.SqlSession` is one."""

    def count(self, statement: str, parameters: Sequence[Any] | None = None) -> int:
        """Run a statement that changes rows; give how many, or -1 where the driver does not count."""

    def on_conflict(self, table: TableName) -> str:
        """Give what stands behind INSERT and UPDATE of a table."""


class BulkPath(Protocol):
    """One way to bring a batch of rows into a table."""

    @property
    def name(self) -> str:
        """What the database calls it."""

    @property
    def stages(self) -> bool:
        """True if rows go through a staging table where only INSERT obeys the table; see ``Target.takes_copy``."""

    def insert(self, session: Counts, table: TableName, columns: Sequence[TargetColumn], batch: pa.RecordBatch) -> int:
        """Insert a batch into these columns of a table; give how many rows, or -1 where that is not known."""


@dataclass(frozen=True)
class LoadData:
    """MySQL's and MariaDB's ``LOAD DATA LOCAL INFILE``.

    One statement takes all rows, through a named pipe that a thread fills, so that rows are spelled while the server
    stores others, and no file has them. What the server only warns of is refused, and the transaction takes all back.
    """

    name: str = "LOAD DATA LOCAL"
    stages: bool = True

    def insert(self, session: Counts, table: TableName, columns: Sequence[TargetColumn], batch: pa.RecordBatch) -> int:
        """Insert one batch."""
        return self.insert_all(session, table, columns, iter([batch]))

    def insert_all(
        self,
        session: Counts,
        table: TableName,
        columns: Sequence[TargetColumn],
        batches: Iterator[pa.RecordBatch],
    ) -> int:
        """Insert all batches, which have the same types; give how many rows."""
        first = next(batches, None)
        if first is None:
            return 0
        names, sets = [], []
        kinds = without_zones(first).schema.types
        for number, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
            name = quoted(column.name, MYSQL)
            convert = _conversion(column, kind)
            names.append(f"@v{number}" if convert else name)
            if convert:
                sets.append(f"{name} = {convert.format(f'@v{number}')}")
        with piped(_spelled(chain([first], batches), first.schema)) as path:
            place = path.replace("\\", "\\\\").replace("'", "\\'")
            # Line ends and separators are named: a session or a server may have others of its own.
            counted = session.count(
                f"LOAD DATA LOCAL INFILE '{place}' INTO TABLE {table.sql} CHARACTER SET utf8mb4 "
                "FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' LINES STARTING BY '' TERMINATED BY '\\n' "
                f"({', '.join(names)}){' SET ' + ', '.join(sets) if sets else ''}"
            )
            warned = session.rows("SHOW WARNINGS LIMIT 1")
        if warned:
            raise WorkflowError(f"LOAD DATA: {text_of(warned[0][2])}")
        return counted


def _spelled(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[memoryview]:
    for batch in batches:
        if batch.schema.types != schema.types:
            raise WorkflowError("the types of the columns have changed within the output")
        arrays = [_hex(one) if pa.types.is_binary(one.type) else one for one in without_zones(batch).columns]
        yield from copy_text(pa.RecordBatch.from_arrays(arrays, names=batch.schema.names), MYSQL)


@contextmanager
def piped(pieces: Iterator[memoryview]) -> Iterator[str]:
    """Give the path of a named pipe that a thread fills. What making the pieces raises comes out at the end."""
    with tempfile.TemporaryDirectory(prefix="airflow-workflow-") as folder:
        path = str(Path(folder) / "rows.tsv")
        os.mkfifo(path, 0o600)
        failed: list[BaseException] = []
        writer = threading.Thread(target=_fill, args=(path, pieces, failed), name="airflow-workflow-pipe", daemon=True)
        writer.start()
        try:
            yield path
        except BaseException as error:
            _abandon(path, writer)
            if failed and not isinstance(failed[0], BrokenPipeError):
                raise failed[0] from error
            raise
        _abandon(path, writer)
        if failed:
            raise failed[0]


def _fill(path: str, pieces: Iterator[memoryview], failed: list[BaseException]) -> None:
    try:
        with open(path, "wb", buffering=0) as pipe:  # noqa: PTH123 (waits here until the other end is opened)
            with suppress(OSError):
                fcntl.fcntl(pipe, F_SETPIPE_SZ, _PIPE)
            for piece in pieces:
                rest = piece
                while len(rest):
                    rest = rest[pipe.write(rest) :]
    except BaseException as error:  # noqa: BLE001 (whatever it is, the reader is to have it)
        failed.append(error)


def _abandon(path: str, writer: threading.Thread) -> None:
    """Wait for the thread to end, also where it waits for a reader that does not come."""
    writer.join(_MOMENT)
    while writer.is_alive():
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        writer.join(_MOMENT)


def allows_local_infile(hook: Any, conn_id: str) -> bool:
    """True if a connection to MySQL says that its client may send files: ``local_infile`` of the hook or its extra."""
    if getattr(hook, "local_infile", False):
        return True
    given = hook.get_connection(conn_id).extra_dejson.get("local_infile", False)
    return str(given).strip().lower() in ("1", "true", "yes", "on")


def _conversion(column: TargetColumn, kind: pa.DataType) -> str | None:
    """Give the expression for a value that LOAD DATA would take for other bytes than INSERT does."""
    if pa.types.is_binary(kind):
        return "UNHEX({})"
    if column.declared.lower().startswith("bit"):
        return "CAST({} AS UNSIGNED)"
    return None


def _hex(array: pa.Array) -> pa.Array:
    return pa.array([None if value is None else value.hex() for value in array.to_pylist()], pa.string())


@dataclass(frozen=True)
class ArrowTable:
    """DuckDB reads Arrow's memory as a table."""

    connection: Any
    name: str = "Arrow batches"
    stages: bool = False

    def insert(self, session: Counts, table: TableName, columns: Sequence[TargetColumn], batch: pa.RecordBatch) -> int:
        """Insert the rows by one statement."""
        listed = ", ".join(quoted(column.name, table.dialect) for column in columns)
        self.connection.register("airflow_batch", pa.Table.from_batches([batch]))
        counted = session.count(f"INSERT INTO {table.sql} ({listed}) SELECT * FROM airflow_batch")
        self.connection.unregister("airflow_batch")
        return counted

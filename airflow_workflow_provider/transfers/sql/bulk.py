"""The bulk paths of databases: how many rows get there at once, each by the database's own client.

PostgreSQL's ``COPY`` is not among them: it takes the bytes of a file as they come, see `csv_copy`.
"""
# ruff: noqa: S608 (names are quoted)

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.transfers.sql.catalog import Asks, text_of
from airflow_workflow_provider.transfers.sql.columns import TargetColumn
from airflow_workflow_provider.transfers.sql.copying import copy_text, without_zones
from airflow_workflow_provider.transfers.sql.dialects import MYSQL
from airflow_workflow_provider.transfers.sql.names import TableName, quoted


class Counts(Asks, Protocol):
    """What runs statements and counts the rows that they change; `session.SqlSession` is one."""

    def count(self, statement: str, parameters: Sequence[Any] | None = None) -> int:
        """Run a statement that changes rows; give how many, or -1 where the driver does not count."""


class BulkPath(Protocol):
    """One way to bring a batch of rows into a table."""

    @property
    def name(self) -> str:
        """What the database calls it."""

    @property
    def stages(self) -> bool:
        """True if rows for a table that exists go through a staging table: the path only warns of refused rows."""

    def insert(self, session: Counts, table: TableName, columns: Sequence[TargetColumn], batch: pa.RecordBatch) -> int:
        """Insert a batch into these columns of a table; give how many rows, or -1 where that is not known."""


@dataclass(frozen=True)
class LoadData:
    """MySQL's and MariaDB's ``LOAD DATA LOCAL INFILE``."""

    name: str = "LOAD DATA LOCAL"
    stages: bool = True

    def insert(self, session: Counts, table: TableName, columns: Sequence[TargetColumn], batch: pa.RecordBatch) -> int:
        """Write the rows into a temporary file and load it; what the server only warns of is refused."""
        names, sets = [], []
        arrays = list(without_zones(batch).columns)
        for number, column in enumerate(columns):
            name = quoted(column.name, MYSQL)
            convert = _conversion(column, arrays[number].type)
            names.append(f"@v{number}" if convert else name)
            if convert:
                sets.append(f"{name} = {convert.format(f'@v{number}')}")
            if pa.types.is_binary(arrays[number].type):
                arrays[number] = _hex(arrays[number])
        spelled = pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
        with tempfile.NamedTemporaryFile(prefix="airflow-workflow-", suffix=".tsv") as file:
            for piece in copy_text(spelled, MYSQL):
                file.write(piece)
            file.flush()
            path = file.name.replace("\\", "\\\\").replace("'", "\\'")
            # Line ends and separators are named: a session or a server may have others of its own.
            counted = session.count(
                f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table.sql} CHARACTER SET utf8mb4 "
                "FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' LINES STARTING BY '' TERMINATED BY '\\n' "
                f"({', '.join(names)}){' SET ' + ', '.join(sets) if sets else ''}"
            )
        warned = session.rows("SHOW WARNINGS LIMIT 1")
        if warned:
            raise WorkflowError(f"LOAD DATA: {text_of(warned[0][2])}")
        return counted


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

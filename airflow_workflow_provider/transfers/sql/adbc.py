"""Connections of Arrow Database Connectivity, as Airflow's `AdbcHook` gives them.

Rows travel as Arrow batches into a temporary table, and from there by one INSERT into the table, so that the database
compares them with the table's own types. A decimal travels as a decimal or as text, never as a float.
"""
# ruff: noqa: S608 (names are quoted, texts become literals)

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.transfers.sql.bulk import Counts
from airflow_workflow_provider.transfers.sql.columns import TargetColumn
from airflow_workflow_provider.transfers.sql.dialects import DUCKDB, MARK, POSTGRES, SQLITE, SqlDialect
from airflow_workflow_provider.transfers.sql.names import TableName, quoted
from airflow_workflow_provider.transfers.sql.types import kind_of, python_rows, spelled

NAME = "ADBC ingest"
KNOWN = (SQLITE.name, POSTGRES.name, DUCKDB.name)  # whose literals are known, so that no driver has to bind anything


def is_adbc(hook: Any) -> bool:
    """True for a hook whose connections are those of ADBC."""
    return str(getattr(hook, "conn_type", "")) == "adbc"


@cache
def own_dialect(dialect: SqlDialect) -> SqlDialect:
    """Give the dialect as a connection of ADBC has it: its cursors share a transaction, and count rows."""
    return replace(dialect, one_cursor=False, takes_arrow=False)


class AdbcConnection:
    """A connection of ADBC as the session wants one. Closing it closes its cursors first, which ADBC asks for."""

    def __init__(self, connection: Any, dialect: SqlDialect) -> None:
        self._connection, self._dialect = connection, dialect
        self._cursors: list[AdbcCursor] = []

    def cursor(self) -> AdbcCursor:
        """Give a cursor."""
        made = AdbcCursor(self._connection.cursor(), self._dialect)
        self._cursors.append(made)
        return made

    def commit(self) -> None:
        """Commit; the next transaction begins by itself."""
        self._connection.commit()

    def rollback(self) -> None:
        """Roll back; the next transaction begins by itself."""
        try:
            self._connection.rollback()
        except Exception:
            # The database has ended the transaction by itself, which the driver does not know.
            with suppress(Exception):
                self._cursors[0].raw.execute("BEGIN")
            raise

    def close(self) -> None:
        """Close the cursors and the connection."""
        for cursor in self._cursors:
            with suppress(Exception):
                cursor.raw.close()
        self._connection.close()


class AdbcCursor:
    """A cursor that puts parameters into the statement, since drivers bind them in ways of their own."""

    def __init__(self, raw: Any, dialect: SqlDialect) -> None:
        self.raw, self._dialect = raw, dialect
        self.rowcount = -1

    @property
    def description(self) -> Any:
        """The columns of the last query."""
        return self.raw.description

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement."""
        if self._dialect.name not in KNOWN:
            self.raw.execute(statement.replace(MARK, "?"), tuple(parameters) or None)
            self.rowcount = -1
            return
        if statement.startswith("BEGIN"):  # the driver has begun a transaction of its own
            with suppress(Exception):
                self.raw.execute("ROLLBACK")
        for value in parameters:
            statement = statement.replace(MARK, literal(value), 1)
        self.raw.execute(statement)
        self.rowcount = int(self.raw.rowcount)
        if self._dialect.name == SQLITE.name and statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self.raw.execute("SELECT changes()")
            self.rowcount = int(self.raw.fetchall()[0][0])

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Give the rows of the last query."""
        return list(self.raw.fetchall())


def literal(value: Any) -> str:
    """Spell a value for PostgreSQL (with standard strings), SQLite or DuckDB."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float, Decimal)):
        return f"({value})" if str(value).startswith("-") else str(value)
    text = value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
    if "\0" in text or not isinstance(value, (str, date)):
        raise WorkflowError(f"a parameter of a statement is {type(value).__name__}, which has no literal")
    return "'" + text.replace("'", "''") + "'"


class AdbcIngest:
    """The bulk path of ADBC."""

    name = NAME
    stages = False  # each batch goes through a table of its own already

    def __init__(self, cursor: AdbcCursor, dialect: SqlDialect) -> None:
        self._cursor, self._dialect = cursor, dialect
        self._staging = f"airflow_rows_{secrets.token_hex(6)}"

    def insert(self, session: Counts, table: TableName, columns: Sequence[TargetColumn], batch: pa.RecordBatch) -> int:
        """Insert the rows of a batch."""
        names = [f"c{number}" for number in range(len(columns))]
        arrays = [self._sent(column) for column in batch.columns]
        sent = pa.Table.from_arrays(arrays, names=names)
        listed = ", ".join(quoted(column.name, self._dialect) for column in columns)
        if self._dialect.name not in KNOWN:
            renamed = sent.rename_columns([column.name for column in columns])
            place = {"db_schema_name": table.schema} if table.schema else {}
            return int(self._cursor.raw.adbc_ingest(table.table, renamed, mode="append", **place))
        self._cursor.raw.adbc_ingest(self._staging, sent, mode="create", temporary=True)
        values = ", ".join(map(self._value, names, columns, arrays))
        keeps = " OVERRIDING SYSTEM VALUE" if any(column.special == "identity" for column in columns) else ""
        counted = session.count(
            f"INSERT{session.on_conflict(table)} INTO {table.sql} ({listed}){keeps} "
            f"SELECT {values} FROM {self._staging}"
        )
        session.run(f"DROP TABLE {self._staging}")
        return counted

    def _sent(self, column: pa.Array) -> pa.Array:
        """Give a column in a type that the driver takes as it is; any other as the text of its values."""
        kind = kind_of(column.type, self._dialect)
        if kind == "text":
            return spelled(column)
        if self._dialect.name == DUCKDB.name:
            return column
        if kind == "bool" and self._dialect.name == SQLITE.name:
            return pc.cast(column, pa.int64())
        plain = {"int", "float", "binary"}
        if self._dialect.name == POSTGRES.name:
            plain |= {"bool", "date", "datetime", "timestamp"}
        if kind in plain:
            return column
        batch = pa.RecordBatch.from_arrays([column], names=["c"])
        return pa.array([_text(row[0]) for row in python_rows(batch, self._dialect)], pa.string())

    def _value(self, name: str, column: TargetColumn, sent: pa.Array) -> str:
        """PostgreSQL converts text to a type only by a cast; a cast to text with a length would cut it."""
        if self._dialect.name != POSTGRES.name or not pa.types.is_string(sent.type) or column.type.kind == "text":
            return name
        return f"CAST({name} AS {column.declared})" if column.declared else name


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return format(value, "f") if isinstance(value, Decimal) else str(value)

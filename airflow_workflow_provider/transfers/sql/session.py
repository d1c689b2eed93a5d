"""One connection to the target database, and one transaction on it."""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook

from airflow_workflow_provider.exceptions import InvalidConnection
from airflow_workflow_provider.transfers.sql.copying import can_copy, copy
from airflow_workflow_provider.transfers.sql.dialects import MARK, SqlDialect, dialect_of
from airflow_workflow_provider.transfers.sql.names import TableName, TextColumns, quoted
from airflow_workflow_provider.transfers.sql.types import python_rows

ROWS = 5_000  # that are sent at a time


class SqlSession:
    """Runs statements, every parameter marked with `MARK`. Without `commit` nothing stays.

    ``created`` are tables that this session made where making one commits; `undo` drops them.
    """

    def __init__(self, hook: Any, connection: Any) -> None:
        self.dialect: SqlDialect = dialect_of(hook)
        self._hook, self._connection = hook, connection
        self._cursor = connection if self.dialect.one_cursor else connection.cursor()
        self._placeholder = str(hook.placeholder)
        self.created: list[TableName] = []
        self.can_copy = self.dialect.copies and can_copy(connection, self._cursor)
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)
        if hasattr(connection, "set_character_set"):  # mysqlclient may speak Latin-1 otherwise
            connection.set_character_set("utf8mb4")
        for statement in self.dialect.opening:
            self.run(statement)

    def quoted(self, name: str) -> str:
        """Quote a column's name."""
        return quoted(name, self.dialect)

    def begin(self) -> None:
        """Begin the transaction, where that does not happen by itself."""
        if self.dialect.begin:
            self.run(self.dialect.begin)

    def commit(self) -> None:
        """Make everything since `begin` stay."""
        self._connection.commit()

    def undo(self) -> None:
        """Take everything since `begin` back."""
        with suppress(Exception):  # a lost connection has rolled back by itself
            self._connection.rollback()
        for table in self.created:
            with suppress(Exception):
                self.run(f"DROP TABLE {table.sql}")
        self.created.clear()

    def run(self, statement: str, parameters: Sequence[Any] | None = None) -> None:
        """Run one statement."""
        if parameters is None:
            self._cursor.execute(statement)
        else:
            self._cursor.execute(self._marked(statement), tuple(parameters))

    def rows(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""
        self.run(statement, parameters)
        return [tuple(row.values() if isinstance(row, Mapping) else row) for row in self._cursor.fetchall()]

    def columns(self, table: TableName) -> dict[str, str] | None:
        """Give the columns of a table and their types in lower case, or None if there is no such table."""
        if self.dialect.columns is None:
            return self._columns_by_looking(table)
        return {name: kind for name, kind, _ in self._described(table)} or None

    def text_columns(self, table: TableName, chosen: Mapping[str, str] | None) -> TextColumns:
        """Tell which columns of a table are text, by the names of the source; none where nothing tells their types."""
        found = [] if self.dialect.columns is None else self._described(table)
        return TextColumns([name for name, _, _ in found], [name for name, _, is_text in found if is_text], chosen)

    def _described(self, table: TableName) -> list[tuple[str, str, bool]]:
        dialect = self.dialect
        found = self.rows(str(dialect.columns), dialect.columns_of(table.schema, table.table, table.sql))
        return [(str(name), _plain_type(_text(kind)), bool(is_text)) for name, kind, is_text in found]

    def insert(self, table: TableName, names: Sequence[str], batch: pa.RecordBatch) -> None:
        """Insert the rows of a batch into these columns."""
        columns = ", ".join(map(self.quoted, names))
        if self.dialect.takes_arrow:
            self._connection.register("airflow_batch", pa.Table.from_batches([batch]))
            self.run(f"INSERT INTO {table.sql} ({columns}) SELECT * FROM airflow_batch")
            self._connection.unregister("airflow_batch")
            return
        marks = ", ".join(MARK for _ in names)
        statement = self._marked(f"INSERT INTO {table.sql} ({columns}) VALUES ({marks})")
        for start in range(0, batch.num_rows, ROWS):
            self._cursor.executemany(statement, list(python_rows(batch.slice(start, ROWS), self.dialect)))

    def copy(self, table: TableName, names: Sequence[str], options: str, blocks: Iterable[Any]) -> int:
        """Send blocks of bytes to ``COPY … FROM STDIN``; give the number of rows."""
        columns = ", ".join(map(self.quoted, names))
        return copy(self._cursor, f"COPY {table.sql} ({columns}) FROM STDIN ({options})", blocks)

    def _marked(self, statement: str) -> str:
        if "%" in self._placeholder:
            statement = statement.replace("%", "%%")
        return statement.replace(MARK, self._placeholder)

    def _columns_by_looking(self, table: TableName) -> dict[str, str] | None:
        """Ask on another connection: where there is no such table, the error would spoil a transaction."""
        connection = self._hook.get_conn()
        try:
            cursor = connection.cursor()
            cursor.execute(f"SELECT * FROM {table.sql} WHERE 1 = 0")
            return {str(column[0]): "" for column in cursor.description}
        except Exception:  # noqa: BLE001 (each driver has its own word for "no such table")
            return None
        finally:
            connection.close()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _plain_type(kind: str) -> str:
    """Spell a type the same whoever wrote it: no blanks, and no display width, which MariaDB adds."""
    return re.sub(r"(?<=int)\(\d+\)", "", re.sub(r"\s", "", kind.lower()))


def same_type(one: str, other: str) -> bool:
    """True if two databases' spellings mean the same type."""
    return _plain_type(one) == _plain_type(other)


def sql_hook(conn_id: Any) -> Any:
    """Give the hook of a connection to a database. Raises `InvalidConnection`, which names ``sql_conn_id``."""
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    if not isinstance(conn_id, str) or not conn_id.strip():
        raise InvalidConnection("sql_conn_id: is empty")
    try:
        hook = BaseHook.get_connection(conn_id).get_hook()
    except AirflowNotFoundException as error:
        raise InvalidConnection(f"sql_conn_id: connection {conn_id!r} is not defined") from error
    except (AirflowException, ImportError) as error:
        raise InvalidConnection(f"sql_conn_id: connection {conn_id!r} has no hook: {error}") from error
    if not isinstance(hook, DbApiHook):
        kind = getattr(hook, "conn_type", "?")
        raise InvalidConnection(f"sql_conn_id: connection {conn_id!r} is of type {kind!r}, which is no SQL database")
    return hook


@contextmanager
def session(hook: Any) -> Iterator[SqlSession]:
    """Open a session and close it again; what was not committed is taken back."""
    connection = hook.get_conn()
    try:
        yield SqlSession(hook, connection)
    finally:
        with suppress(Exception):
            connection.close()

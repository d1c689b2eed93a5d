"""One connection to the target database, and one transaction on it."""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook

from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection, WorkflowError
from airflow_workflow_provider.transfers.sql.adbc import AdbcConnection, AdbcIngest, is_adbc, own_dialect
from airflow_workflow_provider.transfers.sql.bulk import FAST_EXECUTEMANY, ArrowTable, BulkPath, LoadData
from airflow_workflow_provider.transfers.sql.catalog import Target, catalog_of
from airflow_workflow_provider.transfers.sql.columns import Fitting, TargetColumn
from airflow_workflow_provider.transfers.sql.copying import can_copy, copy
from airflow_workflow_provider.transfers.sql.dialects import MARK, SqlDialect, dialect_of
from airflow_workflow_provider.transfers.sql.names import TableName, quoted
from airflow_workflow_provider.transfers.sql.types import python_rows

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 5_000  # that are sent at a time
LOCK_TIMEOUT = 600.0  # seconds
_PAUSE = 0.2  # seconds between two tries at a file that another process has locked
# What a MySQL session keeps of its own mode: the meaning of the author's SQL. All else is the same everywhere: what
# does not fit is an error, empty text is no NULL, and 0 is no order to count on.
_KEPT_MODES = {"ANSI_QUOTES", "PIPES_AS_CONCAT", "IGNORE_SPACE", "HIGH_NOT_PRECEDENCE", "NO_UNSIGNED_SUBTRACTION"}
_PINNED_MODES = (
    "STRICT_ALL_TABLES",
    "STRICT_TRANS_TABLES",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "NO_ENGINE_SUBSTITUTION",
    "NO_AUTO_VALUE_ON_ZERO",
)


class SqlSession:
    """Runs statements, every parameter marked with `MARK`. Without `commit` nothing stays.

    ``created`` are tables that this session made where making one commits; `undo` drops them. ``reverts`` are
    statements that take back other changes which have committed by themselves; `undo` runs them.
    """

    def __init__(
        self,
        hook: Any,
        connection: Any,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
        application: str = "",
        load_method: str = "auto",
    ) -> None:
        self.dialect: SqlDialect = dialect_of(hook)
        self.catalog = catalog_of(self.dialect.name)
        self.lock_timeout, self._application = lock_timeout, application
        self._hook, self._connection = hook, connection
        is_arrow = is_adbc(hook)
        if is_arrow:
            self.dialect = own_dialect(self.dialect)
            self._connection = connection = AdbcConnection(connection, self.dialect)
        self._cursor = connection if self.dialect.one_cursor else connection.cursor()
        self._placeholder = MARK if is_arrow else str(hook.placeholder)
        self._unlocks: list[Callable[[], None]] = []
        self._restores: list[tuple[str, list[Any]]] = []
        self.created: list[TableName] = []
        self.reverts: list[str] = []
        self._on_conflict: dict[tuple[str, ...], str] = {}
        self.can_copy = load_method != "insert" and self.dialect.copies and can_copy(connection, self._cursor)
        self.bulk = self._bulk_path(load_method, is_arrow=is_arrow)
        if hook.supports_autocommit and not is_arrow:  # which never commits by itself
            hook.set_autocommit(connection, False)
        if hasattr(connection, "set_character_set"):  # mysqlclient may speak Latin-1 otherwise
            connection.set_character_set("utf8mb4")
        if self.dialect.name == "MySQL":
            self._pin_modes()
        if self.dialect.name == "SQLite":
            self.run(f"PRAGMA busy_timeout = {round(lock_timeout * 1000)}")
        for statement in self.dialect.opening:
            self.run(statement)

    def _bulk_path(self, load_method: str, *, is_arrow: bool) -> BulkPath | None:
        if is_arrow:
            return AdbcIngest(self._cursor, self.dialect)
        if self.dialect.takes_arrow:
            return ArrowTable(self._connection)
        if load_method == "bulk" and self.dialect.name == "MySQL":
            return LoadData()
        if load_method != "insert" and hasattr(self._cursor, FAST_EXECUTEMANY):
            setattr(self._cursor, FAST_EXECUTEMANY, True)
        return None

    def _pin_modes(self) -> None:
        mode, zone, unique, foreign, warnings = self.rows(
            "SELECT @@SESSION.sql_mode, @@SESSION.time_zone, @@SESSION.unique_checks, @@SESSION.foreign_key_checks, "
            "@@SESSION.max_error_count"
        )[0]
        own = set(_text(mode).upper().split(","))
        self.run(f"SET SESSION sql_mode = {MARK}", [",".join([*sorted(own & _KEPT_MODES), *_PINNED_MODES])])
        self._restores = [
            (f"SET SESSION sql_mode = {MARK}", [_text(mode)]),
            (f"SET SESSION time_zone = {MARK}", [_text(zone)]),
            (f"SET SESSION unique_checks = {MARK}", [unique]),
            (f"SET SESSION foreign_key_checks = {MARK}", [foreign]),
            (f"SET SESSION max_error_count = {MARK}", [warnings]),
        ]

    def quoted(self, name: str) -> str:
        """Quote a column's name."""
        return quoted(name, self.dialect)

    def begin(self) -> None:
        """Begin the transaction, where that does not happen by itself, with settings that are the same everywhere."""
        if self.dialect.pinned:
            self._connection.rollback()  # the isolation level is set before anything is asked
            for statement in self.dialect.pinned:
                self.run(statement)
            if self._application:
                self.run(f"SELECT set_config('application_name', {MARK}, true)", [self._application[:63]])
        if self.dialect.begin:
            try:
                self.run(self.dialect.begin)
            except Exception as error:
                if "locked" in str(error) and self.dialect.name == "SQLite":
                    raise WorkflowError(
                        f"lock_timeout: another writer kept the SQLite file locked for {self.lock_timeout:g} seconds. "
                        "Wait for it, or give lock_timeout more seconds"
                    ) from error
                raise

    def commit(self) -> None:
        """Make everything since `begin` stay."""
        self._connection.commit()
        self.reverts.clear()
        self._unlock()

    def undo(self) -> None:
        """Take everything since `begin` back."""
        with suppress(Exception):  # a lost connection has rolled back by itself
            self._connection.rollback()
        for statement in [*self.reverts, *(f"DROP TABLE {table.sql}" for table in self.created)]:
            with suppress(Exception):
                self.run(statement)
        self.created.clear()
        self.reverts.clear()
        self._unlock()

    def close(self) -> None:
        """Give the session its own settings back, and close it."""
        with suppress(Exception):
            self._connection.rollback()
        self._unlock()
        for statement, parameters in self._restores:
            with suppress(Exception):
                self.run(statement, parameters)
        with suppress(Exception):
            self._connection.close()

    def run(self, statement: str, parameters: Sequence[Any] | None = None) -> None:
        """Run one statement."""
        if parameters is None:
            self._cursor.execute(statement)
        else:
            self._cursor.execute(self._marked(statement), tuple(parameters))

    def count(self, statement: str, parameters: Sequence[Any] | None = None) -> int:
        """Run a statement that changes rows; give how many, or -1 where the driver does not count."""
        self.run(statement, parameters)
        if self.dialect.takes_arrow:
            return int(self._cursor.fetchall()[0][0])
        return int(getattr(self._cursor, "rowcount", -1))

    def rows(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""
        self.run(statement, parameters)
        return [tuple(row.values() if isinstance(row, Mapping) else row) for row in self._cursor.fetchall()]

    def counted(self, rows_sql: str) -> int:
        """Count the rows of a table."""
        return int(self.rows(f"SELECT COUNT(*) FROM {rows_sql}")[0][0])

    def resolve(self, name: TableName) -> TableName:
        """Give the full identity of a table: the schema that the search path leads to, and the catalog's spelling."""
        return self.catalog.resolve(self, name)

    def look(self, name: TableName) -> Target:
        """Describe a table by its identity."""
        if self.dialect.name in _KNOWN:
            return self.catalog.look(self, name)
        return Target(name, self._columns_by_looking(name))

    def look_at_columns(self, name: TableName) -> Target:
        """Describe a table that is read only; see `Catalog.look_at_columns`."""
        return self.catalog.look_at_columns(self, name) if self.dialect.name in _KNOWN else self.look(name)

    def lock(self, names: Iterable[TableName]) -> None:
        """Wait until no other load of these tables is under way, in the same order for every load."""
        for name in sorted(names, key=lambda name: name.parts):
            self._unlocks.append(self.catalog.lock(self, name, self.lock_timeout))

    def _unlock(self) -> None:
        for unlock in self._unlocks:
            with suppress(Exception):  # a lost connection holds no lock
                unlock()
        self._unlocks.clear()

    def fitting(self, columns: Sequence[TargetColumn]) -> Fitting:
        """Give what compares values with the columns of a table."""
        dialect = self.dialect
        return Fitting(columns, takes_text=dialect.takes_text, takes_nan=dialect.takes_nan, takes_inf=dialect.takes_inf)

    def on_conflict(self, table: TableName) -> str:
        """Give what stands behind INSERT and UPDATE of a table; see `Catalog.on_conflict`."""
        if table.parts not in self._on_conflict:
            self._on_conflict[table.parts] = self.catalog.on_conflict(self, table)
        return self._on_conflict[table.parts]

    def stages_rows(self, target: Target) -> bool:
        """True if rows for this table go through a staging table, since they come by a path that is no INSERT."""
        return not target.takes_copy and (self.can_copy or (self.bulk is not None and self.bulk.stages))

    def insert(self, table: TableName, columns: Sequence[TargetColumn], batch: pa.RecordBatch) -> int:
        """Insert the rows of a batch into these columns; give how many, or -1 where the driver does not count."""
        if self.bulk is not None:
            return self.bulk.insert(self, table, columns, batch)
        listed = ", ".join(self.quoted(column.name) for column in columns)
        marks = ", ".join(MARK for _ in columns)
        statement = self._marked(f"INSERT{self.on_conflict(table)} INTO {table.sql} ({listed}) VALUES ({marks})")
        counted = 0
        for start in range(0, batch.num_rows, ROWS):
            rows = list(python_rows(batch.slice(start, ROWS), self.dialect))
            self._cursor.executemany(statement, rows)
            counts = getattr(self._cursor, "rowcount", -1) if self.dialect.counts_many else -1
            counted = -1 if counts is None or counts < 0 or counted < 0 else counted + counts
        return counted

    def insert_from(self, target: Target, staging: TableName, names: Sequence[str], condition: str = "") -> int:
        """Insert the rows of a staging table ``s``; give how many."""
        columns = ", ".join(map(self.quoted, names))
        values = ", ".join(f"s.{self.quoted(name)}" for name in names)
        keeps = " OVERRIDING SYSTEM VALUE" if self._has_identity(target, names) else ""
        return self.count(
            f"INSERT{self.on_conflict(target.name)} INTO {target.name.sql} ({columns}){keeps} "
            f"SELECT {values} FROM {staging.sql} s{condition}"
        )

    def _has_identity(self, target: Target, names: Sequence[str]) -> bool:
        columns = target.columns or {}
        return any(columns[name].special == "identity" for name in names if name in columns)

    def stage(self, target: Target, names: Sequence[str], name: str, keys: Sequence[TargetColumn] = ()) -> TableName:
        """Make an empty staging table with the target's own columns; `index` it when it is filled."""
        columns = ", ".join(map(self.quoted, names))
        return self._temporary(name, f"SELECT {columns} FROM {target.name.sql} WHERE 1 = 0", keys, beside=target.name)

    def index(self, staging: TableName, keys: Sequence[TargetColumn]) -> None:
        """Index the keys of a staging table where a join needs it."""
        columns = ", ".join(self.quoted(key.name) for key in keys)
        if self.dialect.indexes and self.dialect.name != "MySQL":  # where that commits, it has the index already
            index = TableName(("temp", f"{staging.table}_keys"), self.dialect)
            self.run(f"CREATE INDEX {index.sql} ON {self.quoted(staging.table)} ({columns})")
        if self.can_copy:
            self.run(f"ANALYZE {staging.sql}")

    def match(
        self, target: Target, staging: TableName, keys: Sequence[TargetColumn], name: str, on: str
    ) -> TableName | None:
        """Keep the keys that both tables have, where the database would look for each of them in the whole target."""
        if not self.dialect.indexes:
            return None
        columns = ", ".join(f"s.{self.quoted(key.name)}" for key in keys)
        matched = self._temporary(
            name, f"SELECT DISTINCT {columns} FROM {target.name.sql} AS t JOIN {staging.sql} AS s ON {on}", keys
        )
        self.index(matched, keys)
        return matched

    def _temporary(
        self, name: str, query: str, keys: Sequence[TargetColumn], *, beside: TableName | None = None
    ) -> TableName:
        dialect = self.dialect
        table = TableName((name,), dialect) if dialect.temporary or beside is None else beside.beside(name)
        indexed = ""
        if keys and dialect.indexes and dialect.name == "MySQL":
            long = re.compile("text|blob", re.IGNORECASE)
            columns = [self.quoted(key.name) + ("(191)" if long.search(key.declared) else "") for key in keys]
            indexed = f" (INDEX airflow_keys ({', '.join(columns)}))"
        made = dialect.temporary or "CREATE TABLE"
        self.run(dialect.create_as.format(create=made, t=table.sql, indexed=indexed, query=query))
        if not dialect.temporary:
            self.created.append(table)
        return table

    def unstage(self, staging: TableName) -> None:
        """Drop a staging table."""
        if staging in self.created:
            self.created.remove(staging)
        self.run(f"{self.dialect.drop_temporary} {staging.sql}")

    def copy(self, table: TableName, names: Sequence[str], options: str, blocks: Iterable[Any]) -> int:
        """Send blocks of bytes to ``COPY … FROM STDIN``; give the number of rows."""
        columns = ", ".join(map(self.quoted, names))
        return copy(self._cursor, f"COPY {table.sql} ({columns}) FROM STDIN ({options})", blocks)

    def _marked(self, statement: str) -> str:
        if type(self._connection).__module__.startswith("mysql.connector"):
            # This driver replaces each %s that it finds, and has no way to write a percent sign twice.
            if "%s" in statement:
                raise InvalidArgument(
                    "a name or a condition holds %s, which mysql-connector-python takes for a parameter; use the "
                    "client mysqlclient in the connection's extra"
                )
        elif "%" in self._placeholder:
            statement = statement.replace("%", "%%")
        return statement.replace(MARK, self._placeholder)

    def _columns_by_looking(self, table: TableName) -> dict[str, TargetColumn] | None:
        """Ask on another connection: where there is no such table, the error would spoil a transaction."""
        connection = self._hook.get_conn()
        try:
            cursor = connection.cursor()
            cursor.execute(f"SELECT * FROM {table.sql} WHERE 1 = 0")
            return {str(column[0]): TargetColumn(str(column[0])) for column in cursor.description}
        except Exception:  # noqa: BLE001 (each driver has its own word for "no such table")
            return None
        finally:
            connection.close()


_KNOWN = ("PostgreSQL", "MySQL", "SQLite", "DuckDB")  # whose catalogs tell the types of columns


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
        raise InvalidConnection(
            f"sql_conn_id: connection {conn_id!r} is not defined; create it in Airflow, or correct its name"
        ) from error
    except (AirflowException, ImportError) as error:
        raise InvalidConnection(
            f"sql_conn_id: connection {conn_id!r} has no hook: {error}. {_package_for(conn_id)}"
        ) from error
    if not isinstance(hook, DbApiHook):
        kind = getattr(hook, "conn_type", "?")
        raise InvalidConnection(
            f"sql_conn_id: connection {conn_id!r} is of type {kind!r}, which is no SQL database. Give one of a database"
        )
    return hook


def _package_for(conn_id: str) -> str:
    """Say which package has the hook of a connection's type."""
    kind = str(BaseHook.get_connection(conn_id).conn_type or "")
    package = _PACKAGES.get(kind, kind.replace("_", "-"))
    return (
        f"The connection is of type {kind!r}: install apache-airflow-providers-{package}, or give the connection of a "
        "database"
    )


# By connection type, where the provider package has another name.
_PACKAGES = {
    "google_cloud_platform": "google",
    "gcpbigquery": "google",
    "redshift": "amazon",
    "athena": "amazon",
    "mssql": "microsoft-mssql",
    "impala": "apache-impala",
    "hiveserver2": "apache-hive",
    "pinot": "apache-pinot",
    "druid": "apache-druid",
    "adbc": "apache-arrow",
}


@contextmanager
def session(
    hook: Any, *, lock_timeout: float = LOCK_TIMEOUT, application: str = "", load_method: str = "auto"
) -> Iterator[SqlSession]:
    """Open a session and close it again; what was not committed is taken back."""
    connection = _connected(hook, lock_timeout)
    try:
        opened = SqlSession(
            hook, connection, lock_timeout=lock_timeout, application=application, load_method=load_method
        )
    except BaseException:
        with suppress(Exception):
            connection.close()
        raise
    try:
        yield opened
    finally:
        opened.close()


# What DuckDB says where another process has the file open, or another thread is about to open it.
_BUSY = ("Could not set lock on file", "Unique file handle conflict")


def _connected(hook: Any, lock_timeout: float) -> Any:
    """Connect; wait for another process that has a DuckDB file open."""
    deadline = time.monotonic() + lock_timeout
    while True:
        try:
            return hook.get_conn()
        except Exception as error:
            if not any(busy in str(error) for busy in _BUSY):
                raise
            if time.monotonic() >= deadline:
                held = re.search(r"Conflicting lock is held in (.+?)\. ", str(error))
                who = held[1] if held else "another process"
                raise WorkflowError(
                    f"lock_timeout: the DuckDB file was in use for {lock_timeout:g} seconds by {who}. "
                    "Wait for it, or give lock_timeout more seconds"
                ) from error
            time.sleep(_PAUSE)

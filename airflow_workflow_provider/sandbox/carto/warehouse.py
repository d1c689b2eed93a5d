"""The data warehouse behind the sandbox's CARTO connections: a DuckDB in memory with real data in it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import duckdb

from ..data_files import data_file
from . import rows
from .catalog import CONNECTIONS, Connection
from .dialect import PARAMETERS, ROW_HASH, Statement
from .errors import SqlError

T = TypeVar("T")
# inferred: any even spread over the rows will do, so DuckDB's own hash stands for those of the real warehouses.
MACROS = (
    "CREATE MACRO farm_fingerprint(value) AS CAST(hash(value) >> 1 AS BIGINT)",
    f"CREATE MACRO {ROW_HASH}(value) AS CAST(hash(value) >> 1 AS BIGINT)",
)


class Warehouse:
    """All catalogs of the sandbox; what takes long is awaited while a thread does it."""

    def __init__(self) -> None:
        self.used = False
        # How often each table was read from its beginning to its end; a range of a sorted table is a part of a scan.
        self.scans: defaultdict[str, float] = defaultdict(float)
        self.sorted_by: dict[str, str] = {}
        self.database = duckdb.connect(":memory:")
        self.busy: set[duckdb.DuckDBPyConnection] = set()
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        for connection in CONNECTIONS.values():
            self.database.execute(f"ATTACH ':memory:' AS {quoted(connection.catalog)}")
            self.database.execute(f"CREATE SCHEMA {quoted(f'{connection.catalog}.{connection.schema}')}")
        self.load_airports()
        for macro in MACROS:
            self.database.execute(macro)
        # Clients send SQL of their own; none of it may reach files or the network.
        self.database.execute("SET enable_external_access = false")

    def load_airports(self) -> None:
        """The airports of the United States, from the data files of the package vega-datasets."""
        self.database.execute("ATTACH ':memory:' AS \"carto-demo-data\"")
        self.database.execute('CREATE SCHEMA "carto-demo-data".demo_tables')
        source = f"read_csv({rows.literal(str(data_file('airports.csv')))}, header = true, all_varchar = true)"
        self.database.execute(
            'CREATE TABLE "carto-demo-data".demo_tables.airports AS SELECT * REPLACE ('
            f"CAST(latitude AS DOUBLE) AS latitude, CAST(longitude AS DOUBLE) AS longitude) FROM {source}"
        )

    async def run(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do a piece of work in a thread, on a cursor of its own; a cancelled caller interrupts it.

        DuckDB's errors leave as :class:`SqlError`.
        """
        self.used = True
        cursor = self.database.cursor()
        self.busy.add(cursor)
        try:
            return await asyncio.to_thread(self.finish, work, cursor)
        except asyncio.CancelledError:
            interrupt(cursor)
            raise

    def finish(self, work: Callable[[duckdb.DuckDBPyConnection], T], cursor: duckdb.DuckDBPyConnection) -> T:
        """The part of ``run`` that happens in the thread."""
        try:
            cursor.execute("SET TimeZone = 'UTC'")
            return work(cursor)
        except duckdb.InterruptException as error:
            raise SqlError("Job execution was cancelled: User requested cancellation", "stopped") from error
        except duckdb.Error as error:
            raise SqlError(f"Query error: {str(error).splitlines()[0]}") from error
        finally:
            self.busy.discard(cursor)
            cursor.close()

    def interrupt(self) -> None:
        """Break off whatever runs.

        The database is not closed: DuckDB refuses that while a cursor is in a call, and its memory goes with it anyway.
        """
        for cursor in list(self.busy):
            interrupt(cursor)

    async def exists(self, table: str) -> bool:
        """Whether a table of that full name is there."""
        return await self.run(lambda cursor: has_table(cursor, table))

    async def drop(self, table: str) -> None:
        """Drop a table if it is there."""
        async with self.locks[table]:
            await self.run(lambda cursor: cursor.execute(f"DROP TABLE IF EXISTS {quoted(table)}"))

    async def create(self, table: str, sql: str, values: dict[str, Any], upper: bool) -> None:
        """Create or replace a table from DuckDB SQL with ``$name`` parameters; ``upper`` makes column names upper.

        Two runs that make the same table at once take turns: the real warehouses replace a table atomically.
        """
        async with self.locks[table]:
            await self.run(lambda cursor: create_table(cursor, table, sql, values, upper))

    async def read(self, statement: Statement, connection: Connection, limit: int, time_style: str) -> rows.Result:
        """Run a statement; rows come back only from one that reads."""

        def work(cursor: duckdb.DuckDBPyConnection) -> rows.Result:
            if not statement.reads:
                # BigQuery and Snowflake check the tables of a statement before they do anything.
                require_tables(cursor, tuple(table for table, _ in statement.scans), connection)
                cursor.execute(statement.sql)
                self.sorted_by[statement.makes.lower()] = statement.sorted_by
                self.count_scans(cursor, statement, None)
                return rows.EMPTY
            tables = tuple(table for table in statement.tables if not table.endswith(PARAMETERS))
            require_tables(cursor, tables, connection)
            found = rows.fetched(cursor, statement.sql, limit, time_style)
            self.count_scans(cursor, statement, found.count)
            return found

        return await self.run(work)

    def count_scans(self, cursor: duckdb.DuckDBPyConnection, statement: Statement, found: int | None) -> None:
        """Count what a statement has read; a range of a sorted table costs its ``found`` rows alone."""
        for table, column in statement.scans:
            part = 1.0
            if found is not None and column and self.sorted_by.get(table.lower()) == column:
                total = cursor.execute(f"SELECT COUNT(*) FROM {quoted(table)}").fetchone()
                part = found / max(total[0] if total else 1, 1)
            self.scans[table] += part

    async def read_table(self, table: str, limit: int, time_style: str) -> rows.Result:
        """All rows of a table."""
        return await self.run(lambda cursor: rows.fetched(cursor, f"SELECT * FROM {quoted(table)}", limit, time_style))


def interrupt(cursor: duckdb.DuckDBPyConnection) -> None:
    """Break off what a cursor does; its thread may have closed it in this very moment."""
    with suppress(duckdb.Error):
        cursor.interrupt()


def create_table(cursor: duckdb.DuckDBPyConnection, table: str, sql: str, values: dict[str, Any], upper: bool) -> None:
    """``CREATE OR REPLACE TABLE ... AS``."""
    columns = ""
    if upper:
        described = cursor.execute(f"DESCRIBE {sql}", values).fetchall()
        columns = "(" + ", ".join(quoted_name(name.upper()) for name, *_ in described) + ")"
    cursor.execute(f"CREATE OR REPLACE TABLE {quoted(table)} AS SELECT * FROM ({sql}) AS result{columns}", values)


def require_tables(cursor: duckdb.DuckDBPyConnection, tables: tuple[str, ...], connection: Connection) -> None:
    """Say in the warehouse's own words that a table is not there."""
    for table in tables:
        if not has_table(cursor, table):
            if connection.provider_id == "snowflake":
                raise SqlError(f"SQL compilation error: Object '{table}' does not exist or not authorized.")
            project, _, name = table.partition(".")
            location = connection.location
            raise SqlError(f"Not found: Table {project}:{name} was not found in location {location}", "notFound")


def has_table(cursor: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a table of that full name is there; names are compared without case, as DuckDB does."""
    query = "SELECT 1 FROM duckdb_tables() WHERE lower(concat_ws('.', database_name, schema_name, table_name)) = ?"
    return cursor.execute(query, [table.lower()]).fetchone() is not None


def quoted(full_name: str) -> str:
    """A dotted name with every part in quotes."""
    return ".".join(quoted_name(part) for part in full_name.split("."))


def quoted_name(name: str) -> str:
    """One name in quotes."""
    return '"' + name.replace('"', '""') + '"'

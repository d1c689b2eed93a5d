"""The Greenplum behind the sandbox's Chorus: a DuckDB in memory with real data and the tables that flows leave."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb

from ..data_files import data_file
from ..databases import MemoryDatabase, message
from .catalog import SCHEMA, SECOND_SCHEMA

CAP = 25  # rows of an operator's result
CHUNK = 5_000  # rows of a download sent at once
NO_ROWS = "The query returned no rows"
# The columns are named here because letting DuckDB find them out takes ten times as long as reading them.
SOURCES = {
    "seattle_weather": {
        "date": "DATE",
        "precipitation": "DOUBLE",
        "temp_max": "DOUBLE",
        "temp_min": "DOUBLE",
        "wind": "DOUBLE",
        "weather": "VARCHAR",
    },
    "airports": {
        "iata": "VARCHAR",
        "name": "VARCHAR",
        "city": "VARCHAR",
        "state": "VARCHAR",
        "country": "VARCHAR",
        "latitude": "DOUBLE",
        "longitude": "DOUBLE",
    },
}
BROKEN_VIEW = "broken_view"
EMPTY_TABLE = "empty_table"
SECOND = "airports"  # the table of the second schema, of one name with a source
KEPT = {*SOURCES, BROKEN_VIEW, EMPTY_TABLE}
SETUP = f"""
    CREATE TABLE {SCHEMA}.{EMPTY_TABLE} (id INTEGER, name VARCHAR);
    CREATE VIEW {SCHEMA}.{BROKEN_VIEW} AS SELECT weather::INTEGER AS number FROM {SCHEMA}.seattle_weather;
    CREATE SCHEMA {SECOND_SCHEMA};
    CREATE TABLE {SECOND_SCHEMA}.{SECOND} AS
        SELECT 'closed' AS error, iata FROM {SCHEMA}.airports WHERE state = 'VT' ORDER BY iata;
    SET enable_external_access = false;
    SET lock_configuration = true;
"""


class FlowError(Exception):
    """The database refuses what an operator wants."""


@dataclass(frozen=True)
class Preview:
    """The first rows of a table as text, and how many there are."""

    columns: list[str]
    types: list[str]
    rows: list[list[str]]
    count: int


class Database(MemoryDatabase):
    """Tables and views."""

    refusal = FlowError

    def __init__(self) -> None:
        super().__init__()
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def made(self, database: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """Fill in the sources that flows read."""
        database.execute(f"CREATE SCHEMA {SCHEMA}")
        for source, columns in SOURCES.items():
            path = str(data_file(source.replace("_", "-") + ".csv")).replace("'", "''")
            # A dict of plain names is spelled in DuckDB as in Python.
            options = f"header = true, auto_detect = false, dateformat = '%Y/%m/%d', columns = {columns}"
            database.execute(f"CREATE TABLE {SCHEMA}.{source} AS FROM read_csv('{path}', {options})")
        database.execute(SETUP)
        return database

    def emptied(self) -> Database:
        """This database without what flows made, or another one while a thread may still write into it."""
        if self.working:
            return Database()
        for table in () if self.untouched else set(self.tables()) - KEPT:
            self.database.execute(f'DROP TABLE {SCHEMA}."{table}"')
        self.locks.clear()
        return self

    async def create(self, table: str, sql: str) -> Preview:
        """Create or replace a table; two runs that make the same one take turns."""

        def work(cursor: duckdb.DuckDBPyConnection) -> Preview:
            cursor.execute(f'CREATE OR REPLACE TABLE {SCHEMA}."{table}" AS {sql}')
            return preview(cursor, f'{SCHEMA}."{table}"')

        async with self.locks[table]:
            return await self.run(work)

    async def read(self, sql: str) -> Preview:
        """The first rows of a query."""
        return await self.run(lambda cursor: preview(cursor, f"({sql})"))

    async def seconds(self, sql: str) -> float:
        """The value of an expression, as a number of seconds."""
        return await self.run(lambda cursor: float(cursor.execute(f"SELECT ({sql})::DOUBLE").fetchall()[0][0]))

    def tables(self) -> dict[str, bool]:
        """The names of tables and views, with whether each is a view, in order of name."""
        query = "SELECT table_name, table_type = 'VIEW' FROM information_schema.tables WHERE table_schema = ?"
        return dict(sorted(self.database.cursor().execute(query, [SCHEMA]).fetchall()))

    def csv(self, table: str, limit: int | None, error_after: int | None, *, schema: str = SCHEMA) -> Iterator[str]:
        """A table as Chorus streams it.

        Ruby's CSV with a header only when there are rows, NULL and empty text alike as ``""``; a database error is
        just more text, since the status has long been sent (the words are DuckDB's, Greenplum's are inferred).
        """
        sent = 0
        try:
            for columns, lines in csv_chunks(self.database.cursor(), f'{schema}."{table}"', limit, error_after):
                yield ("" if sent else columns) + "".join(lines)
                sent += len(lines)
            if error_after is not None:
                raise duckdb.OperationalError("canceling statement due to user request")
        except duckdb.Error as error:
            yield f"ERROR: {message(error)}"
        else:
            yield "" if sent else NO_ROWS


def csv_chunks(
    cursor: duckdb.DuckDBPyConnection, name: str, limit: int | None, error_after: int | None
) -> Iterator[tuple[str, list[str]]]:
    """The header's line and some rows' lines, again and again."""
    columns = described(cursor, name)
    written = " || ',' || ".join(csv_field(text_of(column, kind)) for column, kind in columns.items())
    most = min((number for number in (limit, error_after) if number is not None), default=None)
    cursor.execute(f"SELECT {written} || chr(10) FROM {name}" + (f" LIMIT {most}" if most is not None else ""))
    header = ",".join(csv_text(column) for column in columns) + "\n"
    while rows := cursor.fetchmany(CHUNK):
        yield header, [line for (line,) in rows]


def csv_field(text: str) -> str:
    """The SQL that quotes a text where Ruby's CSV does."""
    special = f"regexp_matches({text}, '[\",\\r\\n]')"
    return (
        f"""CASE WHEN coalesce({text}, '') = '' THEN '""' WHEN {special} """
        f"""THEN '"' || replace({text}, '"', '""') || '"' ELSE {text} END"""
    )


def csv_text(text: str) -> str:
    """A text of the header, quoted as the fields are."""
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text


def preview(cursor: duckdb.DuckDBPyConnection, source: str) -> Preview:
    """Columns, the first rows and the number of rows of a table or a query in brackets."""
    columns = described(cursor, source)
    texts = ", ".join(f"coalesce({text_of(column, kind)}, '')" for column, kind in columns.items())
    rows = [list(row) for row in cursor.execute(f"SELECT {texts} FROM {source} LIMIT {CAP}").fetchall()]
    count = cursor.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0]
    return Preview(list(columns), list(columns.values()), rows, count)


def described(cursor: duckdb.DuckDBPyConnection, source: str) -> Mapping[str, str]:
    """The columns of a table or a query, with their types."""
    return {name: kind for name, kind, *_ in cursor.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}


def text_of(column: str, kind: str) -> str:
    """The SQL for a column as PostgreSQL writes it: a truth value is one letter."""
    name = '"' + column.replace('"', '""') + '"'
    return f"CASE WHEN {name} THEN 't' WHEN NOT {name} THEN 'f' END" if kind == "BOOLEAN" else f"{name}::VARCHAR"

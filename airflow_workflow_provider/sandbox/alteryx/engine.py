"""The engine behind the apps: DuckDB over real data, and the files that are made from its tables."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from ..data_files import data_file
from . import yxdb
from .catalog import Output

T = TypeVar("T")
BOM = b"\xef\xbb\xbf"
ROWS_AT_ONCE = 10_000
# Tables of real data, by name: the query that reads them from the files of the package vega-datasets.
SOURCES = {
    "weather": "SELECT * REPLACE (CAST(strptime(date, '%Y/%m/%d') AS DATE) AS date, "
    "CAST(precipitation AS DOUBLE) AS precipitation, CAST(temp_max AS DOUBLE) AS temp_max, "
    "CAST(temp_min AS DOUBLE) AS temp_min, CAST(wind AS DOUBLE) AS wind) FROM {seattle-weather}",
    "stocks": "SELECT * REPLACE (CAST(strptime(date, '%b %d %Y') AS DATE) AS date, CAST(price AS DOUBLE) AS price) "
    "FROM {stocks}",
    "airports": "SELECT * REPLACE (CAST(latitude AS DOUBLE) AS latitude, CAST(longitude AS DOUBLE) AS longitude) "
    "FROM {airports}",
}


class EngineError(Exception):
    """An app's SQL fails; the text becomes an error message of its job."""


@dataclass(frozen=True)
class MadeOutput:
    """An output that exists: its id on the wire, its app's declaration, the table behind it and its rows."""

    id: str
    output: Output
    table: str
    rows: int


class Engine:
    """One DuckDB in memory and one folder of files; what takes long is awaited while a thread does it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.database: duckdb.DuckDBPyConnection | None = None
        self.closed = False
        self.busy: set[duckdb.DuckDBPyConnection] = set()
        self.files: Path | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor of the database, which is filled at its first use; :class:`EngineError` after ``close``."""
        with self.lock:
            if self.closed:
                raise EngineError("The engine is closed")
            database = self.database or duckdb.connect(":memory:")
            if self.database is None:
                for name, query in SOURCES.items():
                    database.execute(f"CREATE TABLE {name} AS {query.format_map(CsvFiles())}")
                self.database = database
            return database.cursor()

    def folder(self) -> Path:
        """Where files are made; it goes with this object or with the process."""
        if self.files is None:
            self.files = Path(tempfile.mkdtemp(prefix="sandbox-alteryx-"))
            weakref.finalize(self, shutil.rmtree, self.files, ignore_errors=True)
        return self.files

    async def run(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do a piece of work in a thread, on a cursor of its own; a cancelled caller interrupts it."""
        cursors: list[duckdb.DuckDBPyConnection] = []
        try:
            return await asyncio.to_thread(self.finish, work, cursors)
        except asyncio.CancelledError:
            interrupt(cursors)
            raise

    def finish(self, work: Callable[[duckdb.DuckDBPyConnection], T], cursors: list[duckdb.DuckDBPyConnection]) -> T:
        """The part of ``run`` that happens in the thread; raises :class:`EngineError`."""
        cursor = self.cursor()
        cursors.append(cursor)
        self.busy.add(cursor)
        try:
            return work(cursor)
        except duckdb.Error as error:
            raise EngineError(str(error).splitlines()[0]) from error
        finally:
            self.busy.discard(cursor)
            cursors.clear()
            cursor.close()

    async def make(self, made: MadeOutput, answers: Mapping[str, str]) -> int:
        """Fill the table of an output; returns the number of rows."""
        sql = made.output.sql
        values = {name: value for name, value in answers.items() if f"${name}" in sql}

        def work(cursor: duckdb.DuckDBPyConnection) -> int:
            cursor.execute(f'CREATE TABLE "{made.table}" AS {sql}', values)
            count: tuple[int] | None = cursor.execute(f'SELECT count(*) FROM "{made.table}"').fetchone()
            return count[0] if count else 0

        return await self.run(work)

    async def file(self, made: MadeOutput, form: str, bom: bool) -> Path:
        """An output as a file of a format; it is made once."""
        path = self.folder() / f"{made.table}.{form}{'.bom' if bom else ''}"
        if not path.exists():
            await self.run(lambda cursor: write(cursor, made.table, form, path, bom))
        return path

    def close(self) -> None:
        """Break off whatever runs and let the data go."""
        interrupt(self.busy)
        # DuckDB 2 refuses to close a connection while a cursor of it works; it goes with the last reference instead.
        self.closed, self.database = True, None
        if self.files is not None:
            shutil.rmtree(self.files, ignore_errors=True)
            self.files = None


def interrupt(cursors: Collection[duckdb.DuckDBPyConnection]) -> None:
    """Break off what cursors do; one that was closed meanwhile has nothing to break off."""
    for cursor in list(cursors):
        with suppress(duckdb.Error):
            cursor.interrupt()


class CsvFiles(dict[str, str]):
    """``{stocks}`` in a query: the file of that name inside vega-datasets, as text columns."""

    def __missing__(self, name: str) -> str:
        return f"read_csv({literal(str(data_file(f'{name}.csv')))}, header = true, all_varchar = true)"


def write(cursor: duckdb.DuckDBPyConnection, table: str, form: str, path: Path, bom: bool) -> None:
    """Write a table as ``Csv`` or ``Yxdb``; the file appears when it is whole."""
    columns = [(name, type_name) for name, type_name, *_ in cursor.execute(f'DESCRIBE "{table}"').fetchall()]
    partial = path.with_name(f"{path.name}.{threading.get_ident()}")
    if form == "Yxdb":
        with partial.open("wb") as file:
            yxdb.write(file, columns, rows_of(cursor, table))
    else:
        write_csv(cursor, table, columns, partial)
        if bom:
            partial.write_bytes(BOM + partial.read_bytes())
    os.replace(partial, path)  # noqa: PTH105 - replaces atomically, whoever else makes the same file


def write_csv(cursor: duckdb.DuckDBPyConnection, table: str, columns: Sequence[tuple[str, str]], path: Path) -> None:
    """A table as CSV in UTF-8; nulls and empty text are both empty, booleans are True and False (all inferred)."""
    shown = ", ".join(csv_column(name, type_name) for name, type_name in columns)
    cursor.execute(f"""COPY (SELECT {shown} FROM "{table}") TO {literal(str(path))} (FORMAT csv, HEADER true)""")


def csv_column(name: str, type_name: str) -> str:
    """The SQL expression for a column of the file."""
    quoted = '"' + name.replace('"', '""') + '"'
    if type_name == "BOOLEAN":
        return f"CASE {quoted} WHEN true THEN 'True' WHEN false THEN 'False' END AS {quoted}"
    return f"nullif({quoted}, '') AS {quoted}" if type_name == "VARCHAR" else quoted


def rows_of(cursor: duckdb.DuckDBPyConnection, table: str) -> Iterator[tuple[Any, ...]]:
    """All rows of a table."""
    cursor.execute(f'SELECT * FROM "{table}"')
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        yield from rows


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"

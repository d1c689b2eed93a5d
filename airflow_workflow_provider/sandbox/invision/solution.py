"""The database of the sandbox's InVision solution: a DuckDB in memory with real data and the tables of runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from ..data_files import data_file
from ..databases import MemoryDatabase
from .catalog import STORES, Routine
from .eaze import Condition, where

CHUNK = 5_000  # rows sent at once
# .NET writes dates as times and knows no quotes around numbers.
BARE = {"INTEGER", "BIGINT", "DOUBLE", "BOOLEAN"}
TIMES = {"DATE": "%Y-%m-%dT00:00:00", "TIMESTAMP": "%Y-%m-%dT%H:%M:%S.%g"}
SETUP = """
    CREATE SCHEMA source;
    CREATE TABLE source.stocks AS
      SELECT symbol, strptime(date, '%b %d %Y')::DATE AS day, price::DECIMAL(10, 2) AS price FROM {stocks};
    CREATE TABLE source.employment AS
      SELECT month::DATE AS month, sector, employees::DECIMAL(12, 1) AS employees FROM (
        UNPIVOT (FROM {us-employment}) ON COLUMNS(* EXCLUDE month) INTO NAME sector VALUE employees);
    SET enable_external_access = false;
    SET lock_configuration = true;
"""


class RoutineError(Exception):
    """The database refuses what a routine wants."""


class Solution(MemoryDatabase):
    """Tables by their database name and by their name as solution objects, both without regard to case."""

    refusal = RoutineError

    def __init__(self) -> None:
        super().__init__()
        self.tables = {store.table.lower(): store.table for store in STORES}
        self.objects = {store.name.lower(): store.table for store in STORES}

    def made(self, database: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """Fill in the sources that routines read, and the tables that they write to."""
        database.execute(re.sub(r"\{([\w-]+)\}", lambda found: csv_source(found[1]), SETUP))
        for store in STORES:
            database.execute(f'CREATE TABLE "{store.table}" (RunId VARCHAR, {store.columns})')
        return database

    def emptied(self) -> Solution:
        """This database without what runs wrote, or another one while a thread may still write into it."""
        if self.working:
            return Solution()
        for store in () if self.untouched else STORES:
            self.database.execute(f'DELETE FROM "{store.table}"')
        return self

    async def perform(self, routine: Routine, run_id: str, arguments: Mapping[str, Any]) -> int:
        """Append a routine's rows with the id of the run; tells how many they were."""
        used = {name: arguments[name] for name in re.findall(r"\$(\w+)", routine.sql)}
        sql = f'INSERT INTO "{routine.store.table}" SELECT $run_id, * FROM ({routine.sql})'

        def work(cursor: duckdb.DuckDBPyConnection) -> int:
            return int(cursor.execute(sql, used | {"run_id": run_id}).fetchall()[0][0])

        return await self.run(work)

    async def rows(self, table: str, q: str | None) -> Iterator[str]:
        """All rows of a table that a filter lets through, as the text of a JSON array in pieces.

        Raises :class:`RoutineError` and :class:`EazeError` before the first piece.
        """

        def work(cursor: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
            described = cursor.execute(f'DESCRIBE "{table}"').fetchall()
            columns = {name: kind for name, kind, *_ in described}
            condition = where(q, columns) if q else Condition()
            for value, kind in zip(condition.values, condition.types, strict=True):
                # Now, because later an error would come in the middle of the answer.
                cursor.execute(f"SELECT CAST(? AS {kind})", [value])
            members = [f"""'"{name}":' || {json_text(name, kind)}""" for name, kind in columns.items()]
            row = " || ',' || ".join(members)
            sql = f"""SELECT '{{' || {row} || '}}' FROM "{table}" WHERE {condition.sql}"""
            return cursor.execute(sql, list(condition.values))

        return pieces(await self.run(work))


def pieces(cursor: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """The rows of a query as the text of a JSON array."""
    before = "["
    while rows := cursor.fetchmany(CHUNK):
        yield before + ",".join(row for (row,) in rows)
        before = ","
    yield "[]" if before == "[" else "]"


def json_text(name: str, kind: str) -> str:
    """The SQL expression that writes a column as JSON text; never NULL."""
    column = '"' + name + '"'
    if kind in BARE or kind.startswith("DECIMAL"):
        written = f"CAST({column} AS VARCHAR)"
    elif kind in TIMES:
        written = f"""'"' || strftime({column}, '{TIMES[kind]}') || '"'"""
    else:
        written = f"CAST(to_json({column}) AS VARCHAR)"
    return f"coalesce({written}, 'null')"


def csv_source(name: str) -> str:
    """The SQL that reads a file with all columns as text; naming them is ten times as fast as having them found."""
    path = data_file(f"{name}.csv")
    with path.open(encoding="utf-8") as lines:
        columns = dict.fromkeys(lines.readline().strip().split(","), "VARCHAR")
    quoted = str(path).replace("'", "''")
    # A dict of plain names is spelled in DuckDB as in Python.
    return f"read_csv('{quoted}', header = true, auto_detect = false, columns = {columns})"

"""The DuckDB in memory behind a sandbox: what takes long is awaited while a thread does it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import duckdb

T = TypeVar("T")


class MemoryDatabase(ABC):
    """A DuckDB with real data and the tables of runs; a subclass fills it in `made`."""

    refusal: type[Exception]
    """What an error of DuckDB leaves as."""

    def __init__(self) -> None:
        self.working: set[duckdb.DuckDBPyConnection] = set()

    @cached_property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB, made when it is first needed: most resets are followed by none of this system's business."""
        return self.made(duckdb.connect(":memory:"))

    @property
    def untouched(self) -> bool:
        """Whether it was never made: then it need not be made to be empty."""
        return "database" not in vars(self)

    @abstractmethod
    def made(self, database: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """Fill the database."""

    async def run(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do a piece of work in a thread, on a cursor of its own; DuckDB's errors leave as `refusal`."""
        cursor = self.database.cursor()
        self.working.add(cursor)

        def in_thread() -> T:
            try:
                return work(cursor)
            finally:
                # Here, because a caller that is cancelled leaves before its thread does.
                self.working.discard(cursor)

        try:
            return await asyncio.to_thread(in_thread)
        except duckdb.Error as error:
            raise self.refusal(message(error)) from error


def message(error: Exception) -> str:
    """The first line of a database error."""
    return str(error).splitlines()[0]

"""One load inside a data warehouse, by the statements of `warehouses`. Unverified but for Snowflake's emulator.

The source is the table of an output, or a staging table that `staged` has filled.
"""
# ruff: noqa: S608 (names are quoted)

from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from airflow_workflow_provider.transfers.sql.catalog import Target
from airflow_workflow_provider.transfers.sql.checks import Expect, count
from airflow_workflow_provider.transfers.sql.columns import TargetColumn
from airflow_workflow_provider.transfers.sql.load_log import LoadLog
from airflow_workflow_provider.transfers.sql.modes import KEEPING, Mode, check_absent
from airflow_workflow_provider.transfers.sql.names import TableName, TextColumns, own_names, parse_table
from airflow_workflow_provider.transfers.sql.session import SqlSession, same_type
from airflow_workflow_provider.transfers.sql.staged import StagedRows
from airflow_workflow_provider.transfers.sql.types import sql_type
from airflow_workflow_provider.transfers.sql.warehouses import WAREHOUSES, Column, create, statements

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class WarehouseLoad:
    """Loads one output into one table of the same warehouse, within the session's transaction where there is one."""

    session: SqlSession
    load_log: LoadLog
    target: TableName
    mode: Mode
    expect: Expect
    log: logging.Logger | Any

    def run(
        self,
        item: ResolvedOutput,
        chosen: Mapping[str, str] | None,
        types: Mapping[str, pa.DataType],
        added: Mapping[str, tuple[pa.DataType, Any]],
    ) -> tuple[int, list[dict[str, Any]]]:
        """Load the rows; give their number, and the checks that hold."""
        session, warehouse = self.session, WAREHOUSES[self.session.dialect.name]
        self._check_expect(is_transactional=warehouse.is_transactional)
        if item.output.kind != "table" or not item.output.location:
            raise InvalidArgument("load_method='in_database': the output is no table of a database; use 'auto'")
        source = parse_table(item.output.location, session.dialect)
        theirs = self._declared(source)
        if not theirs:
            raise OutputUnavailable(
                f"load_method='in_database': the connection of the target reaches no table {source.sql}; use 'auto'"
            )
        if source.parts == self.target.parts:
            raise InvalidArgument(f"the output {source.sql} is the target itself")
        own = self._declared(self.target)
        columns = self._columns(theirs, own, chosen, types, added)
        return self._moved(source, own, columns)

    def run_staged(self, source: StagedRows) -> tuple[int, list[dict[str, Any]]]:
        """Load the rows of a staging table; give their number, and the checks that hold."""
        self._check_expect(is_transactional=WAREHOUSES[self.session.dialect.name].is_transactional)
        own = self._declared(self.target)
        return self._moved(source.table, own, self._staged_columns(source, own))

    def texts(self, chosen: Mapping[str, str] | None) -> Container[str]:
        """Tell which columns of an output keep the source's own text, since those of the target are text."""
        own = self._declared(self.target) if self.mode.if_exists in KEEPING else {}
        return TextColumns(list(own), [name for name, declared in own.items() if _is_text(declared)], chosen)

    def _moved(
        self, source: TableName, own: Mapping[str, str], columns: Sequence[tuple[str, Column]]
    ) -> tuple[int, list[dict[str, Any]]]:
        """Bring the rows of one table into the target, all or nothing."""
        session, warehouse = self.session, WAREHOUSES[self.session.dialect.name]
        checks = self.expect.check_columns([column.target for _, column in columns])
        named = [column for _, column in columns]
        target = Target(self.target, {name: TargetColumn(name, kind) for name, kind in own.items()} if own else None)
        before = count(session, self.target.sql) if own and self.expect.needs_before else 0
        rows = count(session, source.sql)
        checks += self.expect.check_rows(rows)
        keys = self._checked_keys(source, columns)
        if self.mode.if_exists == "fail":
            check_absent(session, self.load_log, target)
        if not own:
            session.created.append(self.target)
            session.run(create(warehouse, self.target.sql, source.sql, named))
        else:
            self._check_shape(own, columns)
            every = [session.quoted(name) for name in own]
            options: Any = {"keys": keys, "where": self.mode.where, "every": every}
            for statement in statements(warehouse, self.mode.if_exists, self.target.sql, source.sql, named, **options):
                session.run(statement)
        return rows, checks + self.expect.check_table(session, target, before)

    def _declared(self, name: TableName) -> dict[str, str]:
        """Give the columns of a table and their types; empty where there is no such table."""
        session, warehouse = self.session, WAREHOUSES[self.session.dialect.name]
        is_bigquery = session.dialect.name == "BigQuery"  # whose catalog is in the data set
        around = name.parts[:-1] if is_bigquery else name.parts[:-2]
        schema = warehouse.literal(name.schema) if name.schema else "CURRENT_SCHEMA()"
        query = warehouse.columns.format(
            around="".join(f"{session.quoted(part)}." for part in around),
            schema=schema,
            table=warehouse.literal(name.table),
        )
        found = {str(column): str(kind) for column, kind in session.rows(query)}
        if found and warehouse.describe:
            found = {str(row[0]): str(row[1]) for row in session.rows(warehouse.describe.format(t=name.sql))}
        return found

    def _columns(
        self,
        theirs: Mapping[str, str],
        own: Mapping[str, str],
        chosen: Mapping[str, str] | None,
        types: Mapping[str, pa.DataType],
        added: Mapping[str, tuple[pa.DataType, Any]],
    ) -> list[tuple[str, Column]]:
        """Give the columns of the load, each with its name in the table. A type that would be converted is refused."""
        session, warehouse = self.session, WAREHOUSES[self.session.dialect.name]
        found: list[tuple[str, Column]] = []
        for source, wanted in (chosen or {name: name for name in (*theirs, *added)}).items():
            names = own_names(wanted, own) if own else [wanted if chosen else source]
            if len(names) != 1:
                listed = ", ".join(map(repr, own))
                raise InvalidArgument(f"the table lacks {wanted!r}; it has {listed}. Choose with columns")
            target = session.quoted(names[0])
            if source in added:
                kind, value = added[source]
                found.append((names[0], Column("", target, sql_type(kind, session.dialect), warehouse.literal(value))))
                continue
            given = own_names(source, theirs)
            if len(given) != 1:
                raise OutputUnavailable(f"there is no column {source!r}; the columns are {', '.join(theirs)}")
            cast = sql_type(types[source], session.dialect) if source in types else ""
            if own and not cast and not _is_same(theirs[given[0]], own[names[0]]):
                raise OutputUnavailable(
                    f"column {source!r} is {theirs[given[0]]}, and the table's column is {own[names[0]]}: the "
                    "warehouse might change values. Set column_types for it, or use load_method='auto', which compares "
                    "each value"
                )
            found.append((names[0], Column(session.quoted(given[0]), target, cast)))
        return found

    def _staged_columns(self, source: StagedRows, own: Mapping[str, str]) -> list[tuple[str, Column]]:
        """Give the columns of a staging table. Where the target's type is another one, no value may change."""
        session = self.session
        found: list[tuple[str, Column]] = []
        for number, one in enumerate(source.schema):
            names = own_names(one.name, own) if own else [one.name]
            if len(names) != 1 and self.mode.on_new_column == "ignore":
                self.log.info("on_new_column='ignore': the table lacks %r, which is left out", one.name)
                continue
            if len(names) != 1:
                listed = ", ".join(map(repr, own))
                raise InvalidArgument(
                    f"the table lacks {one.name!r}; it has {listed}. Use on_new_column='ignore', or choose with columns"
                )
            if (other := next((name for name, _ in found if name == names[0]), None)) is not None:
                raise InvalidArgument(f"two columns would both go into {other!r}; choose one with columns={{…}}")
            wanted = sql_type(one.type, session.dialect)
            place, target = source.column(number), session.quoted(names[0])
            column = Column(place, target, wanted if source.is_text(number) else "")
            declared = own.get(names[0], wanted)
            if not _is_same(declared, wanted):
                cast = Column("", target, declared, value=column.sql)
                self._check_cast(source, one.name, column.sql, cast.sql, wanted, declared)
                column = cast
            found.append((names[0], column))
        return found

    def _check_cast(self, source: StagedRows, name: str, given: str, cast: str, wanted: str, declared: str) -> None:
        """Refuse a value that is another one when it comes back from the type of the table's column."""
        back, text = f"CAST({cast} AS {wanted})", self.session.dialect.types["text"]
        changed = self.session.rows(
            f"SELECT COUNT(*), MIN(CAST({given} AS {text})) FROM {source.table.sql} s "
            f"WHERE {given} IS NOT NULL AND ({back} IS NULL OR {back} <> {given})"
        )[0]
        if changed[0]:
            raise OutputUnavailable(
                f"column {name!r}: {changed[0]} values such as {str(changed[1])[:80]!r} of type {wanted} do not fit "
                f"the table's column of type {declared} exactly. Change the type of the table's column, or convert the "
                "output's column with column_types"
            )

    def _check_shape(self, own: Mapping[str, str], columns: Sequence[tuple[str, Column]]) -> None:
        names = {name for name, _ in columns}
        if self.mode.if_exists == "replace" and names != set(own):
            raise InvalidArgument(
                "if_exists='replace': the output has other columns than the table; use 'truncate', or drop the table"
            )
        if self.mode.on_missing_column == "fail" and (left := [name for name in own if name not in names]):
            raise InvalidArgument(f"on_missing_column: the output lacks {', '.join(map(repr, left))}")

    def _checked_keys(self, source: TableName, columns: Sequence[tuple[str, Column]]) -> list[str]:
        """Refuse keys that come twice or are missing, which a MERGE would insert twice."""
        if self.mode.if_exists != "upsert":
            return []
        keys = []
        for key in self.mode.key_columns:
            names = [column for name, column in columns if name.casefold() == key.casefold()]
            if len(names) != 1:
                raise InvalidArgument(
                    f"key_columns: there is no column {key!r}; there are {', '.join(name for name, _ in columns)}"
                )
            keys.append(names[0])
        listed = ", ".join(key.sql for key in keys)
        empty = " OR ".join(f"{key.sql} IS NULL" for key in keys)
        without = self.session.rows(f"SELECT COUNT(*) FROM {source.sql} s WHERE {empty}")[0][0]
        if without:
            raise OutputUnavailable(f"key_columns: {without} rows have no value in {listed}")
        twice = self.session.rows(
            f"SELECT COUNT(*) FROM (SELECT {listed}, COUNT(*) AS n FROM {source.sql} s GROUP BY {listed} "
            "HAVING COUNT(*) > 1) d"
        )[0][0]
        if twice:
            raise OutputUnavailable(f"key_columns: {twice} keys come more than once; upsert needs one row a key")
        return [key.target for key in keys]

    def _check_expect(self, *, is_transactional: bool) -> None:
        if not is_transactional and self.expect.needs_table:
            raise InvalidArgument(
                f"expect: {self.session.dialect.name} has no transaction around load_method='in_database', so "
                "checks of the table after the load could not take it back; min_rows, max_rows and columns are checked "
                "before"
            )


def _is_same(one: str, other: str) -> bool:
    return same_type(one, other) or (_is_text(one) and _is_text(other))


def _is_text(declared: str) -> bool:
    """True for a type whose INSERT refuses text that is too long, so that a cast is not needed."""
    return any(word in declared.lower() for word in ("char", "text", "string"))

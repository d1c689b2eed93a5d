"""Rows that do not move: an output that is a table of the target's own database goes in by one statement."""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from airflow_workflow_provider.transfers.sql.catalog import Target
from airflow_workflow_provider.transfers.sql.columns import TargetColumn
from airflow_workflow_provider.transfers.sql.dialects import MARK
from airflow_workflow_provider.transfers.sql.names import TableName, own_names, parse_table
from airflow_workflow_provider.transfers.sql.session import SqlSession, same_type
from airflow_workflow_provider.transfers.sql.types import sql_type

KNOWN = ("PostgreSQL", "DuckDB")  # whose casts are compared value by value


def find_table(session: SqlSession, item: ResolvedOutput) -> Target:
    """Give the table that an output is. Raises `OutputUnavailable` where the connection does not reach it."""
    if item.output.kind != "table" or not item.output.location:
        raise InvalidArgument(
            f"load_method='in_database': {item.where}the output is not a table of a database; use load_method='auto'"
        )
    name = session.resolve(parse_table(item.output.location, session.dialect))
    found = session.look_at_columns(name)
    if not found.is_there:
        raise OutputUnavailable(
            f"load_method='in_database': {item.where}the connection of the target reaches no table {name.sql}; "
            "use load_method='auto' to read it through the API"
        )
    return found


class TableRows:
    """The rows of tables of the target's own database; the arguments are those of `SqlLoad`.

    ``declared`` are the types of a table that is made for them: the source's own, or those of ``types``.
    """

    def __init__(
        self,
        session: SqlSession,
        sources: Sequence[Target],
        chosen: Mapping[str, str] | None,
        types: Mapping[str, pa.DataType],
        added: Sequence[Mapping[str, tuple[pa.DataType, Any]]],
    ) -> None:
        self._sources, self._added = sources, added
        names: dict[str, str] = {}
        for source in sources:
            names.update({name: column.declared for name, column in (source.columns or {}).items()})
        for values in added:
            twice = next((name for name in values if name in names), None)
            if twice is not None:
                raise InvalidArgument(f"add_columns: the output has a column {twice!r} of its own; give another name")
        constants = {name: sql_type(kind, session.dialect) for values in added for name, (kind, _) in values.items()}
        known = {**names, **constants}
        self._chosen = dict(chosen or {name: name for name in known})
        unknown = next((name for name in (*self._chosen, *types) if name not in known), None)
        if unknown is not None:
            raise OutputUnavailable(f"there is no column {unknown!r}; the columns are {', '.join(map(repr, known))}")
        self.declared = {
            target: sql_type(types[source], session.dialect) if source in types else known[source]
            for source, target in self._chosen.items()
        }

    @property
    def schema(self) -> pa.Schema:
        """The columns; ``declared`` has their types."""
        return pa.schema([(name, pa.null()) for name in self.declared])

    def into(
        self,
        session: SqlSession,
        table: TableName,
        columns: Mapping[str, TargetColumn],
        progress: Progress,
        *,
        typed: bool,
    ) -> None:
        """Insert the rows of each source by one statement; a value that a cast would change is refused first."""
        for source, added in zip(self._sources, self._added, strict=True):
            if source.name == table:
                raise InvalidArgument(f"the output {table.sql} is the target itself")
            self._insert(session, source, table, columns, added, progress)

    def _insert(
        self,
        session: SqlSession,
        source: Target,
        table: TableName,
        columns: Mapping[str, TargetColumn],
        added: Mapping[str, tuple[pa.DataType, Any]],
        progress: Progress,
    ) -> None:
        values: list[str] = []
        parameters: list[Any] = []
        casts: list[tuple[TargetColumn, TargetColumn]] = []
        sources = {target: name for name, target in self._chosen.items()}
        for name, column in columns.items():
            own = own_names(sources[name], source.columns or {})
            if sources[name] in added:
                values.append(f"CAST({MARK} AS {column.declared})")
                parameters.append(added[sources[name]][1])
            elif not own:
                values.append("NULL")
            else:
                given = (source.columns or {})[own[0]]
                quoted = f"s.{session.quoted(given.name)}"
                is_same = same_type(given.declared, column.declared)
                values.append(quoted if is_same else f"CAST({quoted} AS {column.declared})")
                if not is_same:
                    casts.append((given, column))
        source_sql = source.rows_sql
        staging = None
        if casts:  # the check and the insert must see the same rows
            staging = TableName((f"airflow_source_{abs(hash(source.name.parts)) % 10**8}",), session.dialect)
            session.run(f"{session.dialect.temporary} {staging.sql} AS SELECT * FROM {source_sql}")
            source_sql = staging.sql
            for given, column in casts:
                _check_cast(session, source_sql, given, column)
        listed = ", ".join(session.quoted(column.name) for column in columns.values())
        is_identity = any(column.special == "identity" for column in columns.values())
        keeps = " OVERRIDING SYSTEM VALUE" if is_identity else ""
        statement = f"INSERT INTO {table.sql} ({listed}){keeps} SELECT {', '.join(values)} FROM {source_sql} s"
        progress.add(session.count(statement, parameters or None), 0)
        if staging is not None:
            session.run(f"DROP TABLE {staging.sql}")


# Kinds of values between which a cast compares values; any other cast gives the same bits another meaning.
_FAMILIES = {"int": "number", "decimal": "number", "float": "number"}
_FAMILIES |= dict.fromkeys(("date", "datetime", "timestamp"), "moment") | dict.fromkeys(("own", "closed"), "other")
_TEXTS = ("text", "enum")


def _keeps_meaning(given: TargetColumn, column: TargetColumn) -> bool:
    """False where a cast makes a number of a truth value or of bits, or bytes of text."""
    kinds = (given.type.kind, column.type.kind)
    one, other = (_FAMILIES.get(kind, kind) for kind in kinds)
    if '"char"' in (given.declared, column.declared) and kinds != ("text", "text"):  # PostgreSQL casts it as a byte
        return False
    return one == other or (any(kind in _TEXTS for kind in kinds) and "binary" not in kinds)


def _check_cast(session: SqlSession, source_sql: str, given: TargetColumn, column: TargetColumn) -> None:
    if not _keeps_meaning(given, column):
        raise OutputUnavailable(
            f"column {given.name!r}: a value of type {given.declared} means something else in the table's column "
            f"{column.name!r} of type {column.declared}. Change the type of the table's column, or let the workflow "
            "write the type that is wanted"
        )
    quoted = f"s.{session.quoted(given.name)}"
    there_and_back = f"CAST(CAST({quoted} AS {column.declared}) AS {given.declared})"
    changed = session.rows(
        f"SELECT {quoted} FROM {source_sql} s WHERE {quoted} IS NOT NULL "
        f"AND {there_and_back} IS DISTINCT FROM {quoted} LIMIT 1"
    )
    if changed:
        raise OutputUnavailable(
            f"column {given.name!r}: {str(changed[0][0])[:80]!r} of type {given.declared} does not fit the table's "
            f"column {column.name!r} of type {column.declared} exactly. Change the type of the table's column"
        )


def is_certain(uri: str, hook: Any, conn_id: str) -> bool:
    """True if the URI of an output and a connection certainly lead to the same database."""
    connection = hook.get_connection(conn_id)
    kind = {"postgres": "postgres", "postgresql": "postgres"}.get(str(connection.conn_type))
    if kind is None or not connection.host or not connection.schema:
        return False
    begin = f"{kind}://{connection.host}:{connection.port or 5432}/{connection.schema}/"
    return uri.lower().startswith(begin.lower())

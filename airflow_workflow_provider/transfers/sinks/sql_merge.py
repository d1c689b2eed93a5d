"""Upsert: rows whose key the target has are updated, the others inserted.

Through a staging table, so that it needs no unique index, leaves columns alone that the output does not have, and
can refuse a key that comes twice or is null before the target is touched.
"""
# ruff: noqa: S608 (names are quoted)

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.transfers.sinks.sql_names import TableName
from airflow_workflow_provider.transfers.sinks.sql_session import SqlSession


def merge(
    session: SqlSession,
    target: TableName,
    names: Sequence[str],
    keys: Sequence[str],
    staging_name: str,
    insert: Callable[[TableName, Sequence[str]], None],
) -> Generator[None]:
    """Bring rows into the columns ``names`` of the target, in the three steps of a load."""
    staging = _staging(session, target, names, staging_name)
    yield
    insert(staging, names)
    _check_keys(session, staging, keys)
    on = " AND ".join(f"t.{session.quoted(key)} = s.{session.quoted(key)}" for key in keys)
    others = [name for name in names if name not in keys]
    if others:
        session.run(_update(session, target, staging, keys, others, on))
    columns = ", ".join(map(session.quoted, names))
    values = ", ".join(f"s.{session.quoted(name)}" for name in names)
    session.run(
        f"INSERT INTO {target.sql} ({columns}) SELECT {values} FROM {staging.sql} s "
        f"WHERE NOT EXISTS (SELECT 1 FROM {target.sql} t WHERE {on})"
    )
    yield
    if not session.dialect.temporary:
        session.created.remove(staging)
    session.run(f"{session.dialect.drop_temporary} {staging.sql}")


def _staging(session: SqlSession, target: TableName, names: Sequence[str], name: str) -> TableName:
    """Make an empty table with the target's own columns."""
    dialect = session.dialect
    staging = TableName((name,), dialect) if dialect.temporary else target.beside(name)
    columns = ", ".join(map(session.quoted, names))
    create = dialect.temporary or "CREATE TABLE"
    session.run(f"{create} {staging.sql} AS SELECT {columns} FROM {target.sql} WHERE 1 = 0")
    if not dialect.temporary:
        session.created.append(staging)
    return staging


def _check_keys(session: SqlSession, staging: TableName, keys: Sequence[str]) -> None:
    listed = ", ".join(map(session.quoted, keys))
    empty = " OR ".join(f"{session.quoted(key)} IS NULL" for key in keys)
    without = session.rows(f"SELECT COUNT(*) FROM {staging.sql} WHERE {empty}")[0][0]
    if without:
        raise OutputUnavailable(f"key_columns: {without} rows have no value in {' or '.join(map(repr, keys))}")
    twice = session.rows(f"SELECT {listed}, COUNT(*) FROM {staging.sql} GROUP BY {listed} HAVING COUNT(*) > 1")
    if twice:
        *values, count = twice[0]
        more = f", and {len(twice) - 1} more keys come more than once" if len(twice) > 1 else ""
        raise OutputUnavailable(
            f"key_columns: {count} rows have the key {', '.join(map(repr, values))}{more}; upsert needs one row a key"
        )


def _update(
    session: SqlSession, target: TableName, staging: TableName, keys: Sequence[str], others: Sequence[str], on: str
) -> str:
    full = " AND ".join(f"{staging.sql}.{session.quoted(key)} = {target.sql}.{session.quoted(key)}" for key in keys)
    own = "t." if session.dialect.swap else ""
    correlated = [f"{name} = (SELECT {name} FROM {staging.sql} WHERE {full})" for name in map(session.quoted, others)]
    return session.dialect.update.format(
        t=target.sql,
        s=staging.sql,
        on=on,
        on_full=full,
        set=", ".join(f"{own}{session.quoted(name)} = s.{session.quoted(name)}" for name in others),
        correlated=", ".join(correlated),
    )

"""What ``if_exists`` means: five ways to bring rows into a table."""
# ruff: noqa: S608 (names are quoted; ``where`` is SQL of the DAG's author)
# ruff: noqa: S608 (names are quoted)

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.sql.load_log import LoadLog
from airflow_workflow_provider.transfers.sql.names import TableName, check_length, own_names
from airflow_workflow_provider.transfers.sql.rows import Rows
from airflow_workflow_provider.transfers.sql.session import SqlSession, same_type
from airflow_workflow_provider.transfers.sql.types import sql_type

KEEPING = ("append", "upsert", "replace_where")  # ways that write into a table that is there, whatever its types
_TEXT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


@dataclass(frozen=True)
class Mode:
    """``if_exists`` with its arguments, checked."""

    if_exists: str
    key_columns: tuple[str, ...] = ()
    where: str = ""

    @classmethod
    def of(cls, if_exists: Any, key_columns: Any, where: Any) -> Mode:
        """Check what the operator was given. Raises `InvalidArgument`, which names the argument."""
        if if_exists not in WAYS:
            raise InvalidArgument(f"if_exists: expected one of {', '.join(map(repr, WAYS))}, not {if_exists!r}")
        keys = [key_columns] if isinstance(key_columns, str) else list(key_columns or ())
        if if_exists == "upsert" and not (keys and all(isinstance(key, str) and key for key in keys)):
            raise InvalidArgument("key_columns: if_exists='upsert' needs the columns that make a row unique")
        condition = where.strip() if isinstance(where, str) else ""
        if if_exists == "replace_where" and not condition:
            raise InvalidArgument("where: if_exists='replace_where' needs the condition of the rows to replace")
        if ";" in _TEXT.sub("", condition):
            raise InvalidArgument("where: holds a semicolon; expected one condition")
        return cls(if_exists, tuple(keys), condition)


@dataclass
class Load:
    """One table and the rows for it, within an open transaction."""

    session: SqlSession
    load_log: LoadLog
    target: TableName
    rows: Rows
    mode: Mode
    progress: Progress
    staging_name: str

    def __post_init__(self) -> None:
        self.made = False
        dialect = self.session.dialect
        hint = "; give it another with columns={…}"
        for name in self.rows.schema.names:
            check_length(name, dialect, "columns", hint)
        self.types = {
            field.name: sql_type(field.type, dialect, is_key=field.name in self.mode.key_columns)
            for field in self.rows.schema
        }

    def insert(self, table: TableName, names: Sequence[str]) -> None:
        """Insert all rows; names are the table's own, in the order of ours."""
        typed = self.made or self.mode.if_exists == "replace"
        self.rows.into(self.session, table, names, self.progress, typed=typed)

    def create(self, table: TableName) -> None:
        """Create a table for the rows, with the key columns as its primary key."""
        self.made = True
        if not self.types:
            raise OutputUnavailable("there are neither columns nor rows, so nothing tells what the table looks like")
        keys = [self.session.quoted(key) for key in self.mode.key_columns]
        columns = [f"{self.session.quoted(name)} {kind}" for name, kind in self.types.items()]
        primary = [f"PRIMARY KEY ({', '.join(keys)})"] if keys and self.mode.if_exists == "upsert" else []
        if not self.session.dialect.ddl_in_transaction:
            self.session.created.append(table)
        described = ", ".join(columns + primary)
        self.session.run(f"CREATE TABLE {table.sql} ({described}){self.session.dialect.table_options}")

    def ready(self, existing: Mapping[str, str] | None) -> list[str]:
        """Make the target if it is not there; give its columns for ours."""
        if existing is not None:
            return self.matched(existing)
        self.create(self.target)
        return list(self.types)

    def matched(self, existing: Mapping[str, str]) -> list[str]:
        """Give the target's columns for ours: of the same name, else the only one that differs in case alone."""
        found = {name: own_names(name, existing) for name in self.types}
        missing = [name for name, names in found.items() if len(names) != 1]
        if missing:
            raise InvalidArgument(
                f"the table lacks {', '.join(map(repr, missing))}; it has {', '.join(map(repr, existing))}"
            )
        owners: dict[str, str] = {}
        for name, (own,) in found.items():
            if (other := owners.setdefault(own, name)) != name:
                raise InvalidArgument(
                    f"the columns {other!r} and {name!r} would both go into {own!r}; choose one with columns={{…}}"
                )
        return list(owners)


Steps = Generator[None]


def _fail(load: Load, existing: Mapping[str, str] | None) -> Steps:
    check_absent(load.session, load.load_log, load.target, existing)
    if existing is not None:
        load.session.run(f"DROP TABLE {load.target.sql}")
    if not load.session.dialect.ddl_in_transaction:
        load.load_log.claim()
    load.create(load.target)
    yield
    load.insert(load.target, list(load.types))


def check_absent(session: SqlSession, load_log: LoadLog, target: TableName, existing: Mapping[str, str] | None) -> None:
    """Refuse a table that is there, but for an empty one that a try made which was killed before it filled it."""
    if existing is None or (load_log.is_claimed() and not session.rows(f"SELECT COUNT(*) FROM {target.sql}")[0][0]):
        return
    raise InvalidArgument(f"if_exists='fail': the table {target.sql} exists already")


def _append(load: Load, existing: Mapping[str, str] | None) -> Steps:
    names = load.ready(existing)
    yield
    load.insert(load.target, names)


def _replace(load: Load, existing: Mapping[str, str] | None) -> Steps:
    """Empty a table of the same shape, which keeps its grants and indexes; make one of another shape anew."""
    if existing is None or _same_shape(load, existing):
        names = load.ready(existing)
        yield
        if existing is not None:
            load.session.run(f"DELETE FROM {load.target.sql}")
        load.insert(load.target, names)
    elif load.session.dialect.ddl_in_transaction:
        yield from _rename(load)
    else:
        yield from _swap(load, existing)


def _rename(load: Load) -> Steps:
    """Fill a new table beside the old one, which can be read until it is dropped at the end."""
    fresh = load.target.beside(load.staging_name)
    load.create(fresh)
    yield
    load.insert(fresh, list(load.types))
    yield
    load.session.run(f"DROP TABLE {load.target.sql}")
    load.session.run(f"ALTER TABLE {fresh.sql} RENAME TO {load.session.quoted(load.target.table)}")


def _same_shape(load: Load, existing: Mapping[str, str]) -> bool:
    if not load.types:
        return True
    own = [own_names(name, existing) for name in load.types]
    if sorted(own) != sorted([name] for name in existing):
        return False
    kinds = [(existing[name], kind) for (name,), kind in zip(own, load.types.values(), strict=True)]
    return all(not known or same_type(known, kind) for known, kind in kinds)


def _swap(load: Load, existing: Mapping[str, str]) -> Steps:
    """Fill a new table and put it in the place of the old one, where CREATE and DROP commit."""
    swap = load.session.dialect.swap
    if swap is None:
        load.ready(existing)
        raise InvalidArgument("the table has other columns, and this database cannot swap tables; drop it first")
    fresh, away = load.target.beside(load.staging_name), load.target.beside(load.staging_name + "_old")
    for leftover in (fresh, away):
        load.session.run(f"DROP TABLE IF EXISTS {leftover.sql}")
    load.create(fresh)
    yield
    load.insert(fresh, list(load.types))
    yield
    load.session.run(swap.format(old=load.target.sql, new=fresh.sql, away=away.sql))
    load.session.created.remove(fresh)
    load.session.run(f"DROP TABLE {away.sql}")


def _replace_where(load: Load, existing: Mapping[str, str] | None) -> Steps:
    names = load.ready(existing)
    yield
    if existing is not None:
        load.session.run(f"DELETE FROM {load.target.sql} WHERE {load.mode.where}")
    load.insert(load.target, names)


def _upsert(load: Load, existing: Mapping[str, str] | None) -> Steps:
    """Merge through a staging table, so that it needs no unique index and leaves other columns alone."""
    unknown = [key for key in load.mode.key_columns if key not in load.types]
    if unknown and load.types:
        raise InvalidArgument(f"key_columns: there is no column {unknown[0]!r}; there are {', '.join(load.types)}")
    names = load.ready(existing)
    if names:
        yield from merge(load.session, load.target, names, _keys(load, names), load.staging_name, load.insert)


def _keys(load: Load, names: Sequence[str]) -> list[str]:
    own = dict(zip(load.types, names, strict=True))
    return [own[key] for key in load.mode.key_columns]


# Each way goes in three steps, so that where CREATE commits, no table is made after another one was written to:
# make and check tables, write rows, put tables in place.
WAYS: Mapping[str, Callable[[Load, Mapping[str, str] | None], Steps]] = {
    "fail": _fail,
    "append": _append,
    "replace": _replace,
    "upsert": _upsert,
    "replace_where": _replace_where,
}


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

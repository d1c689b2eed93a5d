"""What ``if_exists`` means: the ways to bring rows into a table."""
# ruff: noqa: S608 (names are quoted; ``where`` is SQL of the DAG's author)

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.arguments import (
    ON_MISSING_COLUMN,
    ON_NEW_COLUMN,
    check_choice,
    checked_keys,
    checked_where,
)
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.sql.catalog import Target
from airflow_workflow_provider.transfers.sql.columns import TargetColumn, sqlite_type
from airflow_workflow_provider.transfers.sql.load_log import LoadLog
from airflow_workflow_provider.transfers.sql.names import TableName, check_length, own_names
from airflow_workflow_provider.transfers.sql.rows import Rows
from airflow_workflow_provider.transfers.sql.session import SqlSession, same_type
from airflow_workflow_provider.transfers.sql.types import sql_type

_BLIND_TO_CASE = ("MySQL", "SQLite", "DuckDB")  # in the names of columns
# Ways that write into an existing table, whatever its types.
KEEPING = ("append", "upsert", "replace_where", "truncate")


@dataclass(frozen=True)
class Mode:
    """``if_exists`` with its arguments, checked."""

    if_exists: str
    key_columns: tuple[str, ...] = ()
    where: str = ""
    on_new_column: str = "fail"
    on_missing_column: str = "null"

    @classmethod
    def of(
        cls,
        if_exists: Any,
        key_columns: Any,
        where: Any,
        on_new_column: Any = "fail",
        on_missing_column: Any = "null",
    ) -> Mode:
        """Check what the operator was given. Raises `InvalidArgument`, which names the argument."""
        check_choice("if_exists", if_exists, tuple(WAYS))
        check_choice("on_new_column", on_new_column, ON_NEW_COLUMN)
        check_choice("on_missing_column", on_missing_column, ON_MISSING_COLUMN)
        keys = checked_keys(if_exists, key_columns)
        return cls(if_exists, keys, checked_where(if_exists, where), on_new_column, on_missing_column)


@dataclass
class Load:
    """One table and the rows for it, within an open transaction."""

    session: SqlSession
    load_log: LoadLog
    target: Target
    rows: Rows
    mode: Mode
    progress: Progress
    staging_name: str
    log: logging.Logger | Any

    def __post_init__(self) -> None:
        self.made = False
        # The table that holds the rows until a statement that commits puts it in the target's place.
        self.filled: TableName | None = None
        dialect = self.session.dialect
        hint = "; give it another with columns={…}"
        for name in self.rows.schema.names:
            check_length(name, dialect, "columns", hint)
        self.types: dict[str, str] = getattr(self.rows, "declared", None) or {
            field.name: sql_type(field.type, dialect, is_key=field.name in self.mode.key_columns)
            for field in self.rows.schema
        }

    def insert(self, table: TableName, columns: Mapping[str, TargetColumn]) -> None:
        """Insert all rows into a table; ``columns`` gives its column for each of the output."""
        typed = self.made or self.mode.if_exists == "replace"
        self.rows.into(self.session, table, columns, self.progress, typed=typed)

    def insert_all(self, columns: Mapping[str, TargetColumn]) -> None:
        """Insert all rows into the target, through a staging table where they come by a path that is no INSERT."""
        shown, before = self.seen(), self.progress.rows
        if self.made or not columns or not self.session.stages_rows(self.target):
            self.insert(self.target.name, columns)
            self.check_seen(shown, self.progress.rows - before)
            return
        names = [column.name for column in columns.values()]
        staging = self.session.stage(self.target, names, self.staging_name)
        self.insert(staging, columns)
        self.check_counted(self.session.insert_from(self.target, staging, names), self.progress.rows - before)
        self.check_seen(shown, self.progress.rows - before)
        self.session.unstage(staging)

    def restore(self, fresh: TableName, columns: Mapping[str, TargetColumn]) -> None:
        """Give a new table what belonged to the one that it replaces, as far as it has the column for it."""
        names = {column.name for column in columns.values()}
        for column, statement in self.target.restored:
            if not column or column in names:
                self.session.run(statement.format(t=fresh.sql))

    def seen(self) -> int:
        """Count the rows that a view shows; of a table no row vanishes."""
        return self.session.counted(self.target.rows_sql) if self.target.is_view else 0

    def check_seen(self, before: int, inserted: int) -> None:
        """Refuse rows that a view has taken and does not show, since they do not fulfil its condition."""
        lacking = before + inserted - self.seen() if self.target.is_view else 0
        if lacking > 0:
            raise WorkflowError(
                f"{lacking} rows would not be seen in {self.target.name.sql}: it is a view whose condition they do not "
                "fulfil. Load into the table behind it, or give the view WITH CHECK OPTION to see which rows it refuses"
            )

    def check_counted(self, counted: int, expected: int) -> None:
        """Refuse where the table has taken fewer rows than it was given."""
        if counted not in (-1, expected):
            raise WorkflowError(
                f"the table took {counted} of {expected} rows; a trigger, a rule or a conflict clause of the table "
                "leaves rows out"
            )

    def create(self, table: TableName) -> dict[str, TargetColumn]:
        """Create a table for the rows, with the key columns as its primary key; give its columns."""
        self.made = True
        if not self.types:
            raise OutputUnavailable("there are neither columns nor rows, so the columns of the table are not known")
        self._check_case()
        keys = [self.session.quoted(key) for key in self.mode.key_columns]
        columns = [f"{self.session.quoted(name)} {kind}" for name, kind in self.types.items()]
        primary = [f"PRIMARY KEY ({', '.join(keys)})"] if keys and self.mode.if_exists == "upsert" else []
        if not self.session.dialect.ddl_in_transaction:
            self.session.created.append(table)
        described = ", ".join(columns + primary)
        self.session.run(f"CREATE TABLE {table.sql} ({described}){self.session.dialect.table_options}")
        found = self.session.look_at_columns(table).columns or {}
        return {name: found.get(name, TargetColumn(name)) for name in self.types}

    def _check_case(self) -> None:
        """Refuse two columns that are one to a database which compares their names without regard to case."""
        if self.session.dialect.name not in _BLIND_TO_CASE:
            return
        known: dict[str, str] = {}
        for name in self.types:
            if (other := known.setdefault(name.lower(), name)) != name:
                raise InvalidArgument(
                    f"the columns {other!r} and {name!r} differ only in upper and lower case, and are one column in "
                    f"{self.session.dialect.name}; rename one with columns={{…}}"
                )

    def ready(self) -> dict[str, TargetColumn]:
        """Make the target if it does not exist; give its columns for those of the output."""
        return self.matched() if self.target.is_there else self.create(self.target.name)

    def matched(self) -> dict[str, TargetColumn]:
        """Give the target's columns by the output's: of the same name, else the only one that differs in case."""
        existing = self.target.columns or {}
        found = {name: own_names(name, existing) for name in self.types}
        unknown = [name for name, names in found.items() if len(names) != 1]
        added = self._unknown(unknown)
        owners: dict[str, str] = {}
        for name, names in found.items():
            if len(names) == 1 and (other := owners.setdefault(names[0], name)) != name:
                raise InvalidArgument(
                    f"the columns {other!r} and {name!r} would both go into {names[0]!r}; choose one with columns={{…}}"
                )
        # No output can give a column that the database computes.
        left = [name for name, column in existing.items() if name not in owners and column.special != "generated"]
        if self.mode.on_missing_column == "fail" and left:
            raise InvalidArgument(
                f"on_missing_column: the output lacks {', '.join(map(repr, left))}, which the table has; "
                "on_missing_column='null' leaves them to their defaults"
            )
        columns = {name: existing[own] for own, name in owners.items()}
        for name, column in columns.items():
            if column.special == "generated":
                raise InvalidArgument(
                    f"the database computes the table's column {column.name!r}; leave {name!r} out with columns=[…]"
                )
        return {name: columns.get(name) or added[name] for name in self.types if name in columns or name in added}

    def _unknown(self, names: Sequence[str]) -> dict[str, TargetColumn]:
        """Do with columns that the table lacks what ``on_new_column`` says; give those that were added."""
        if not names:
            return {}
        listed = ", ".join(map(repr, names))
        if self.mode.on_new_column == "ignore":
            self.log.info("on_new_column='ignore': the table lacks %s, which are left out", listed)
            return {}
        if self.mode.on_new_column == "fail":
            known = ", ".join(map(repr, self.target.columns or {}))
            raise InvalidArgument(
                f"the table lacks {listed}; it has {known}. Use on_new_column='add' or 'ignore', or choose with columns"
            )
        for name in names:
            column = self.session.quoted(name)
            self.session.run(f"ALTER TABLE {self.target.name.sql} ADD COLUMN {column} {self.types[name]}")
            if not self.session.dialect.ddl_in_transaction:
                self.session.reverts.append(f"ALTER TABLE {self.target.name.sql} DROP COLUMN {column}")
        self.log.info("on_new_column='add': added %s to the table", listed)
        found = self.session.look_at_columns(self.target.name).columns or {}
        return {name: found.get(name, TargetColumn(name)) for name in names}

    def empty(self) -> None:
        """Delete the rows that the mode replaces, and nothing but these."""
        target = self.target
        where = self.mode.where if self.mode.if_exists == "replace_where" else ""
        reached = target.cascades
        if reached or (where and target.cascades_within):
            raise InvalidArgument(
                f"deleting rows would also change {', '.join(reached) or 'other rows of the table'}, whose foreign key "
                "has ON DELETE CASCADE, SET NULL or SET DEFAULT. Use if_exists='upsert', or change the foreign key"
            )
        if target.triggers:
            self.log.info("Statements on this table run its triggers and rules: %s", ", ".join(target.triggers))
        if self.mode.if_exists == "truncate" and not target.keeps_from_truncate and self.session.can_copy:
            self.session.run(f"TRUNCATE {'ONLY ' if target.alone else ''}{target.name.sql}")
            return
        try:
            self.session.run(f"DELETE FROM {target.rows_sql}" + (f" WHERE {where}" if where else ""))
        except Exception as error:
            if not where:
                raise
            said = re.sub(r"\s+", " ", str(error)).strip()
            raise WorkflowError(
                f"where: the database refuses this condition: {type(error).__name__}: {said}"
            ) from error
        if target.triggers:
            left = self.session.rows(f"SELECT COUNT(*) FROM {target.rows_sql}" + (f" WHERE {where}" if where else ""))[
                0
            ][0]
            if left:
                raise WorkflowError(
                    f"{left} rows are still in the table after DELETE: its triggers or rules keep them "
                    f"({', '.join(target.triggers)})"
                )


Steps = Generator[None]


def _fail(load: Load) -> Steps:
    check_absent(load.session, load.load_log, load.target)
    if load.target.is_there:
        load.session.run(f"DROP TABLE {load.target.name.sql}")
    if not load.session.dialect.ddl_in_transaction:
        load.load_log.claim()
    columns = load.create(load.target.name)
    yield
    load.insert(load.target.name, columns)


def check_absent(session: SqlSession, load_log: LoadLog, target: Target) -> None:
    """Refuse an existing table, except an empty one that a killed try of this load has made."""
    if not target.is_there:
        return
    if load_log.is_claimed() and not session.rows(f"SELECT COUNT(*) FROM {target.name.sql}")[0][0]:
        return
    raise InvalidArgument(
        f"if_exists='fail': the table {target.name.sql} exists already. Set if_exists to say what "
        "happens to its rows (append, replace, truncate, upsert, replace_where), or name another table"
    )


def _append(load: Load) -> Steps:
    columns = load.ready()
    yield
    load.insert_all(columns)


def _replace(load: Load) -> Steps:
    """Empty a table of the same shape, which keeps all that belongs to it; replace one of another shape."""
    if not load.target.is_there or _same_shape(load):
        columns = load.ready()
        yield
        if load.target.is_there:
            load.empty()
        load.insert_all(columns)
        return
    _check_nothing_lost(load)
    if load.session.dialect.ddl_in_transaction:
        yield from _rename(load)
    else:
        yield from _swap(load)


def _check_nothing_lost(load: Load) -> None:
    target = load.target
    if target.lost:
        raise InvalidArgument(
            "if_exists='replace': the output has other columns or types than the table, and a table that is made for "
            f"them would lose {'; '.join(target.lost)}. Use if_exists='truncate' to keep the table as it is, or drop it"
        )
    indexes = ["its indexes and keys: " + ", ".join(target.indexes)] if target.indexes else []
    if indexes or target.forgotten:
        load.log.warning(
            "if_exists='replace': the output has other columns or types, so the table is made for them, without %s",
            "; ".join([*indexes, *target.forgotten]),
        )


def _check_not_unrelated(load: Load, fresh: TableName) -> None:
    """Refuse to replace rows by none where no column is the same: a short message reads like a header without rows."""
    existing = load.target.columns or {}
    if any(own_names(name, existing) for name in load.types):
        return
    session = load.session
    if session.counted(load.target.name.sql) and not session.counted(fresh.sql):
        raise OutputUnavailable(
            f"the output has no rows, and none of its columns {', '.join(map(repr, load.types))} is a column of the "
            "table, so it may be an error message. If it is right, drop the table first"
        )


def _rename(load: Load) -> Steps:
    """Fill a new table beside the old one, which can be read until it is dropped at the end."""
    fresh = load.target.name.beside(load.staging_name)
    columns = load.create(fresh)
    yield
    load.insert(fresh, columns)
    _check_not_unrelated(load, fresh)
    load.restore(fresh, columns)
    yield
    load.session.run(f"DROP TABLE {load.target.name.sql}")
    load.session.run(f"ALTER TABLE {fresh.sql} RENAME TO {load.session.quoted(load.target.name.table)}")


def _same_shape(load: Load) -> bool:
    if not load.types:
        return True
    existing = load.target.declared
    own = [own_names(name, existing) for name in load.types]
    if sorted(own) != sorted([name] for name in existing):
        return False
    kinds = [(existing[name], kind) for (name,), kind in zip(own, load.types.values(), strict=True)]
    is_alike = _alike_in_sqlite if load.session.dialect.name == "SQLite" else same_type
    return all(not known or is_alike(known, kind) for known, kind in kinds)


def _alike_in_sqlite(one: str, other: str) -> bool:
    """True if two declared types store the same: all of whole numbers do, and all of text."""
    found = sqlite_type(one)
    return same_type(one, other) or (found.kind in ("int", "text") and found == sqlite_type(other))


def _swap(load: Load) -> Steps:
    """Fill a new table and put it in the place of the old one, where CREATE and DROP commit."""
    swap = load.session.dialect.swap
    if swap is None:
        load.ready()
        raise InvalidArgument("the table has other columns, and this database cannot swap tables; drop it first")
    name = load.target.name
    fresh, away = name.beside(load.staging_name), name.beside(load.staging_name + "_old")
    for leftover in (fresh, away):
        load.session.run(f"DROP TABLE IF EXISTS {leftover.sql}")
    load.filled = fresh
    columns = load.create(fresh)
    yield
    load.insert(fresh, columns)
    _check_not_unrelated(load, fresh)
    load.restore(fresh, columns)
    yield
    load.session.run(swap.format(old=name.sql, new=fresh.sql, away=away.sql))
    load.session.created.remove(fresh)
    load.session.run(f"DROP TABLE {away.sql}")


def _truncate(load: Load) -> Steps:
    """Empty the existing table, whatever its types, and fill it; all that belongs to it stays."""
    columns = load.ready()
    yield
    if load.target.is_there:
        load.empty()
    load.insert_all(columns)


def _replace_where(load: Load) -> Steps:
    columns = load.ready()
    yield
    if load.target.is_there:
        load.empty()
    load.insert_all(columns)


def _upsert(load: Load) -> Steps:
    """Merge through a staging table, so that it needs no unique index and leaves other columns alone."""
    unknown = [key for key in load.mode.key_columns if key not in load.types]
    if unknown and load.types:
        raise InvalidArgument(f"key_columns: there is no column {unknown[0]!r}; there are {', '.join(load.types)}")
    columns = load.ready()
    if columns:
        yield from _merge(load, columns)


# Each way goes in three steps, so that where CREATE commits, no table is made after another one was written to:
# make and check tables, write rows, put tables in place.
WAYS: Mapping[str, Callable[[Load], Steps]] = {
    "fail": _fail,
    "append": _append,
    "replace": _replace,
    "truncate": _truncate,
    "upsert": _upsert,
    "replace_where": _replace_where,
}


# --------------------------------------------------------------------------------------------------------- upsert


def _merge(load: Load, columns: Mapping[str, TargetColumn]) -> Generator[None]:
    """Update rows whose key the target has, and insert the others, in the three steps of a load.

    The staging table refuses a key that comes twice or is null before the target is touched.
    """
    session, target = load.session, load.target
    names = [column.name for column in columns.values()]
    keys = [columns[key] for key in load.mode.key_columns if key in columns]
    key_names = [key.name for key in keys]
    staging = session.stage(target, names, load.staging_name, keys)
    yield
    before, shown = load.progress.rows, load.seen()
    load.insert(staging, columns)
    expected = load.progress.rows - before
    session.index(staging, keys)
    _check_keys(session, staging, key_names)
    on = " AND ".join(f"t.{session.quoted(key)} = s.{session.quoted(key)}" for key in key_names)
    _check_equal_keys(session, target, staging, keys, on)
    _check_stored_keys(session, target, staging, keys)
    matched = session.match(target, staging, keys, f"{load.staging_name}_matched", on)
    others = [name for name in names if name not in key_names]
    for column in columns.values():
        if column.special == "identity" and column.name in others:
            raise InvalidArgument(
                f"the table's column {column.name!r} is an identity column, which an upsert cannot update; make it a "
                "key, or leave it out with columns=[…]"
            )
    held = _matching(session, target, staging, matched, key_names)
    if others:
        updated = session.count(_update(session, target, staging, key_names, others, on))
        if session.dialect.copies and 0 <= updated < held:
            _check_updated(session, target, staging, others, on)
        load.check_seen(shown, 0)
    source, condition = (matched, on.replace("t.", "m.")) if matched else (None, on)
    within = f"{source.sql} m" if source else f"{target.rows_sql} t"
    counted = session.insert_from(
        target, staging, names, f" WHERE NOT EXISTS (SELECT 1 FROM {within} WHERE {condition})"
    )
    if counted >= 0 and held >= 0:
        load.check_counted(counted + held, expected)
    load.check_seen(shown, max(counted, 0))
    yield
    for table in (staging, matched):
        if table is not None:
            session.unstage(table)


def _matching(
    session: SqlSession, target: Target, staging: TableName, matched: TableName | None, keys: Sequence[str]
) -> int:
    """Count the rows of the staging table whose key the target has, where the count is used."""
    if not target.triggers and target.takes_copy:
        return -1
    on = " AND ".join(f"t.{session.quoted(key)} = s.{session.quoted(key)}" for key in keys)
    where = f"{matched.sql} t" if matched else f"{target.rows_sql} t"
    return int(
        session.rows(f"SELECT COUNT(*) FROM {staging.sql} s WHERE EXISTS (SELECT 1 FROM {where} WHERE {on})")[0][0]
    )


def _check_updated(session: SqlSession, target: Target, staging: TableName, others: Sequence[str], on: str) -> None:
    """Refuse where rows were not updated; a trigger may skip those that are the same already."""
    differ = " OR ".join(
        f"CAST(t.{session.quoted(name)} AS TEXT) IS DISTINCT FROM CAST(s.{session.quoted(name)} AS TEXT)"
        for name in others
    )
    left = session.rows(f"SELECT COUNT(*) FROM {target.rows_sql} t JOIN {staging.sql} s ON {on} WHERE {differ}")[0][0]
    if left:
        raise WorkflowError(
            f"{left} rows of the table were not updated; its triggers, rules or row-level security keep them"
        )


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


def _check_equal_keys(
    session: SqlSession, target: Target, staging: TableName, keys: Sequence[TargetColumn], on: str
) -> None:
    """Refuse a key that the table's collation takes for another text: the row would keep the other one's key."""
    compared = [
        session.dialect.differs.format(t=f"t.{session.quoted(key.name)}", s=f"s.{session.quoted(key.name)}")
        for key in keys
        if session.dialect.differs and key.type.is_text
        # Everywhere else PostgreSQL's texts are the same only if their bytes are.
        if not session.dialect.copies or "citext" in key.declared
    ]
    if not compared:
        return
    listed = ", ".join(
        f"s.{session.quoted(key.name)}, t.{session.quoted(key.name)}" for key in keys if key.type.is_text
    )
    found = session.rows(
        f"SELECT {listed} FROM {target.rows_sql} {session.dialect.alias}t JOIN {staging.sql} {session.dialect.alias}s "
        f"ON {on} WHERE {' OR '.join(compared)} LIMIT 1"
    )
    if found:
        ours, theirs = found[0][:2]
        raise OutputUnavailable(
            f"key_columns: the key {ours!r} is the same as {theirs!r} of the table in the column's collation, but is "
            "another text; give the key column a binary collation"
        )


def _check_stored_keys(session: SqlSession, target: Target, staging: TableName, keys: Sequence[TargetColumn]) -> None:
    """Refuse a key of a column without a type that is a number in the table and text in the output, or the reverse."""
    for key in keys:
        if session.dialect.name != "SQLite" or key.type.kind != "any":
            continue
        name = session.quoted(key.name)
        for one, other in ((target.rows_sql, staging.sql), (staging.sql, target.rows_sql)):
            found = session.rows(
                f"SELECT {name} FROM {one} WHERE typeof({name}) NOT IN ('text', 'blob', 'null') AND "
                f"CAST({name} AS TEXT) IN (SELECT {name} FROM {other} WHERE typeof({name}) = 'text') LIMIT 1"
            )
            if found:
                raise OutputUnavailable(
                    f"key_columns: the key {found[0][0]!r} is a number on one side and text on the other, and the "
                    f"table's column {key.name!r} has no type, so they would be two keys. Give the column a type"
                )


def _update(
    session: SqlSession, target: Target, staging: TableName, keys: Sequence[str], others: Sequence[str], on: str
) -> str:
    name = target.name.sql
    full = " AND ".join(f"{staging.sql}.{session.quoted(key)} = {name}.{session.quoted(key)}" for key in keys)
    own = "t." if session.dialect.swap else ""
    correlated = [
        f"{other} = (SELECT {other} FROM {staging.sql} WHERE {full})" for other in map(session.quoted, others)
    ]
    return session.dialect.update.format(
        conflict=session.on_conflict(target.name),
        t=target.rows_sql,
        s=staging.sql,
        on=on,
        on_full=full,
        set=", ".join(f"{own}{session.quoted(other)} = s.{session.quoted(other)}" for other in others),
        correlated=", ".join(correlated),
    )

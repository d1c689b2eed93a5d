"""A small table beside the target that says which loads were committed.

A line is written in the transaction of the load, so a try that was killed after its commit left a line, and one that
was killed before did not. The retry finds the line and does not load again. A clear has another key. Where a try that
was given up for dead lives on beside its retry, the later one of the two finds the line too, or breaks on its key.

Where a database role may not use the log of a schema, it keeps a log of its own beside it.
"""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.sql.catalog import lock_name
from airflow_workflow_provider.transfers.sql.dialects import MARK
from airflow_workflow_provider.transfers.sql.names import TableName
from airflow_workflow_provider.transfers.sql.session import SqlSession

TABLE = "airflow_workflow_loads"
KEPT = timedelta(days=90)
_TRIES, _PAUSE = 20, 0.05  # seconds
_COLUMNS = {"load_key": "key", "loaded_at": "key", "row_count": "int", "result": "text"}
_CLAIM = -1  # rows of a load that has begun to make its table, where making one commits
_LOCK = -2  # rows of a line that loads of one table lock
_ROLES = {"PostgreSQL": "SELECT current_user", "MySQL": "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)"}


def find_logs(session: SqlSession, target: TableName, log: logging.Logger | Any) -> tuple[TableName, ...]:
    """Give the load logs beside a target that may be used; make one, in a transaction of its own, where there is none.

    The first one is written to. None where the database refuses: then a retry cannot tell whether a try has loaded.
    """
    usable: list[TableName] = []
    refusal = ""
    for table in _candidates(session, target):
        if not session.look_at_columns(table).is_there:
            if usable:
                continue
            refusal = _made(session, table) or refusal
            for _ in range(_TRIES):  # another task may be about to make it
                if session.look_at_columns(table).is_there or "conflict" not in refusal:
                    break
                time.sleep(_PAUSE)
        if session.look_at_columns(table).is_there:
            refused = _refused(session, table)
            refusal = refused or refusal
            if not refused:
                usable.append(table)
    if not usable:
        log.warning(
            "No load log can be used beside %s, so a retry cannot tell whether an earlier try has loaded: %s",
            target.sql,
            refusal,
        )
    elif refusal:
        log.info("The load log of this schema cannot be used (%s); %s is used instead", refusal, usable[0].sql)
    return tuple(usable)


def _candidates(session: SqlSession, target: TableName) -> list[TableName]:
    fold = session.dialect.fold
    names = [TABLE]
    if query := _ROLES.get(session.dialect.name):
        role = session.rows(query)[0][0]
        role = role.decode() if isinstance(role, bytes) else str(role)
        names.append(f"{TABLE}_{re.sub(r'[^a-z0-9_]', '_', role.lower())}"[:60])
    return [target.beside(fold(name)) for name in names]


def _made(session: SqlSession, table: TableName) -> str:
    dialect = session.dialect
    name = session.quoted
    columns = ", ".join(f"{name(dialect.fold(column))} {dialect.types[kind]}" for column, kind in _COLUMNS.items())
    try:
        if dialect.ddl_in_transaction:
            session.begin()
        session.run(f"CREATE TABLE {table.sql} ({columns}, PRIMARY KEY ({name(dialect.fold('load_key'))}))")
        session.commit()
    except Exception as error:  # noqa: BLE001 (each driver has its own errors; another task may have been faster)
        session.undo()
        return _shown(error)
    return ""


def _refused(session: SqlSession, table: TableName) -> str:
    """Tell why a log cannot be used; empty if it can."""
    if session.dialect.name not in _ROLES:
        return ""
    try:
        session.begin()
        session.run(f"INSERT INTO {table.sql} SELECT * FROM {table.sql} WHERE 1 = 0")
        session.run(f"DELETE FROM {table.sql} WHERE 1 = 0")
    except Exception as error:  # noqa: BLE001 (each driver has its own errors)
        return _shown(error)
    finally:
        session.undo()
    return ""


def _shown(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()


class LoadLog:
    """The logs beside one target, for one load; does nothing where there is none."""

    def __init__(self, session: SqlSession, tables: Sequence[TableName], attempt: Attempt) -> None:
        self._session, self._attempt, self._tables = session, attempt, tables

    def forget(self) -> None:
        """Remove the line that a first try finds: a DAG run that was deleted and made again has the same ids.

        In a transaction of its own, before anything is read: what is found later was written by a try of this load.
        """
        if self._attempt.is_retry or self._noted() is None:
            return
        self._session.begin()
        for table in self._tables:
            self._session.run(f"DELETE FROM {table.sql} WHERE {self._of_this_load}", [self._attempt.key])
        self._session.commit()

    def done(self) -> dict[str, Any] | None:
        """Give what an earlier try of the same series returned, if it committed."""
        found = self._found()
        return None if found is None or found[0] == _CLAIM else json.loads(found[1])

    def is_claimed(self) -> bool:
        """True if an earlier try of the same series has begun to make the target."""
        found = self._found()
        return found is not None and found[0] == _CLAIM

    def claim(self) -> None:
        """Note that the target is about to be made, where making it commits."""
        self._write(_CLAIM, {})
        self._session.commit()

    def note(self, rows: int, result: Mapping[str, Any]) -> None:
        """Note the load in its own transaction, and remove old lines."""
        self._write(rows, result)
        if self._tables:
            self._session.run(
                f"DELETE FROM {self._tables[0].sql} WHERE {self._name('loaded_at')} < {MARK} "
                f"AND {self._name('row_count')} <> {MARK}",
                [_moment(datetime.now(UTC) - KEPT), _LOCK],
            )

    def make_locks(self, targets: Iterable[TableName]) -> None:
        """Make the lines that loads of these tables lock, where the database has no other lock; each commits."""
        if not self._tables or self._session.catalog.locks != "the line of the load log":
            return
        for target in targets:
            key = f"lock:{lock_name(target)}"
            found = self._session.rows(
                f"SELECT 1 FROM {self._tables[0].sql} WHERE {self._name('load_key')} = {MARK}", [key]
            )
            if found:
                continue
            try:
                self._session.begin()
                self._insert(key, _LOCK, {"table": target.sql})
                self._session.commit()
            except Exception:  # noqa: BLE001 (another task was faster)
                self._session.undo()

    def lock(self, targets: Iterable[TableName]) -> None:
        """Lock these lines for the length of the transaction."""
        if not self._tables or self._session.catalog.locks != "the line of the load log":
            return
        for target in sorted(targets, key=lambda target: target.parts):
            self._session.run(
                f"UPDATE {self._tables[0].sql} SET {self._name('loaded_at')} = {MARK} "
                f"WHERE {self._name('load_key')} = {MARK}",
                [_moment(datetime.now(UTC)), f"lock:{lock_name(target)}"],
            )

    def _found(self) -> tuple[int, str] | None:
        return self._noted() if self._attempt.is_retry else None

    def _noted(self) -> tuple[int, str] | None:
        for table in self._tables:
            rows = self._session.rows(
                f"SELECT {self._name('row_count')}, {self._name('result')} FROM {table.sql} WHERE {self._of_this_load}",
                [self._attempt.key],
            )
            if rows:
                return int(rows[0][0]), str(rows[0][1])
        return None

    def _write(self, rows: int, result: Mapping[str, Any]) -> None:
        if not self._tables:
            return
        noted = self._noted()
        if noted is not None and noted[0] != _CLAIM:
            raise WorkflowError("another try of this task has committed the load meanwhile")
        # A claim alone: on a line that was written meanwhile, the primary key must break.
        self._session.run(
            f"DELETE FROM {self._tables[0].sql} WHERE {self._of_this_load} AND {self._name('row_count')} = {MARK}",
            [self._attempt.key, _CLAIM],
        )
        self._insert(self._attempt.key, rows, result)

    def _insert(self, key: str, rows: int, result: Mapping[str, Any]) -> None:
        names = ", ".join(self._name(name) for name in _COLUMNS)
        self._session.run(
            f"INSERT INTO {self._tables[0].sql} ({names}) VALUES ({', '.join(MARK for _ in _COLUMNS)})",
            [key, _moment(datetime.now(UTC)), rows, json.dumps(dict(result))],
        )

    def _name(self, column: str) -> str:
        return self._session.quoted(self._session.dialect.fold(column))

    @property
    def _of_this_load(self) -> str:
        return f"{self._name('load_key')} = {MARK}"


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="seconds")

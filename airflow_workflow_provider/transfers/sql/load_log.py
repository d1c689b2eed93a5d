"""A small table beside the target that says which loads were committed.

It is written in the transaction of the load, so a try that was killed after its commit left a row, and one that was
killed before did not. The retry finds the row and does not load again. A clear has another key. Where a try that was
given up for dead lives on beside its retry, the later one of the two finds the row too, or breaks on its key.
"""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.sql.dialects import MARK
from airflow_workflow_provider.transfers.sql.names import TableName
from airflow_workflow_provider.transfers.sql.session import SqlSession

TABLE = "airflow_workflow_loads"
KEPT = timedelta(days=90)
_COLUMNS = {"load_key": "key", "loaded_at": "key", "row_count": "int", "result": "text"}
_CLAIM = -1  # rows of a load that has begun to make its table, where making one commits


class LoadLog:
    """The load_log next to one target, for one attempt; does nothing where the database refuses the table."""

    def __init__(self, session: SqlSession, target: TableName, attempt: Attempt, log: logging.Logger | Any) -> None:
        self._session, self._attempt, self._log = session, attempt, log
        self._table = target.beside(session.dialect.fold(TABLE))
        self._exists = session.columns(self._table) is not None

    def ensure(self) -> None:
        """Create the table, in a transaction of its own."""
        if self._exists:
            return
        dialect = self._session.dialect
        columns = ", ".join(f"{self._name(name)} {dialect.types[kind]}" for name, kind in _COLUMNS.items())
        try:
            self._session.begin()
            self._session.run(f"CREATE TABLE {self._table.sql} ({columns}, PRIMARY KEY ({self._name('load_key')}))")
            self._session.commit()
        except Exception as error:  # noqa: BLE001 (each driver has its own errors)
            self._session.undo()
            if self._session.columns(self._table) is None:  # else another task was faster
                self._log.warning(
                    "The table %s could not be made, so a retry cannot tell whether an earlier try has loaded: %s",
                    self._table.sql,
                    error,
                )
                return
        self._exists = True

    def forget(self) -> None:
        """Let go of what a first try finds: a DAG run that was deleted and made again has the same ids.

        In a transaction of its own, before anything is read: what is found later was written by a try of this load.
        """
        if self._attempt.is_retry or self._noted() is None:
            return
        self._session.begin()
        self._session.run(f"DELETE FROM {self._table.sql} WHERE {self._of_this_load}", [self._attempt.key])
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
        """Note the load in its own transaction, and let go of old notes."""
        self._write(rows, result)
        if self._exists:
            self._session.run(
                f"DELETE FROM {self._table.sql} WHERE {self._name('loaded_at')} < {MARK}",
                [_moment(datetime.now(UTC) - KEPT)],
            )

    def _found(self) -> tuple[int, str] | None:
        return self._noted() if self._attempt.is_retry else None

    def _noted(self) -> tuple[int, str] | None:
        if not self._exists:
            return None
        rows = self._session.rows(
            f"SELECT {self._name('row_count')}, {self._name('result')} FROM {self._table.sql} "
            f"WHERE {self._of_this_load}",
            [self._attempt.key],
        )
        return (int(rows[0][0]), str(rows[0][1])) if rows else None

    def _write(self, rows: int, result: Mapping[str, Any]) -> None:
        if not self._exists:
            return
        noted = self._noted()
        if noted is not None and noted[0] != _CLAIM:
            raise WorkflowError("another try of this task has committed the load meanwhile")
        # A claim alone: on a note that came just now, the primary key must break.
        self._session.run(
            f"DELETE FROM {self._table.sql} WHERE {self._of_this_load} AND {self._name('row_count')} = {MARK}",
            [self._attempt.key, _CLAIM],
        )
        names = ", ".join(self._name(name) for name in _COLUMNS)
        self._session.run(
            f"INSERT INTO {self._table.sql} ({names}) VALUES ({', '.join(MARK for _ in _COLUMNS)})",
            [self._attempt.key, _moment(datetime.now(UTC)), rows, json.dumps(dict(result))],
        )

    def _name(self, column: str) -> str:
        return self._session.quoted(self._session.dialect.fold(column))

    @property
    def _of_this_load(self) -> str:
        return f"{self._name('load_key')} = {MARK}"


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="seconds")

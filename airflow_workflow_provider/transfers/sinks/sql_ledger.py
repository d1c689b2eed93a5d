"""A small table beside the target that says which loads were committed.

It is written in the transaction of the load, so a try that was killed after its commit left a row, and one that was
killed before did not. The retry finds the row and does not load again. A clear has another key.
"""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.sinks.sql_dialects import MARK
from airflow_workflow_provider.transfers.sinks.sql_names import TableName
from airflow_workflow_provider.transfers.sinks.sql_session import SqlSession

TABLE = "airflow_workflow_loads"
KEPT = timedelta(days=90)
_COLUMNS = {"load_key": "key", "loaded_at": "key", "row_count": "int", "result": "text"}
_CLAIM = -1  # rows of a load that has begun to make its table, where making one commits


class Ledger:
    """The ledger next to one target, for one attempt; does nothing where the database refuses the table."""

    def __init__(self, session: SqlSession, target: TableName, attempt: Attempt, log: logging.Logger | Any) -> None:
        self._session, self._attempt, self._log = session, attempt, log
        self._table = target.beside(TABLE)
        self._exists = session.columns(self._table) is not None

    def ensure(self) -> None:
        """Create the table, in a transaction of its own."""
        if self._exists:
            return
        dialect = self._session.dialect
        columns = ", ".join(f"{self._session.quoted(name)} {dialect.types[kind]}" for name, kind in _COLUMNS.items())
        try:
            self._session.begin()
            self._session.run(
                f"CREATE TABLE {self._table.sql} ({columns}, PRIMARY KEY ({self._session.quoted('load_key')}))"
            )
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
                f"DELETE FROM {self._table.sql} WHERE {self._session.quoted('loaded_at')} < {MARK}",
                [_moment(datetime.now(UTC) - KEPT)],
            )

    def _found(self) -> tuple[int, str] | None:
        if not self._exists or not self._attempt.is_retry:
            return None
        rows = self._session.rows(
            f"SELECT {self._session.quoted('row_count')}, {self._session.quoted('result')} FROM {self._table.sql} "
            f"WHERE {self._session.quoted('load_key')} = {MARK}",
            [self._attempt.key],
        )
        return (int(rows[0][0]), str(rows[0][1])) if rows else None

    def _write(self, rows: int, result: Mapping[str, Any]) -> None:
        if not self._exists:
            return
        self._session.run(
            f"DELETE FROM {self._table.sql} WHERE {self._session.quoted('load_key')} = {MARK}", [self._attempt.key]
        )
        names = ", ".join(self._session.quoted(name) for name in _COLUMNS)
        self._session.run(
            f"INSERT INTO {self._table.sql} ({names}) VALUES ({', '.join(MARK for _ in _COLUMNS)})",
            [self._attempt.key, _moment(datetime.now(UTC)), rows, json.dumps(dict(result))],
        )


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="seconds")

"""What an earlier try of the same task left behind: the run that it started, or its intent to start one.

Kept in Airflow's task state store (3.3+), which retries of a task instance share. On older Airflows there is no
such place: a clear and a retry both delete XComs before the task begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.times import iso, time_or_none

KEY = "workflow_run"


@dataclass(frozen=True)
class Remembered:
    """An intent to start at ``intended_at``, and the run once its start was answered.

    ``same_series`` is False when the task was cleared since: that raises ``ti.max_tries``, a retry does not.
    """

    intended_at: datetime | None
    run: Run | None
    same_series: bool


class Memory:
    """The task state store as far as a run's life needs it; does nothing where Airflow has none."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store = context.get("task_state_store")
        self._tries = getattr(context["ti"], "max_tries", None)

    @property
    def works(self) -> bool:
        """True where a later try can recall what this one keeps."""
        return self._store is not None

    def recall(self) -> Remembered | None:
        """Give what an earlier try left, or None."""
        stored = None if self._store is None else self._store.get(KEY)
        if not isinstance(stored, Mapping):
            return None
        run = Run.from_json(stored["run"]) if stored.get("run") else None
        return Remembered(time_or_none(stored.get("intended_at")), run, stored.get("max_tries") == self._tries)

    def intend(self) -> datetime:
        """Note, before it is sent, that a start will be sent; give the moment."""
        moment = datetime.now(UTC)
        self._set({"intended_at": iso(moment)})
        return moment

    def keep(self, run: Run) -> None:
        """Note the run that was started."""
        self._set({"run": run.to_json()})

    def forget(self) -> None:
        """Drop what was noted: nothing was started, or it is over."""
        if self._store is not None:
            self._store.delete(KEY)

    def _set(self, value: dict[str, Any]) -> None:
        if self._store is not None:
            self._store.set(KEY, {**value, "max_tries": self._tries})

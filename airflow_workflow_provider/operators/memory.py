"""What an earlier try of the same task left behind: the run that it started, or its intent to start one.

Kept in Airflow's task state store (3.3+), which retries of a task instance share. On older Airflows there is no
such place: a clear and a retry both delete XComs before the task begins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.times import iso, time_or_none

KEY = "workflow_run"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remembered:
    """An intent to start at ``intended_at``, and the run once its start was answered.

    ``same_series`` is False when the task was cleared since.
    """

    intended_at: datetime | None
    run: Run | None
    same_series: bool


class Memory:
    """The task state store as far as a run's life needs it; does nothing where Airflow has none."""

    def __init__(self, context: Mapping[str, Any], retries: int) -> None:
        self._store = context.get("task_state_store")
        self._ti, self._retries = context["ti"], retries

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
        return Remembered(time_or_none(stored.get("intended_at")), run, self._same_series(stored))

    def intend(self) -> datetime:
        """Note, before it is sent, that a start will be sent; give the moment."""
        moment = datetime.now(UTC)
        self._set({"intended_at": iso(moment)})
        return moment

    def keep(self, run: Run) -> bool:
        """Note the run that was started; False if the next try will not know of it. What goes wrong is not raised."""
        try:
            self._set({"run": run.to_json()})
        except Exception as error:  # noqa: BLE001  # the run is going, whatever it is that cannot be reached
            log.warning("Run %s was started, but could not be noted for the next try: %s", run.run_id, error)
            return False
        return self.works

    def holds(self, run: Run) -> bool:
        """True if the next try will know of this run. It is noted now if its own note has failed.

        Another run's note stays: a newer try has put it there, while this one was taken for dead.
        """
        try:
            noted = self.recall()
        except Exception as error:  # noqa: BLE001  # as above
            log.warning("Whether the next try will know of run %s cannot be found out: %s", run.run_id, error)
            return False
        return noted.run.run_id == run.run_id if noted and noted.run else self.keep(run)

    def forget(self) -> None:
        """Drop what was noted: nothing was started, or it is over."""
        if self._store is not None:
            self._store.delete(KEY)

    def _same_series(self, stored: Mapping[str, Any]) -> bool:
        """Tell a retry from a clear: that sets ``max_tries`` to the tries so far and ``retries`` more.

        With fewer ``retries`` than before that may be the old number, and then it is taken for a clear: what a
        retry loses by that, a run that goes on, is cancelled.
        """
        if stored.get("max_tries") != self._ti.max_tries:
            return False
        unchanged: bool = stored.get("retries", self._retries) == self._retries
        return unchanged or self._ti.max_tries != self._ti.try_number - 1 + self._retries

    def _set(self, value: dict[str, Any]) -> None:
        if self._store is not None:
            self._store.set(KEY, {**value, "max_tries": self._ti.max_tries, "retries": self._retries})

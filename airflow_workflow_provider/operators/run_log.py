"""The log of a run in the log of a task: while a worker waits, and when a task comes back from the triggerer."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_workflow_provider.exceptions import RunTimedOut
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.follow_log import INTERVAL, LogFollower, LogState, WrittenLog, to_log
from airflow_workflow_provider.protocol.run_log import LogLine

if TYPE_CHECKING:
    from airflow_workflow_provider.hooks.workflow import WorkflowHook
    from airflow_workflow_provider.protocol.model import Run

KEY = "workflow_log"  # in the task state store, with a digest of the run's id
XCOM_KEY = "_workflow_log"  # what a trigger keeps, see `triggers.task_log`


class TaskRunLog:
    """Writes the logs of runs into the log of one task, and keeps how far they are written for its next try.

    Nothing here raises: the outcome of a task does not depend on a log.

    :param is_wanted: the argument ``get_logs`` of the task.
    :param interval: the argument ``log_interval``, seconds or timedelta.
    """

    def __init__(
        self, hook: WorkflowHook, context: Mapping[str, Any], log: Any, *, is_wanted: bool, interval: Any
    ) -> None:
        self._hook, self._context, self._log = hook, context, log
        self._store = context.get("task_state_store")
        self.is_wanted = is_wanted
        self._interval = seconds_of("log_interval", interval) or INTERVAL

    def follow(self, run: Run) -> WrittenLog | None:
        """Give what follows the log of a run while this worker waits for it; None where that is not wanted."""
        return self._written(run, self.stored(run)) if self.is_wanted else None

    def awaited(self, run: Run, **how: Any) -> Run:
        """Wait for a run on this worker as `WorkflowHook.wait_for_run` does, and write its log to the end."""
        followed = self.follow(run)
        try:
            ended = self._hook.wait_for_run(run, log=followed, **how)
        except RunTimedOut as error:
            self.finish(error.run or run, followed)
            raise
        self.finish(ended, followed)
        return ended

    def for_trigger(self, run: Run) -> dict[str, Any] | None:
        """Give what a trigger needs for following the log of a run."""
        if not self.is_wanted:
            return None
        state = self.stored(run)
        return {"interval": self._interval, **({"state": state} if state else {})}

    def finish(self, run: Run, followed: WrittenLog | None = None) -> None:
        """Write the rest of the log of a run that is over."""
        if not self.is_wanted:
            return
        self._quietly(lambda: self._finish(run, followed or self._written(run, self.stored(run))))

    def poked(self, run: Run) -> None:
        """A sensor in reschedule mode has polled a run: write what is new, as far as it can be told."""
        if run.state.is_terminal:
            self.finish(run)
        elif self.is_wanted and self._store is not None:  # else each poke would write the whole log again
            written = self._written(run, self.stored(run))
            self._quietly(lambda: self._run(written, written.step(run)))

    def resume(self, run: Run, event: Any) -> None:
        """Come back from the triggerer: write again what its log may have lost, and then the rest."""
        if not self.is_wanted:
            return
        state = event.get("log") if isinstance(event, Mapping) else None
        self._quietly(lambda: self._resume(run, self._furthest(run, state)))

    def keep(self, run: Run) -> None:
        """Keep, for the next try, what a trigger that has failed has written."""
        if self.is_wanted and self._store is not None:
            self._quietly(lambda: self._keep(run))

    def stored(self, run: Run) -> Any:
        """Give how far the log of a run is written, as an earlier try has stored it; None without a store."""
        return self._quietly(lambda: self._store.get(_key(run)) if self._store is not None else None)

    def _resume(self, run: Run, state: Any) -> None:
        written = self._written(run, state)
        if conf.getboolean("logging", "remote_logging", fallback=False):
            self._write_tail(written, run)
        self._finish(run, written)

    def _furthest(self, run: Run, state: Any) -> Any:
        """Give the furthest of what the event, a trigger's XCom and the store of the tries say."""
        known = [LogState.from_json(one, run.run_id) for one in (state, self._xcom(), self.stored(run))]
        return max(known, key=lambda one: (one.lines, one.is_over)).to_json()

    def _xcom(self) -> Any:
        ti = self._context["ti"]
        return self._quietly(lambda: ti.xcom_pull(task_ids=ti.task_id, key=XCOM_KEY, map_indexes=ti.map_index))

    def _finish(self, run: Run, written: WrittenLog) -> None:
        self._run(written, written.finish(run))

    def _keep(self, run: Run) -> None:
        state = LogState.from_json(self._xcom(), run.run_id)
        if state.lines:
            self._save(run, state)

    def _written(self, run: Run, state: Any) -> WrittenLog:
        follower = LogFollower.of(self._hook.system, run, state, interval=self._interval)
        return WrittenLog(follower, to_log(self._log), lambda state: self._save(run, state))

    def _run(self, written: WrittenLog, flow: Any) -> Any:
        written.follower.system = self._hook.system  # its connection may have been read again
        return self._hook.client.run(flow)

    def _write_tail(self, written: WrittenLog, run: Run) -> None:
        lines = self._run(written, written.follower.tail(run))
        if lines:
            count = len(lines)
            about = f"the last {count} lines again, which remote logging may have lost in the triggerer:"
            written.write([LogLine(None, "info", about), *lines, LogLine(None, "info", "end of these lines")])

    def _save(self, run: Run, state: LogState) -> None:
        if self._store is not None:
            self._quietly(lambda: self._store.set(_key(run), state.to_json()) if self._store is not None else None)

    def _quietly(self, work: Any) -> Any:
        try:
            return work()
        except Exception as error:  # noqa: BLE001  # the outcome of the task does not depend on a log
            self._log.debug("The log of the run: %s", error)
            return None


def _key(run: Run) -> str:
    return f"{KEY}.{blake2b(run.run_id.encode(), digest_size=8).hexdigest()}"

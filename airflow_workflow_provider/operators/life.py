"""How a try of a task comes to its run: take over the one of an earlier try, or start one, and never two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.exceptions import (
    FinalUnknownStart,
    NotSupported,
    TaskStopped,
    UnknownStart,
    WorkflowNotFound,
)
from airflow_workflow_provider.operators.looking import look
from airflow_workflow_provider.operators.memory import Memory, Remembered
from airflow_workflow_provider.operators.metadata import runs_alone
from airflow_workflow_provider.operators.stopping import cancel_quietly
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.times import from_epoch

if TYPE_CHECKING:
    from airflow_workflow_provider.operators.workflow import RunWorkflowOperator

CLOCK_SKEW = timedelta(seconds=60)  # how far the server's clock may be behind ours
TAKEN_OVER = "taken_over"  # among a run's details


def taken_over(run: Run) -> bool:
    """True for a run that an earlier try had started."""
    return bool(run.details.get(TAKEN_OVER))


class RunLife:
    """The beginning of a run's life within one try of a task."""

    def __init__(self, operator: RunWorkflowOperator, context: Mapping[str, Any], parameters: Any) -> None:
        self._operator, self._parameters = operator, parameters
        self._hook, self._log = operator.hook, operator.log
        self._options = operator.options(operator.start_option_names)
        self._retries = operator.retries or 0
        self._context, self._memory = context, Memory(context, self._retries)
        self._past: set[str] = set()  # ids of runs that are known to be earlier ones

    def obtain(self) -> Run:
        """Give the run of this task, started now or earlier."""
        earlier = self._recalled()
        run = self._taken_over(earlier) if earlier else self._found_again()
        return run or self._started()

    def start_another(self) -> Run:
        """Start anew within this try: the run that it had taken over was cancelled under its hands.

        Airflow replaces a try that it has lost sight of before it tells that one to stop, and being told it cancels.
        """
        self._recalled()
        self._memory.forget()
        return self._started()

    def _recalled(self) -> Remembered | None:
        earlier = self._memory.recall()
        self._past = {earlier.run.run_id} if earlier and earlier.run else set()
        return earlier

    def _taken_over(self, earlier: Remembered) -> Run | None:
        if not earlier.same_series:
            self._replace(earlier)
            return None
        if not self._operator.reattach:
            return None
        if earlier.run is None:
            return self._settled(earlier.intended_at, "an earlier try was stopped while it started a run")
        try:
            run = look(self._hook, earlier.run, (WorkflowNotFound,))
        except WorkflowNotFound as error:
            self._log.warning("The run of an earlier try is gone, starting another: %s", error)
            return None
        if run.state in (RunState.FAILED, RunState.CANCELLED):
            self._log.info("Run %s of an earlier try was %s, starting another", run.run_id, run.state)
            return None
        self._log.info("Taking over run %s of an earlier try, which is %s", run.run_id, run.state)
        return replace(run, details={**run.details, TAKEN_OVER: True})

    def _found_again(self) -> Run | None:
        """Without a task state store (Airflow below 3.3) a retry looks for the run where the API lists runs.

        Only runs of the same workflow (and parameters, where the list shows them) since the DAG run began can be
        this task's. Without parameters one that has succeeded may as well be another DAG run's. A task that was
        cleared must not find the run that it is to replace; what else changes ``retries`` is no clear.
        """
        ti, dag_run = self._context["ti"], self._context.get("dag_run")
        cleared = 0 < ti.max_tries - self._retries < ti.try_number
        since = getattr(dag_run, "start_date", None)
        if self._memory.works or not self._operator.reattach or ti.try_number <= 1 or cleared or since is None:
            return None
        try:
            found = self._fitting(since)
        except NotSupported as error:
            self._log.info("This Airflow keeps no task state, and no run can be found: starting another (%s)", error)
            return None
        live = [run for run in found if not run.state.is_terminal]
        if len(live) > 1:
            self._undecided(UnknownStart(f"an earlier try may have started one of {len(live)} runs that fit"))
            return None
        done = len(found) == 1 and found[0].state is RunState.SUCCEEDED and self._hook.system.lists_parameters
        if live or done:
            run = (live or found)[0]
            self._log.info("Taking over run %s, the only one that fits an earlier try", run.run_id)
            return run
        return None

    def _fitting(self, since: datetime) -> list[Run]:
        """List the runs that this task may have started since then; raises `NotSupported` where nobody can tell."""
        listed = self._hook.find_started(
            self._operator.workflow, self._parameters, since=since - CLOCK_SKEW, **self._options
        )
        found = [run for run in listed if run.run_id not in self._past]
        if found:  # that there is none says enough
            self._may_tell()
        return [self._watched(run) for run in found]

    def _may_tell(self) -> None:
        """A list without parameters cannot tell a task's run from those of its other indexes and DAG runs."""
        system, ti = self._hook.system, self._context["ti"]
        if system.lists_parameters:
            return
        if getattr(ti, "map_index", -1) >= 0:
            raise NotSupported(f"{system.label} lists runs without their parameters")
        if not runs_alone(ti):
            raise NotSupported(f"{system.label} lists runs without their parameters, and other DAG runs may start such")

    def _watched(self, run: Run) -> Run:
        """Give a run as this task watches its runs; the list may have judged it by other options."""
        watch = self._operator.options(self._operator.watch_option_names)
        mine = self._hook.system.with_options(run, watch)
        return self._hook.get_run(mine) if watch and mine.state is RunState.FAILED else mine

    def _replace(self, earlier: Remembered) -> None:
        """The task was cleared: somebody wants a new run, and the old one must not go on beside it."""
        if earlier.run is None:
            return
        try:
            going = not self._hook.get_run(earlier.run).state.is_terminal
        except WorkflowNotFound:
            going = True  # for all that one answer tells
        if going:
            cancel_quietly(earlier.run, self._log, "the task was cleared")

    def _started(self) -> Run:
        """Start a run. The intent is noted before, the run right after, before anything else can fail."""
        intended_at = self._memory.intend()
        try:
            run = self._start()
        except UnknownStart as error:
            found = self._settled(intended_at, str(error), error)
            run = found or self._start()
        except Exception:
            self._memory.forget()  # every other error means that nothing was started
            raise
        self._operator.hold(run)
        self._memory.keep(run)
        self._log.info("Run %s of %s was started%s", run.run_id, run.workflow, f": {run.url}" if run.url else "")
        return run

    def _start(self) -> Run:
        if self._operator.killed:
            raise TaskStopped("the task was killed before it started a run")
        run = self._hook.start_run(self._operator.workflow, self._parameters, **self._options)
        watch = self._operator.options(self._operator.watch_option_names)
        return self._hook.system.with_options(run, watch)

    def _settled(self, since: datetime | None, why: str, error: UnknownStart | None = None) -> Run | None:
        """Find the run whose start was not answered. None means that another may be started.

        Exactly one run that fits is taken over; where there is none, nothing was started. Several, or an API
        that cannot tell, are for ``on_unknown_start`` to decide.
        """
        unknown = error or UnknownStart(f"{why}; whether there is a run is unknown")
        try:
            found = self._fitting(since or from_epoch(CLOCK_SKEW.total_seconds()))
        except NotSupported:
            found = None
        if found == []:
            self._log.info("The server has no run that fits, so none was started (%s)", why)
            return None
        if found is not None and len(found) == 1:
            self._log.info("Taking over run %s, the only one that fits (%s)", found[0].run_id, why)
            self._memory.keep(found[0])
            return found[0]
        self._undecided(unknown)
        return None

    def _undecided(self, unknown: UnknownStart) -> None:
        if self._operator.on_unknown_start != "restart":
            if self._memory.works and self._operator.reattach:
                raise unknown
            raise FinalUnknownStart(str(unknown), status=unknown.status) from unknown.__cause__
        self._log.warning("Starting a run although one may be going (on_unknown_start='restart'): %s", unknown)

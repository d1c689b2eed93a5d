"""The sensor that all systems share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    ProtocolError,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    TaskStopped,
    WorkflowError,
    WorkflowSensorTimeout,
)
from airflow_workflow_provider.links.workflow import RUN_LINK, show_run
from airflow_workflow_provider.operators.metadata import was_rescheduled
from airflow_workflow_provider.operators.stopping import TRIGGER_FAILED, shortened, stop_waiting
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.effects import Flow, Sleep
from airflow_workflow_provider.protocol.lifecycle import (
    deadline_of,
    failed_for_another,
    outcome_of,
    same_run,
    succeeded,
)
from airflow_workflow_provider.protocol.limits import fitting
from airflow_workflow_provider.protocol.literals import (
    check_conn_id,
    check_flags,
    check_run,
    check_seconds,
    check_text,
    is_literal,
)
from airflow_workflow_provider.protocol.model import Run, RunArgument, parse_run
from airflow_workflow_provider.protocol.poll import REFUSED
from airflow_workflow_provider.systems import SYSTEMS, is_loaded, system_class

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_workflow_provider.hooks.workflow import WorkflowHook
    from airflow_workflow_provider.operators.run_log import TaskRunLog

BARE_RUN_ID = "system: is missing; a bare run_id does not say which system it belongs to"
INTERVAL = 15.0  # seconds, where the system is not known before the task runs
SETTLING = 5.0  # seconds at most between two polls of a run that is over and may still leave its result


class WorkflowRunSensor(BaseSensorOperator):
    """Waits until a run of any system has succeeded and returns the run object, in every mode.

    The sensors of the single systems have their connection as an argument of its own; this one takes a system by its
    key, also one of another package. It asks through the connection of its ``run``, unless another one than the default
    is given. ``soft_fail`` skips the task when the run fails, is cancelled or has not ended in time; bad credentials
    and an unknown run always fail it.

    :param system: key of the system, such as ``"carto"``; default that of the run object.
    :param conn_id: Airflow connection; default the one of the run object. (templated)
    :param run: the run object, usually ``run_task.output``. (templated)
    :param run_id: the run's id, if there is no run object. (templated)
    :param workflow: the workflow of a bare ``run_id``, if the API needs it. (templated)
    :param poke_interval: seconds (or timedelta) between two polls of a young run; the interval grows with the age of
        the run, up to four times, but not in reschedule mode; default per system.
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time it is polled more often.
    :param timeout: seconds (or timedelta) to wait; default the same as for Airflow's sensors.
    :param deferrable: wait in the triggerer instead of a worker slot.
    :param get_logs: write the lines of the run's log into the log of the task while it waits.
    :param log_interval: seconds (or timedelta) between two requests for that log; default 30.
    """

    system_key: str = ""
    watch_option_names: ClassVar[tuple[str, ...]] = ()
    """Arguments that say how this system's runs are watched."""
    settling_state: ClassVar[tuple[str, ...]] = ()
    """Poll state that a run has while it is over and its result may still come."""

    template_fields: Sequence[str] = ("conn_id", "run", "run_id", "workflow")
    operator_extra_links = (RUN_LINK,)
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        run: RunArgument = None,
        run_id: str | None = None,
        workflow: str | None = None,
        poke_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        expected_duration: float | timedelta | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        get_logs: bool = True,
        log_interval: float | timedelta | None = None,
        system: str | None = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        if (run is None and run_id is None) or (run is not None and run_id is not None):
            raise InvalidArgument("run, run_id: give one of the two")
        check_seconds(
            poke_interval=poke_interval, timeout=timeout, expected_duration=expected_duration, log_interval=log_interval
        )
        key = system or self.system_key
        interval = (
            (SYSTEMS[key].poll_interval if key in SYSTEMS else INTERVAL) if poke_interval is None else poke_interval
        )
        # Airflow 2.11 refuses None, and both fill in [sensors] default_timeout when nothing is passed.
        limit: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        super().__init__(poke_interval=interval, **limit, **kwargs)
        self.system_key = key
        self.run = run
        self.run_id = run_id
        self.workflow = workflow
        self.deferrable = deferrable
        self.expected_duration = expected_duration
        self.get_logs = get_logs
        self.log_interval = log_interval
        self.conn_id = conn_id
        self._check_literals()
        self._has_usual_interval = poke_interval is None
        self._outcome: Run | WorkflowError | None = None
        self._killed = False

    def _check_literals(self) -> None:
        """Refuse wrong literals while the DAG file is parsed; a template is checked when the task runs."""
        check_flags(self, "deferrable", "get_logs")
        check_text("system", self.system_key or None, optional=True)
        check_conn_id("conn_id", self._conn_id)
        check_text("workflow", self.workflow, number=True, optional=True)
        if self.run_id is not None and not self.system_key:
            raise InvalidArgument(BARE_RUN_ID)
        given = self.run if self.run_id is None else self.run_id
        check_run(given, self.system_key)
        if isinstance(given, Run):
            self._parsed(given)

    @property
    def conn_id(self) -> Any:
        """The Airflow connection: the run's own, unless another than the default was given."""
        own = getattr(self, f"{self.system_key}_conn_id", None)
        given = self._conn_id if own is None else own
        default = self._default_conn_id()
        if self.run is None or given not in (None, default):
            return given or default
        try:
            fallback = given or default or ""
            return (
                parse_run(self.run, system=self.system_key, conn_id=fallback).conn_id
                if is_rendered(self.run)
                else given
            )
        except InvalidArgument:  # told when the run is polled
            return given or default

    @conn_id.setter
    def conn_id(self, value: Any) -> None:
        self._conn_id = value

    def _default_conn_id(self) -> str | None:
        # Airflow reads the template fields while it parses a DAG file, where a system of another distribution is not
        # imported.
        is_known = self.system_key in SYSTEMS or is_loaded(self.system_key)
        return system_class(self.system_key).default_conn_id if is_known else None

    @cached_property
    def hook(self) -> WorkflowHook:
        """The hook of this system, on the sensor's connection."""
        from airflow_workflow_provider.hooks.workflow import WorkflowHook

        return WorkflowHook.for_system(self._key(), self.conn_id)

    def execute(self, context: Context) -> Any:
        """Poll the run, and wait for its end in the mode that was asked for."""
        try:
            with self._softened():
                return self._executed(context)
        except WorkflowError as error:
            failure = error
        raise shortened(failure)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Take up what the trigger saw; what it says about another run is ignored."""
        own = self._own_run()
        try:
            known, outcome = outcome_of(event)
        except WorkflowError as error:
            if own is None:
                raise
            return self._waited_again(own, context, str(error))
        if own is not None and not same_run(own, known):
            return self._waited_again(own, context, f"The triggerer reported run {known.run_id}")
        RUN_LINK.remember(context["ti"], known.url)
        self._run_log(context).resume(known, event)
        if isinstance(outcome, WorkflowError):
            raise outcome
        return fitting(succeeded(outcome)).to_json()

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll the run, in reschedule mode. Errors are kept: Airflow would take each for a soft failure."""
        later = was_rescheduled(context)
        try:
            wanted = self._wanted()
            run = self._decided(self.hook.poll_enduringly(wanted) if later else self.hook.get_run(wanted))
        except (ServerUnavailable, ProtocolError) as error:
            if later and isinstance(error.__cause__, REFUSED):  # five times in a row
                self._outcome = error
                return PokeReturnValue(is_done=True)
            self.log.warning("The run cannot be polled at the moment, it is tried again: %s", error)
            return PokeReturnValue(is_done=False)
        except WorkflowError as error:
            self._outcome = error
            return PokeReturnValue(is_done=True)
        if self._outcome is None:
            show_run(context["ti"], run)
        self._run_log(context).poked(run)
        self._outcome = run
        return PokeReturnValue(is_done=run.state.is_terminal)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Come back from the triggerer; Airflow's own sensor would soften every error, ours only the run's."""
        try:
            with self._softened():
                own = self._own_run() if next_method == TRIGGER_FAILED else None
                if own is not None and failed_for_another(next_kwargs, own):
                    return self._waited_again(own, context, "A trigger failed that waited for another run")
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except WorkflowError as error:
            failure = error
        raise shortened(failure)

    def on_kill(self) -> None:
        """Stop waiting; the run is not this task's to cancel."""
        self._killed = True
        stop_waiting(self)

    def _own_run(self) -> Run | None:
        """Give the run that this sensor waits for, without its connection; None where that cannot be read.

        SQLite gives the number of a deleted trigger to the next one. A trigger of an earlier try, or of another task,
        that has not stopped yet then reports to this task.
        """
        given = self.run if self.run_id is None else self.run_id
        try:
            return self._parsed(given, self.conn_id) if self.run is None or is_rendered(given) else None
        except WorkflowError:
            return None

    def _waited_again(self, own: Run, context: Context, what: str) -> Any:
        self.log.warning("%s; waiting again for run %s", what, own.run_id)
        return self._executed(context)

    def _executed(self, context: Context) -> Any:
        seconds_of("poke_interval", self.poke_interval)
        if self._has_usual_interval and self._key() not in SYSTEMS:
            self.poke_interval = system_class(self._key()).poll_interval
        if self.reschedule:
            return self._rescheduled(context)
        # The first poll is the moment when a wrong id or bad credentials show; later they may be temporary.
        run = self._first_poll()
        show_run(context["ti"], run)
        logs = self._run_log(context)
        if run.state.is_terminal:
            logs.finish(run)
            return fitting(succeeded(run)).to_json()
        started = context["ti"].start_date
        deadline = deadline_of(started, self.timeout, started, self.execution_timeout)
        if self._killed:  # while there was nothing yet that waited
            raise TaskStopped("the task was killed at its first poll of the run")
        if self.deferrable:
            self._defer(run, deadline, logs)
        ended = logs.awaited(
            run, poll_interval=self.poke_interval, deadline=deadline, expected_duration=self.expected_duration
        )
        return fitting(succeeded(ended)).to_json()

    def _run_log(self, context: Context) -> TaskRunLog:
        from airflow_workflow_provider.operators.run_log import TaskRunLog

        return TaskRunLog(self.hook, context, self.log, is_wanted=self.get_logs, interval=self.log_interval)

    def _key(self) -> str:
        """Give the system's key; a sensor of any system takes it from its run object."""
        if self.system_key or self.run is None:
            return self.system_key
        return parse_run(self.run).system

    def _wanted(self) -> Run:
        if (self.run is None) == (self.run_id is None):
            raise InvalidArgument("run, run_id: give one of the two")
        key = self._key()
        if not key:
            raise InvalidArgument(BARE_RUN_ID)
        run = self._parsed(self.run if self.run_id is None else self.run_id, self.conn_id)
        names = self.watch_option_names
        options = {name: value for name in names if (value := getattr(self, name)) is not None}
        return self.hook.system.with_options(run, options)

    def _parsed(self, given: Any, conn_id: str = "?") -> Run:
        """Read a run, and refuse one of another system. A run that is checked only needs no connection."""
        key = self.system_key
        run = parse_run(given, system=key, conn_id=conn_id, workflow=str(self.workflow or ""))
        if key and run.system != key:
            raise InvalidArgument(f"run: belongs to the system {run.system!r}, this sensor watches {key!r}")
        return run

    def _first_poll(self) -> Run:
        wanted = self._wanted()
        try:
            return self.hook.get_run(wanted)
        except (ServerUnavailable, ProtocolError) as error:
            self.log.warning("The run cannot be polled at the moment, it is tried again: %s", error)
            return wanted

    def _decided(self, run: Run) -> Run:
        """Poll on here while a run is over and may still leave its result: only this process knows since when."""
        while not run.state.is_terminal and not run.handle.poll.keys().isdisjoint(self.settling_state):
            self.hook.client.run(_pause(min(self.poke_interval, SETTLING)))
            run = self.hook.get_run(run)
        return run

    def _rescheduled(self, context: Context) -> Any:
        super().execute(context)
        if isinstance(self._outcome, Run):
            return fitting(succeeded(self._outcome)).to_json()
        raise self._outcome or ProtocolError("the sensor ended without a poll of the run")

    def _defer(self, run: Run, deadline: float | None, logs: TaskRunLog) -> None:
        from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger, watching

        trigger = WorkflowRunTrigger(
            system=run.system,
            conn_id=self.hook.conn_id,
            run=fitting(run).to_json(),
            poll_interval=self.poke_interval,
            deadline=deadline,
            cancel_on_kill=False,
            options=watching(self.expected_duration),
            run_log=logs.for_trigger(run),
        )
        self.log.info("Run %s is %s, waiting for it in the triggerer", run.run_id, run.state)
        self.defer(trigger=trigger, method_name="execute_complete")

    @contextmanager
    def _softened(self) -> Iterator[None]:
        """Give time-outs their one type, and skip instead of failing as ``soft_fail`` and ``never_fail`` say."""
        try:
            yield
        except (RunFailed, RunCancelled, RunTimedOut, AirflowSensorTimeout) as error:
            timed_out = not isinstance(error, (RunFailed, RunCancelled))
            run = getattr(error, "run", None) or (self._outcome if isinstance(self._outcome, Run) else None)
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"{error} (skipped, as soft_fail asks for)") from error
            if timed_out:
                raise WorkflowSensorTimeout(str(error), run=run) from error
            raise
        except WorkflowError as error:
            if self.never_fail:
                raise AirflowSkipException(f"{error} (skipped, as never_fail asks for)") from error
            raise


def is_rendered(run: Any) -> bool:
    """True for a run that can be read now; before a task runs, templates and XComs cannot."""
    return isinstance(run, (Run, Mapping)) or (isinstance(run, str) and is_literal(run))


def _pause(seconds: float) -> Flow[None]:
    yield Sleep(seconds)

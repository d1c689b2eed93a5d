"""The sensor that all systems share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    AuthenticationFailed,
    InvalidArgument,
    ProtocolError,
    RequestRejected,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    ServerUnavailable,
    TaskStopped,
    WorkflowError,
    WorkflowNotFound,
    WorkflowSensorTimeout,
)
from airflow_workflow_provider.hooks.ending import deadline_of, run_of_event, succeeded
from airflow_workflow_provider.links.workflow import RUN_LINK, show_run
from airflow_workflow_provider.operators.looking import look, rest
from airflow_workflow_provider.operators.metadata import was_rescheduled
from airflow_workflow_provider.operators.stopping import stop_waiting
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.model import Run, RunLike, parse_run
from airflow_workflow_provider.systems import SYSTEMS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_workflow_provider.hooks.workflow import WorkflowHook

REFUSALS = (AuthenticationFailed, WorkflowNotFound, RequestRejected)  # these may pass while a run is going
SETTLING = 5.0  # seconds at most between two looks at a run that is over and may still leave its result


class WorkflowRunSensor(BaseSensorOperator):
    """Waits until a run has succeeded and returns the run object, in every mode. Use the subclass of a system.

    Without another connection than the default it asks through the one of its ``run``.
    ``soft_fail`` skips the task when the run fails, is cancelled or is not over in time; bad credentials and an
    unknown run always fail it.

    :param run: the run object, usually ``run_task.output``. (templated)
    :param run_id: the run's id, where there is no run object. (templated)
    :param workflow: the workflow that a bare id belongs to, where the API wants to know. (templated)
    :param poke_interval: seconds (or timedelta) between two looks; default per system.
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time a deferred sensor looks
        more often.
    :param timeout: seconds (or timedelta) to wait; default as Airflow's sensors have it.
    :param deferrable: wait in the triggerer instead of a worker slot.
    """

    system_key: ClassVar[str] = ""
    watch_option_names: ClassVar[tuple[str, ...]] = ()
    """Arguments that tell how this system's runs are watched."""
    settling_details: ClassVar[tuple[str, ...]] = ()
    """Details that a run has while it is over and its result may still come."""

    template_fields: Sequence[str] = ("run", "run_id", "workflow")
    operator_extra_links = (RUN_LINK,)
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        run: RunLike | None = None,
        run_id: str | None = None,
        workflow: str | None = None,
        poke_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        expected_duration: float | timedelta | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        interval = SYSTEMS[self.system_key].poll_interval if poke_interval is None else poke_interval
        # Airflow 2.11 refuses None, and both fill in [sensors] default_timeout when nothing is passed.
        limit: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        super().__init__(poke_interval=interval, **limit, **kwargs)
        self.run = run
        self.run_id = run_id
        self.workflow = workflow
        self.deferrable = deferrable
        self.expected_duration = expected_duration
        self._outcome: Run | WorkflowError | None = None
        self._killed = False

    @property
    def conn_id(self) -> str:
        """The Airflow connection of this system: the run's own, unless another than the default was given."""
        given = str(getattr(self, f"{self.system_key}_conn_id"))
        if self.run is None or given != SYSTEMS[self.system_key].default_conn_id:
            return given
        return parse_run(self.run, system=self.system_key, conn_id=given).conn_id

    @cached_property
    def hook(self) -> WorkflowHook:
        """The hook of this system, on the operator's connection."""
        from airflow_workflow_provider.hooks.workflow import WorkflowHook

        return WorkflowHook.for_system(self.system_key, self.conn_id)

    def execute(self, context: Context) -> Any:
        """Look at the run, and wait for its end in the mode that was asked for."""
        with self._softened():
            seconds_of("poke_interval", self.poke_interval)
            if self.reschedule:
                return self._rescheduled(context)
            # The first look is the moment when a wrong id or bad credentials show; later they may be a hiccup.
            run = self._first_look()
            show_run(context["ti"], run)
            if run.state.is_terminal:
                return succeeded(run).to_json()
            started = context["ti"].start_date
            deadline = deadline_of(started, self.timeout, started, self.execution_timeout)
            if self._killed:  # while there was nothing yet that waited
                raise TaskStopped("the task was killed at its first look at the run")
            if self.deferrable:
                self._defer(run, deadline)
            ended = self.hook.wait_for_run(run, poll_interval=self.poke_interval, deadline=deadline)
            return succeeded(ended).to_json()

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Take up what the trigger saw."""
        return succeeded(run_of_event(event)).to_json()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look at the run, in reschedule mode. Errors are kept: Airflow would take each for a soft failure."""
        later = was_rescheduled(context)
        try:
            wanted = self._wanted()
            run = self._decided(look(self.hook, wanted, REFUSALS) if later else self.hook.get_run(wanted))
        except (ServerUnavailable, ProtocolError) as error:
            self.log.warning("The run cannot be looked at just now, still waiting for it: %s", error)
            return PokeReturnValue(is_done=False)
        except WorkflowError as error:
            self._outcome = _for_the_next_try(error) if later else error
            return PokeReturnValue(is_done=True)
        if self._outcome is None:
            show_run(context["ti"], run)
        self._outcome = run
        return PokeReturnValue(is_done=run.state.is_terminal)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Come back from the triggerer; Airflow's own sensor would soften every error, ours only the run's."""
        with self._softened():
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Stop waiting; the run is not this task's to cancel."""
        self._killed = True
        stop_waiting(self)

    def _wanted(self) -> Run:
        if (self.run is None) == (self.run_id is None):
            raise InvalidArgument("run, run_id: give one of the two")
        given = self.run if self.run_id is None else self.run_id
        run = parse_run(given, system=self.system_key, conn_id=self.conn_id, workflow=self.workflow or "")
        if run.system != self.system_key:
            raise InvalidArgument(f"run: belongs to the system {run.system!r}, this sensor watches {self.system_key!r}")
        names = self.watch_option_names
        options = {name: value for name in names if (value := getattr(self, name)) is not None}
        return self.hook.system.with_options(run, options)

    def _first_look(self) -> Run:
        wanted = self._wanted()
        try:
            return self.hook.get_run(wanted)
        except (ServerUnavailable, ProtocolError) as error:
            self.log.warning("The run cannot be looked at just now, waiting for it all the same: %s", error)
            return wanted

    def _decided(self, run: Run) -> Run:
        """Look on here at a run that is over and may still leave its result: it alone knows since when it is over."""
        while not run.state.is_terminal and not run.details.keys().isdisjoint(self.settling_details):
            rest(self.hook, min(self.poke_interval, SETTLING))
            run = self.hook.get_run(run)
        return run

    def _rescheduled(self, context: Context) -> Any:
        super().execute(context)
        if isinstance(self._outcome, Run):
            return succeeded(self._outcome).to_json()
        raise self._outcome or ProtocolError("the sensor ended without a look at the run")

    def _defer(self, run: Run, deadline: float | None) -> None:
        from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger, watching

        trigger = WorkflowRunTrigger(
            system=self.system_key,
            conn_id=self.conn_id,
            run=run.to_json(),
            poll_interval=self.poke_interval,
            deadline=deadline,
            cancel_on_kill=False,
            options=watching(self.expected_duration),
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


def _for_the_next_try(error: WorkflowError) -> WorkflowError:
    """Give what a run that was seen before is worth: it may still be going, so refusals are not for good."""
    if not isinstance(error, (AuthenticationFailed, RequestRejected)) or isinstance(error, InvalidArgument):
        return error
    unavailable = ServerUnavailable(f"the run may still be going, but looks at it are refused: {error}")
    unavailable.__cause__ = error
    return unavailable

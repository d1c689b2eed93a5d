"""The run operator that all systems share; the one that cancels can be imported from here as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, BaseOperator, conf

from airflow_workflow_provider.assets.emission import with_alias
from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    TaskStopped,
)
from airflow_workflow_provider.hooks.ending import deadline_of, run_of_event, succeeded
from airflow_workflow_provider.lineage.runs import RunLineage
from airflow_workflow_provider.links.workflow import OUTPUT_LINK, RUN_LINK
from airflow_workflow_provider.operators.cancelling import CancelWorkflowRunOperator
from airflow_workflow_provider.operators.life import RunLife, taken_over
from airflow_workflow_provider.operators.publishing import hand_on, publish, published
from airflow_workflow_provider.operators.stopping import cancel_quietly, leave, stop, unless_killed
from airflow_workflow_provider.protocol import parameters as given
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.model import Run

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_workflow_provider.assets.places import Landed
    from airflow_workflow_provider.hooks.workflow import WorkflowHook

QueryParameters = given.Parameters | Callable[..., given.Parameters] | str | None
__all__ = ["CancelWorkflowRunOperator", "RunWorkflowOperator"]

TRIGGER_FAILED = "__fail__"  # what Airflow gives as next_method when a trigger died or its time was up
ON_UNKNOWN_START = ("fail", "restart")
ON_RUN_FAILURE = ("fail", "skip")


class RunWorkflowOperator(RunLineage, BaseOperator):
    """Starts a run of a workflow, waits for its end and returns the run object. Use the subclass of a system.

    XComs ``run_id``, ``run_url`` and ``run`` are there from the moment of the start; ``run`` again at the end.

    :param workflow: the workflow to run, as its system names it. (templated)
    :param query_parameters: what the run is given: a mapping, or a callable ``(context, jinja_env)`` that makes it.
        (templated)
    :param parameter_types: types for rendered text, such as ``{"start": "timestamp", "n": "int64"}``. (templated)
    :param wait_for_completion: False returns the run object right after the start.
    :param deferrable: wait in the triggerer instead of a worker slot.
    :param poll_interval: seconds (or timedelta) between two looks at the run; default per system. (templated)
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time a deferred task looks at
        it more often.
    :param timeout: seconds (or timedelta) that the remote run may take, counted from its start. (templated)
    :param reattach: a retry takes over the run that an earlier try started, instead of starting another.
    :param on_unknown_start: what to do when a start was sent and its answer lost, and the run cannot be found:
        ``"fail"`` or ``"restart"``.
    :param cancel_on_kill: cancel the remote run when the task is killed.
    :param cancel_on_timeout: cancel the remote run when its time is up.
    :param on_run_failure: ``"skip"`` skips the task when the run fails, is cancelled or runs out of time.
    :param asset_alias: name of an asset alias to put among the ``outlets``; every alias there receives the outputs of
        a run that succeeded as assets. Mapped tasks take ``outlets=[AssetAlias(…)]`` instead.
    """

    system_key: ClassVar[str] = ""
    start_option_names: ClassVar[tuple[str, ...]] = ()
    """Arguments that only this system's start has."""
    watch_option_names: ClassVar[tuple[str, ...]] = ()
    """Arguments that tell how this system's runs are watched."""

    template_fields: Sequence[str] = ("workflow", "query_parameters", "parameter_types", "poll_interval", "timeout")
    template_fields_renderers: ClassVar[dict[str, str]] = {"query_parameters": "json", "parameter_types": "json"}
    operator_extra_links = (RUN_LINK, OUTPUT_LINK)
    ui_color = "#e8f4f0"

    def __init__(
        self,
        *,
        workflow: str,
        query_parameters: QueryParameters = None,
        parameter_types: Mapping[str, str] | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        expected_duration: float | timedelta | None = None,
        reattach: bool = True,
        on_unknown_start: str = "fail",
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        on_run_failure: str = "fail",
        asset_alias: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outlets = with_alias(self.outlets, asset_alias)
        self.workflow = workflow
        self.query_parameters = query_parameters
        self.parameter_types = parameter_types
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.expected_duration = expected_duration
        self.reattach = reattach
        self.on_unknown_start = _one_of("on_unknown_start", on_unknown_start, ON_UNKNOWN_START)
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.on_run_failure = _one_of("on_run_failure", on_run_failure, ON_RUN_FAILURE)
        self.asset_alias = asset_alias
        self._run: Run | None = None
        self._sent: Any = None
        self._landed: tuple[Landed, ...] = ()
        self.killed = False

    @property
    def conn_id(self) -> str:
        """The Airflow connection of this system."""
        return str(getattr(self, f"{self.system_key}_conn_id"))

    @cached_property
    def hook(self) -> WorkflowHook:
        """The hook of this system."""
        from airflow_workflow_provider.hooks.workflow import WorkflowHook

        return WorkflowHook.for_system(self.system_key, self.conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the run, or take over the one that an earlier try started, and see it to its end."""
        for name in ("poll_interval", "timeout", "expected_duration"):
            seconds_of(name, getattr(self, name))
        self._sent = self._parameters(context)
        return self._see_through(context, RunLife(self, context, self._sent).obtain())

    def _see_through(self, context: Context, run: Run) -> dict[str, Any]:
        """See a run of this task to its end."""
        self._run = run
        if self.killed:  # while the start was under way, so there was no run to cancel yet
            self.on_kill()
            raise TaskStopped(f"the task was killed while it started run {run.run_id}")
        try:
            publish(context["ti"], run)
            if not self.wait_for_completion:
                return run.to_json()
            awaited = self._waiting(context, run)
        except Exception as error:
            leave(self, context, run, error)
            raise
        return self._end(context, awaited)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Take up what the trigger saw."""
        published = event.get("run") if isinstance(event, Mapping) else None
        self._run = Run.from_json(published) if isinstance(published, Mapping) else None
        return self._end(context, lambda: run_of_event(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Come back from the triggerer, also when the trigger died and Airflow only says that it failed."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if next_method == TRIGGER_FAILED:
                leave(self, context, published(self, context), error)
            raise

    def on_kill(self) -> None:
        """Stop waiting and, unless forbidden, cancel the remote run with one short call."""
        self.killed = True
        stop(self, self._run)

    def hold(self, run: Run) -> None:
        """Take a run for this task's from now on, so that a kill cancels it."""
        self._run = run

    def options(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Give those of this operator's own arguments that are set."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def sent(self, context: Context) -> Any:
        """Give the parameters of the run; made again where this process did not start it."""
        return self._parameters(context) if self._sent is None else self._sent

    def _parameters(self, context: Context) -> Any:
        parameters = self.query_parameters
        if callable(parameters):  # Airflow 3 has called it while it rendered the template fields, 2.11 has not
            parameters = parameters(context=context, jinja_env=self.get_template_env())
        return given.converted(given.checked(parameters), self.parameter_types)

    def _waiting(self, context: Context, run: Run) -> Callable[[], Run]:
        """Defer, or give what waits on this worker."""
        if run.state.is_terminal:
            return lambda: run
        interval = seconds_of("poll_interval", self.poll_interval) or self.hook.system.poll_interval
        deadline = deadline_of(
            run.started_at or datetime.now(UTC), self.timeout, context["ti"].start_date, self.execution_timeout
        )
        if not self.deferrable:
            return lambda: self.hook.wait_for_run(run, poll_interval=interval, deadline=deadline)
        from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger, watching

        trigger = WorkflowRunTrigger(
            system=self.system_key,
            conn_id=self.conn_id,
            run=run.to_json(),
            poll_interval=interval,
            deadline=deadline,
            cancel_on_kill=self.cancel_on_kill,
            options=watching(self.expected_duration),
        )
        self.log.info("Run %s is going, waiting for it in the triggerer", run.run_id)
        return self.defer(trigger=trigger, method_name="execute_complete")

    def _end(self, context: Context, awaited: Callable[[], Run]) -> dict[str, Any]:
        """Conclude the run, whichever way it was awaited."""
        try:
            run = unless_killed(self, awaited())
            self._run = succeeded(run)
        except (RunFailed, RunCancelled, RunTimedOut) as error:
            if isinstance(error, RunCancelled) and error.run is not None and taken_over(error.run):
                self.log.warning("%s. The try that it was taken over from did that; starting another", error)
                return self._see_through(context, RunLife(self, context, self._parameters(context)).start_another())
            self._run = run_at_end = error.run or self._run
            if run_at_end is not None:
                if isinstance(error, RunTimedOut) and self.cancel_on_timeout:
                    cancel_quietly(run_at_end, self.log, "its time was up")
                context["ti"].xcom_push(key="run", value=run_at_end.to_json())
            if self.on_run_failure == "skip":
                raise AirflowSkipException(f"{error} (skipped, as on_run_failure='skip' asks for)") from error
            raise
        except Exception as error:
            leave(self, context, self._run, error)
            raise
        context["ti"].xcom_push(key="run", value=run.to_json())
        self.log.info("Run %s of %s succeeded", run.run_id, run.workflow)
        self._landed = hand_on(self, context, run)
        return run.to_json()


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InvalidArgument(f"{name}: expected {' or '.join(map(repr, choices))}, not {value!r}")
    return value

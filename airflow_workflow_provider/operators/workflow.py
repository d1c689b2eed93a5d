"""The run operator of every system; the one that cancels can be imported from here as well."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    BaseOperator,
    conf,
)

from airflow_workflow_provider.assets.emission import with_alias
from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    TaskStopped,
    WorkflowError,
)
from airflow_workflow_provider.lineage.runs import RunLineage
from airflow_workflow_provider.links.workflow import OUTPUT_LINK, RUN_LINK
from airflow_workflow_provider.operators.cancelling import CancelWorkflowRunOperator
from airflow_workflow_provider.operators.publishing import hand_on, publish, published
from airflow_workflow_provider.operators.stopping import TRIGGER_FAILED, shortened, stop_waiting
from airflow_workflow_provider.protocol import parameters as given
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.limits import fitting
from airflow_workflow_provider.protocol.literals import (
    check_conn_id,
    check_flags,
    check_mapping,
    check_seconds,
    check_text,
)
from airflow_workflow_provider.protocol.model import Run

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_workflow_provider.assets.places import Landed
    from airflow_workflow_provider.hooks.workflow import WorkflowHook
    from airflow_workflow_provider.operators.driver import TaskDriver
    from airflow_workflow_provider.operators.run_log import TaskRunLog
    from airflow_workflow_provider.protocol.lifecycle import LifeCycle, RunPolicy

QueryParameters = given.Parameters | Callable[..., given.Parameters] | str | None
__all__ = ["CancelWorkflowRunOperator", "RunWorkflowOperator"]

ON_UNKNOWN_START = ("fail", "restart")
ON_RUN_FAILURE = ("fail", "skip")
SWITCHES = ("wait_for_completion", "deferrable", "reattach", "cancel_on_kill", "cancel_on_timeout", "get_logs")


class RunWorkflowOperator(RunLineage, BaseOperator):
    """Starts a run of a workflow of any system, waits for its end and returns the run object.

    The operators of the single systems, such as `CartoRunWorkflowOperator`, show each option of a start as an argument
    of its own; this one takes a system by its key, also one of another package.

    XComs ``run_id``, ``run_url`` and ``run`` exist from the moment of the start; ``run`` is written again at the end.

    :param system: key of the system, such as ``"carto"``.
    :param conn_id: Airflow connection; default the system's own, such as ``carto_default``. (templated)
    :param start_options: start options that only this system has, such as ``{"priority": "High"}``. (templated)
    :param workflow: the id of the workflow in its system, or ``name:…`` with its name. (templated)
    :param query_parameters: the parameters of the run: a mapping, or a callable ``(context, jinja_env)`` that makes it.
        (templated)
    :param parameter_types: types for rendered text, such as ``{"start": "timestamp", "n": "int64"}``. (templated)
    :param wait_for_completion: False returns the run object right after the start.
    :param deferrable: wait in the triggerer instead of a worker slot. A run that ends at once does not defer.
    :param poll_interval: seconds (or timedelta) between two polls of a young run; the interval grows with the age of
        the run, up to four times; default per system. (templated)
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time it is polled more often.
    :param timeout: seconds (or timedelta) that the remote run may take, counted from its start. (templated)
    :param reattach: a retry takes over the run that an earlier try started, instead of starting another.
    :param on_unknown_start: what to do if the answer to a start is lost and the run cannot be found: ``"fail"`` or
        ``"restart"``.
    :param cancel_on_kill: cancel the remote run when the task is killed, is cleared or fails before it. False leaves it
        going in all these cases.
    :param cancel_on_timeout: cancel the remote run when its time limit ends.
    :param on_run_failure: ``"skip"`` skips the task when the run fails, is cancelled or times out.
    :param asset_alias: name of an asset alias to put among the ``outlets``; every alias there receives the outputs of
        a run that succeeded as assets. Mapped tasks take ``outlets=[AssetAlias(…)]`` instead.
    :param get_logs: write the lines of the run's log into the log of the task while it waits.
    :param log_interval: seconds (or timedelta) between two requests for that log; default 30.
    """

    system_key: str = ""
    start_option_names: ClassVar[tuple[str, ...]] = ()
    """Arguments that only this system's start has."""
    watch_option_names: ClassVar[tuple[str, ...]] = ()
    """Arguments that say how this system's runs are watched."""

    template_fields: Sequence[str] = (
        "conn_id",
        "workflow",
        "query_parameters",
        "parameter_types",
        "poll_interval",
        "timeout",
        "start_options",
    )
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
        poll_interval: float | timedelta | str | None = None,
        timeout: float | timedelta | str | None = None,
        expected_duration: float | timedelta | None = None,
        reattach: bool = True,
        on_unknown_start: str = "fail",
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        on_run_failure: str = "fail",
        asset_alias: str | None = None,
        get_logs: bool = True,
        log_interval: float | timedelta | None = None,
        system: str | None = None,
        conn_id: str | None = None,
        start_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("pre_execute"):
            kwargs["pre_execute"] = self._with_care(kwargs["pre_execute"])
        super().__init__(**kwargs)
        self.outlets = with_alias(self.outlets, asset_alias)
        if system is not None:
            self.system_key = system
        if not self.system_key or not isinstance(self.system_key, str):
            raise InvalidArgument("system: is missing; give the key of a workflow system, such as 'carto'")
        self.workflow = workflow
        self.query_parameters = query_parameters
        self.parameter_types = parameter_types
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.expected_duration = expected_duration
        self.reattach = reattach
        self.on_unknown_start = on_unknown_start
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.on_run_failure = on_run_failure
        self.asset_alias = asset_alias
        self.get_logs = get_logs
        self.log_interval = log_interval
        self.conn_id = conn_id
        self.start_options = start_options
        self._checked_early(self._check_literals)
        self._life: LifeCycle | None = None
        self._driver: TaskDriver | None = None
        self._run: Run | None = None
        self._sent: Any = None
        self._landed: tuple[Landed, ...] = ()
        self.killed = False

    @property
    def conn_id(self) -> Any:
        """The Airflow connection; an operator of one system has an argument of its own for it."""
        own = getattr(self, f"{self.system_key}_conn_id", None)
        return self._conn_id if own is None else own

    @conn_id.setter
    def conn_id(self, value: Any) -> None:
        self._conn_id = value

    @cached_property
    def hook(self) -> WorkflowHook:
        """The hook of this system."""
        from airflow_workflow_provider.hooks.workflow import WorkflowHook

        return WorkflowHook.for_system(self.system_key, self.conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the run, or take over the one that an earlier try started, and see it to its end."""
        try:
            return self._executed(context)
        except WorkflowError as error:
            failure = error
        raise shortened(failure)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Take up what the trigger saw."""
        try:
            return self._completed(context, event)
        except WorkflowError as error:
            failure = error
        raise shortened(failure)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Come back from the triggerer, also when the trigger died and Airflow only says that it failed."""
        from airflow_workflow_provider.protocol.lifecycle import failed_for_another

        if next_method != TRIGGER_FAILED:
            return super().resume_execution(next_method, next_kwargs, context)
        own = self._own_run(context)
        if own is not None and failed_for_another(next_kwargs, own):
            self.log.warning("A trigger failed that waited for another run; waiting again for run %s", own.run_id)
            try:
                return self._waited_again(context, own)
            except WorkflowError as error:
                failure = error
            raise shortened(failure)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            run = own or published(self, context)
            if run is None:
                self._abandon_stored(context, error)
            else:
                RUN_LINK.remember(context["ti"], run.url)
                self._abandon(context, [run], error)
                self._run_log(context).keep(run)
            raise

    def on_kill(self) -> None:
        """Stop waiting and, unless forbidden, cancel the remote run with one short call."""
        self.killed = True
        stop_waiting(self)
        if self._life and self._driver:
            self._driver.drive(self._life.kill())

    def pre_execute(self, context: Any) -> None:
        """Look after a run of an earlier try when what comes before `execute` fails."""
        with_care = self._with_care(super().pre_execute)
        with_care(context)

    def options(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Give those of this operator's own arguments that are set."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def sent(self, context: Context) -> Any:
        """Give the parameters of the run; they are made again where this process did not start it."""
        if self._sent is None:
            parameters = self.query_parameters
            if callable(parameters):  # Airflow 3 has called it while it rendered the template fields, 2.11 has not
                parameters = parameters(context=context, jinja_env=self.get_template_env())
            self._sent = given.converted(given.checked(parameters), self.parameter_types)
        return self._sent

    def _executed(self, context: Context) -> dict[str, Any]:
        from airflow_workflow_provider.operators.run_store import Request, RunStore
        from airflow_workflow_provider.protocol.lifecycle import LifeCycle

        self._sent = None  # a subclass may execute again with other parameters
        try:
            asked = Request(self.system_key, self.hook.conn_id, self._workflow_key())
        except WorkflowError as error:  # there is no such system (any more)
            self._abandon_stored(context, error)
            raise
        life = LifeCycle(self._policy())
        driver = self._drives(context, RunStore(context, self.retries or 0, asked))
        self._life, self._driver = life, driver
        if self.killed:
            driver.drive(life.kill())
        return self._concluded(context, lambda: driver.drive(life.begin()))

    def _completed(self, context: Context, event: Any) -> dict[str, Any]:
        from airflow_workflow_provider.protocol.lifecycle import outcome_of, same_run

        own = self._own_run(context)
        try:
            run, outcome = outcome_of(event)
        except WorkflowError as error:
            if own is None:
                known = published(self, context)
                self._abandon(context, [known] if known else [], error)
                raise
            self.log.warning("%s; waiting again for run %s", error, own.run_id)
            return self._waited_again(context, own)
        if own is not None and not same_run(own, run):
            self.log.warning(
                "The triggerer reported run %s of connection %r, which is not the run of this try; "
                "waiting again for run %s",
                run.run_id,
                run.conn_id,
                own.run_id,
            )
            return self._waited_again(context, own)
        life, driver = self._resumes(context, run)
        logs, has_ended = self._run_log(context), isinstance(outcome, Run)
        if has_ended:
            logs.resume(run, event)
        try:
            return self._concluded(context, lambda: driver.drive(life.resume(outcome, run)))
        finally:
            if not has_ended:  # a run that is out of time is cancelled first
                logs.resume(run, event)

    def _own_run(self, context: Context) -> Run | None:
        """Give the run that this try has published, where this task can have started it; None where nothing can tell.

        SQLite gives the number of a deleted trigger to the next one. A trigger of an earlier try, or of another task,
        that has not stopped yet then reports to this task.
        """
        own = published(self, context)
        try:
            return own if own and (own.system, own.conn_id) == (self.system_key, self.hook.conn_id) else None
        except WorkflowError:  # there is no such system (any more)
            return None

    def _waited_again(self, context: Context, own: Run) -> dict[str, Any]:
        """Wait again for the run of this try: what came from the triggerer says nothing about it."""
        life, driver = self._resumes(context, own)
        return self._concluded(context, lambda: driver.drive(life.wait_again(own)))

    def _resumes(self, context: Context, run: Run) -> tuple[LifeCycle, TaskDriver]:
        """Give the life cycle of a task that comes back from the triggerer, and its driver."""
        from airflow_workflow_provider.operators.run_store import Request, RunStore
        from airflow_workflow_provider.protocol.lifecycle import LifeCycle

        RUN_LINK.remember(context["ti"], run.url)
        try:
            asked = Request(self.system_key, self.hook.conn_id, self._workflow_key())
        except WorkflowError as error:
            self._abandon(context, [run], error)
            raise
        life = LifeCycle(self._policy())
        driver = self._drives(context, RunStore(context, self.retries or 0, asked, is_new_call=False))
        self._life, self._driver = life, driver
        return life, driver

    def _concluded(self, context: Context, ended: Callable[[], Run]) -> dict[str, Any]:
        """Give the run object of a run that succeeded, or skip the task where the user tolerates losses."""
        try:
            run = ended()
        except (RunFailed, RunCancelled, RunTimedOut) as error:
            self._run = error.run or self._run
            if self.on_run_failure == "skip":
                raise AirflowSkipException(f"{error} (skipped, as on_run_failure='skip' asks)") from shortened(error)
            raise
        self._run = run
        if self.wait_for_completion:
            self.log.info("Run %s of %s succeeded", run.run_id, run.workflow)
            self._landed = hand_on(self, context, run)
        return fitting(run).to_json()

    def _workflow_key(self) -> str:
        from airflow_workflow_provider.hooks.connections import system_class

        return system_class(self.system_key).workflow_key(str(self.workflow))

    def _policy(self) -> RunPolicy:
        from airflow_workflow_provider.protocol.lifecycle import RunPolicy

        return RunPolicy(
            reattach=self.reattach,
            on_unknown_start=self.on_unknown_start,
            cancel_on_kill=self.cancel_on_kill,
            cancel_on_timeout=self.cancel_on_timeout,
            wait=self.wait_for_completion,
        )

    def _hook_of(self, run: Run) -> WorkflowHook:
        """Give a hook for a run of an earlier try; the task may ask for another system or connection by now."""
        from airflow_workflow_provider.hooks.workflow import WorkflowHook

        if run.system == self.system_key and run.conn_id == self.hook.conn_id:
            return self.hook
        return WorkflowHook.for_run(run)

    def _drives(self, context: Context, store: Any, hook: WorkflowHook | None = None) -> TaskDriver:
        # Imported late: a DAG file must not pay for what only a running task needs.
        from airflow_workflow_provider.operators.driver import RunRequest, TaskDriver

        return TaskDriver(
            hook=hook or self.hook,
            context=context,
            store=store,
            log=self.log,
            request=RunRequest(
                str(self.workflow) if isinstance(self.workflow, int) else self.workflow,
                lambda: self._checked(context),
                lambda: {**self._start_options(), **self.options(self.start_option_names)},
                self.options(self.watch_option_names),
            ),
            publish=lambda run, is_end: self._publish(context, run, is_end=is_end),
            wait=lambda run: self._wait(context, run),
        )

    def _checked(self, context: Context) -> Any:
        """Give the parameters, and refuse wrong arguments. The life cycle asks when it knows the run to look after."""
        self._check_literals()
        self._check_own_literals()
        for name in ("poll_interval", "timeout", "expected_duration"):
            seconds_of(name, getattr(self, name))
        self._start_options()
        return self.sent(context)

    def _start_options(self) -> dict[str, Any]:
        options = given.checked(self.start_options, "start_options")
        if not isinstance(options, dict):
            raise InvalidArgument(f"start_options: expected a mapping, not {type(self.start_options).__name__}")
        return options

    def _publish(self, context: Context, run: Run, *, is_end: bool) -> None:
        self._run = run
        if is_end:
            context["ti"].xcom_push(key="run", value=fitting(run).to_json())
        else:
            publish(context["ti"], run)

    def _wait(self, context: Context, run: Run) -> Run:
        """Wait on this worker, or defer."""
        from airflow_workflow_provider.protocol.lifecycle import deadline_of

        interval = seconds_of("poll_interval", self.poll_interval) or self.hook.system.poll_interval
        seen = self.hook.poll_before_deferral(run) if self.deferrable else run
        logs = self._run_log(context)
        if seen.state.is_terminal:
            logs.finish(seen)
            return seen
        begun, task_started = self._begun(run), context["ti"].start_date
        deadline = deadline_of(begun, self.timeout, task_started, self.execution_timeout)
        if not self.deferrable:
            return logs.awaited(
                run, poll_interval=interval, deadline=deadline, expected_duration=self.expected_duration
            )
        if self.killed:  # while there was nothing yet that waited
            raise TaskStopped(f"the task was killed before it deferred; its run is {run.run_id}")
        from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger, watching

        trigger = WorkflowRunTrigger(
            system=self.system_key,
            conn_id=self.hook.conn_id,
            run=fitting(run).to_json(),
            poll_interval=interval,
            deadline=deadline,
            cancel_on_kill=self.cancel_on_kill,
            options=watching(self.expected_duration),
            run_log=logs.for_trigger(run),
        )
        self.log.info("Run %s is %s, waiting for it in the triggerer", seen.run_id, seen.state)
        self.defer(trigger=trigger, method_name="execute_complete")
        raise AssertionError("a deferral does not return")

    def _begun(self, run: Run) -> datetime:
        """Give the start of a run by the clock of this worker.

        A server whose clock is behind gives an earlier time, and one whose clock is ahead a time that may be still to
        come. Another time may be that of this worker, which some systems do not tell better.
        """
        from airflow_workflow_provider.protocol.times import LONGEST_LAG, SURE_LAG, from_epoch

        client = self.hook.client
        now, lag = client.now(), client.server_lag or 0.0
        begun = now if run.started_at is None else run.started_at.timestamp()
        is_servers_time = SURE_LAG <= lag <= LONGEST_LAG or (begun > now + SURE_LAG and lag < 0)
        return from_epoch(min(now, begun + lag if is_servers_time else begun))

    def _run_log(self, context: Context) -> TaskRunLog:
        from airflow_workflow_provider.operators.run_log import TaskRunLog

        return TaskRunLog(self.hook, context, self.log, is_wanted=self.get_logs, interval=self.log_interval)

    def _checked_early(self, check: Callable[[], None]) -> None:
        """Check literals while the DAG file is parsed.

        A mapped task is made when it runs. It is checked in `_checked`: it must look after the run of an earlier try.
        """
        if not getattr(self, "_BaseOperator__from_mapped", False):  # what Airflow's operators note
            check()

    def _check_own_literals(self) -> None:
        """Check the arguments that only this system has."""

    def _check_literals(self) -> None:
        """Refuse wrong literals while the DAG file is parsed; a template is checked when the task runs.

        ``query_parameters`` are not checked here: a task must begin to look after the run of an earlier try.
        """
        for name, choices in (("on_unknown_start", ON_UNKNOWN_START), ("on_run_failure", ON_RUN_FAILURE)):
            if getattr(self, name) not in choices:  # these are no template fields
                raise InvalidArgument(
                    f"{name}: expected {' or '.join(map(repr, choices))}, not {getattr(self, name)!r}"
                )
        check_flags(self, *SWITCHES)
        check_text("workflow", self.workflow, number=True, wanted="its id or name")
        check_conn_id("conn_id", self._conn_id)
        check_mapping("start_options", self.start_options)
        check_seconds(
            poll_interval=self.poll_interval,
            timeout=self.timeout,
            expected_duration=self.expected_duration,
            log_interval=self.log_interval,
        )

    def _abandon(self, context: Context, runs: Sequence[Run], error: BaseException) -> None:
        """An error outside `execute` ends the try: leave runs that are going to the next try, or cancel them."""
        from airflow_workflow_provider.operators.run_store import RunStore
        from airflow_workflow_provider.protocol.lifecycle import LifeCycle, Phase

        for run in runs:
            driver = self._drives(context, RunStore(context, self.retries or 0), self._hook_of(run))
            life = LifeCycle(self._policy(), phase=Phase.GOING, run=run)
            self._life, self._driver = life, driver  # for a kill that comes meanwhile
            driver.drive(life.abandon(error, was_killed=self.killed))

    def _abandon_stored(self, context: Context, error: Exception) -> None:
        """A template or `pre_execute` failed: look after what earlier tries have left. Nothing here hides the error."""
        from airflow_workflow_provider.operators.run_store import RunStore

        ti = context["ti"]
        is_last = ti.try_number > ti.max_tries or isinstance(error, AirflowFailException)
        try:
            store = RunStore(context, self.retries or 0)
            runs = store.going()
            if self.cancel_on_kill and (is_last or self.killed):
                runs = store.going(also_cleared=True)  # if another try follows, it cancels these
            self._abandon(context, runs, error)
        except Exception as failure:  # noqa: BLE001  # the task's own error matters more
            self.log.warning("It is not known whether an earlier try has left a run: %s", failure)

    def _do_render_template_fields(
        self, parent: Any, template_fields: Any, context: Any, *args: Any, **more: Any
    ) -> None:
        """Render; a template that fails must not leave the run of an earlier try going without a word."""
        try:
            super()._do_render_template_fields(parent, template_fields, context, *args, **more)
        except Exception as error:
            if parent is self and "ti" in context:
                self._abandon_stored(context, error)
            raise

    def _with_care(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap what Airflow calls before `execute`: its failure must not leave the run of an earlier try going."""

        def cared(context: Any, error: Exception) -> None:
            self._abandon_stored(context, error)

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(context: Any, *args: Any, **more: Any) -> Any:
                try:
                    return (yield from function(context, *args, **more))
                except Exception as error:
                    cared(context, error)
                    raise

            return generator

        @functools.wraps(function)
        def plain(context: Any, *args: Any, **more: Any) -> Any:
            try:
                return function(context, *args, **more)
            except Exception as error:
                cared(context, error)
                raise

        return plain

"""The hook that all workflow systems share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from airflow.providers.common.compat.sdk import BaseHook

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    InvalidConnection,
    OutputUnavailable,
    ServerUnavailable,
    WorkflowError,
)
from airflow_workflow_provider.hooks.connections import load_system, mask, owner, system_class
from airflow_workflow_provider.hooks.form import FormOfAirflow2
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.protocol import parameters as given
from airflow_workflow_provider.protocol.capabilities import (
    CanCancel,
    CanListRuns,
    CanListWorkflows,
    CanNameUnlistedOutputs,
)
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.limits import is_cut
from airflow_workflow_provider.protocol.model import Output, Run, RunLike, RunState, Workflow, parse_run
from airflow_workflow_provider.protocol.pace import Pace
from airflow_workflow_provider.protocol.poll import CredentialsRefused, Watch, poll_before_deferral, poll_enduringly
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.protocol.retry import guarded_start, persist
from airflow_workflow_provider.protocol.run_log import LogPage, read_page
from airflow_workflow_provider.protocol.system import WorkflowSystem, choose
from airflow_workflow_provider.protocol.text import indented
from airflow_workflow_provider.protocol.times import as_utc

if TYPE_CHECKING:
    import pyarrow as pa
    import requests

    from airflow_workflow_provider.client.worker import WorkerClient
    from airflow_workflow_provider.protocol.effects import Flow, T
    from airflow_workflow_provider.protocol.follow_log import WrittenLog


class WorkflowHook(FormOfAirflow2, BaseHook):
    """Starts, watches, cancels and reads runs of one workflow system.

    Use the subclass of a system, or `for_system` / `for_run` where the system is known only at run time.
    All methods are synchronous, repeat what is safe to repeat, and raise `WorkflowError`s.

    :param conn_id: the Airflow connection.
    """

    system_key: ClassVar[str] = ""
    default_conn_name: ClassVar[str] = ""

    def __init__(self, conn_id: str | None = None, *, system: str | None = None) -> None:
        super().__init__()
        self.conn_id = self.default_conn_name if conn_id is None else conn_id
        self._key = system or self.system_key
        self.start_defaults: dict[str, Any] = {}

    @classmethod
    def for_system(cls, system: str, conn_id: str | None = None) -> WorkflowHook:
        """Make the hook of a system by its key, such as ``"carto"``."""
        made = system_class(system)
        return WorkflowHook(made.default_conn_id if conn_id is None else conn_id, system=system)

    @classmethod
    def for_run(cls, run: RunLike, conn_id: str | None = None, *, system: str | None = None) -> WorkflowHook:
        """Make the hook that a run object asks for; ``conn_id`` overrides the run's connection.

        A bare id needs ``system``, the key of one; its connection is then ``conn_id``, or the system's default.
        """
        parsed = parse_run(run, **owner(system, conn_id))
        return cls.for_system(parsed.system, conn_id or parsed.conn_id)

    @property
    def system_name(self) -> str:
        """The key of the system, known without its connection."""
        return self._key

    @cached_property
    def system(self) -> WorkflowSystem:
        """The system behind the connection; reads the connection at first use."""
        return load_system(self._key, self.conn_id)

    @cached_property
    def client(self) -> WorkerClient:
        """The client that drives this hook's flows."""
        # Imported late: a DAG file that imports an operator must not pay for requests.
        from airflow_workflow_provider.client.worker import WorkerClient

        return WorkerClient(self.system.transport, mask=mask, logger=self.log, secrets=self.system.credentials)

    def start_run(self, workflow: str, query_parameters: given.Parameters | None = None, **options: Any) -> Run:
        """Start a run, and return it at once.

        ``options`` are the system's own, such as ``carto_connection``. The start is repeated only when it
        certainly was not taken; `UnknownStart` says that it is not known.
        """
        wanted = _name_of(workflow)
        kept = {name: value for name, value in {**self.start_defaults, **options}.items() if value is not None}
        self.system.check_options(kept)
        parameters = given.checked(query_parameters)
        workflow_id = self._run(lambda: self.system.resolved(wanted))
        return self.system.cleaned(self._run(lambda: guarded_start(self.system.start(workflow_id, parameters, kept))))

    def get_run(self, run: RunLike, *, workflow: str | None = None) -> Run:
        """Poll a run once. A bare id may need the ``workflow`` that it belongs to."""
        known = self._parsed(run, workflow)
        return self._run(lambda: self.system.look(known))

    def wait_for_run(
        self,
        run: RunLike,
        *,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        deadline: float | None = None,
        expected_duration: float | timedelta | None = None,
        log: WrittenLog | None = None,
        on_poll: Callable[[Run], None] | None = None,
    ) -> Run:
        """Wait until a run has ended, and return it, whatever its state; raises `RunTimedOut`.

        :param poll_interval: seconds between two polls of a young run; the interval grows with the age of the run, up
            to four times. Default per system.
        :param timeout: seconds from now; None waits without a limit.
        :param deadline: the same as a moment, in seconds since 1970; the earlier one counts.
        :param expected_duration: seconds that the run usually takes; around that time it is polled more often.
        :param log: follows the log of the run meanwhile.
        :param on_poll: is called with the run after each poll of it.
        """
        known = self._parsed(run)
        interval = seconds_of("poll_interval", poll_interval) or self.system.poll_interval
        limit = seconds_of("timeout", timeout)
        if limit is not None:
            moment = self.client.now() + limit
            deadline = moment if deadline is None else min(moment, deadline)
        pace = Pace.of(known, interval, seconds_of("expected_duration", expected_duration))
        watch, is_renewed = Watch(known, poll_interval=interval, deadline=deadline, pace=pace, renews=True), True
        while True:
            try:
                flow = watch.flow(
                    partial(self._shown, on_poll) if on_poll else self._look,
                    repeats=self.system.repeats,
                    is_renewed=is_renewed,
                    log=log,
                )
                return self.client.run(flow)
            except CredentialsRefused:
                is_renewed = self.renew()
                if log:
                    log.follower.system = self.system

    def poll_before_deferral(self, run: Run) -> Run:
        """Poll a run that has just started once, and give it as it is then; errors are for the later wait."""
        return self.client.run(poll_before_deferral(self._look, run))

    def poll_enduringly(self, run: Run) -> Run:
        """Poll a run that may be going until one poll is answered; five refusals in a row raise."""
        try:
            client = self.client
        except InvalidConnection as error:
            raise ServerUnavailable(
                f"run {run.run_id} may still be going, but its connection cannot be used: {error}"
            ) from error
        renewed: list[bool] = []

        def look(known: Run) -> Flow[Run]:
            if renewed:
                self.renew()
            try:
                return (yield from self._look(known))
            except AuthenticationFailed:
                renewed.append(True)
                raise

        return client.run(poll_enduringly(look, run))

    def renew(self) -> bool:
        """Read the connection again, after its credentials were refused; True if it has changed."""
        before = self.system
        try:
            system = load_system(self._key, self.conn_id)
        except WorkflowError as error:
            self.log.warning("The connection %r cannot be read again: %s", self.conn_id, error)
            return False
        if system.secrets == before.secrets and system.transport == before.transport:
            return False
        self.log.info("The connection %r has changed; its new values are used from now on", self.conn_id)
        self.system = system
        if system.transport != before.transport:
            vars(self).pop("client", None)
        return True

    def read_log(self, run: RunLike, since: Any = None) -> LogPage:
        """Read the log of a run: lines with time, level and text, oldest first. Raises `NotSupported` without a log.

        Lines are cleaned and hold no secret of the connection.

        :param since: where to begin: a datetime (lines without a time are kept, a naive one is UTC), an earlier page or
            its ``cursor`` for the lines that follow it; None reads from the beginning.
        """
        known = self._parsed(run)
        if getattr(self.system, "log_from_run", False):
            known = self._run(lambda: self.system.look(known))
        moment = as_utc(since) if isinstance(since, datetime) else None
        cursor = since.cursor if isinstance(since, LogPage) else None if moment else since
        page = self._run(lambda: read_page(self.system, known, cursor))
        if moment is None:
            return page
        return replace(page, lines=[line for line in page if line.time is None or line.time >= moment])

    def cancel_run(self, run: RunLike) -> None:
        """Cancel a run; raises `CancelNotSupported` if the API cannot."""
        known = self._parsed(run)
        self._run(lambda: self.system.require(CanCancel).cancel(known))

    def list_workflows(self) -> list[Workflow]:
        """List the workflows that this connection may start; raises `NotSupported` where the API cannot."""
        return self._run(lambda: self.system.require(CanListWorkflows).list_workflows())

    def find_runs(self, workflow: str, *, since: datetime | None = None) -> list[Run]:
        """List the runs of a workflow, newest first; raises `NotSupported` where the API cannot."""
        self.system.require(CanListRuns)
        workflow_id = self._run(lambda: self.system.resolved(workflow))
        return self._run(lambda: self.system.require(CanListRuns).find_runs(workflow_id, since))

    def find_started(
        self,
        workflow: str,
        query_parameters: given.Parameters | given.Fingerprint | None,
        *,
        since: datetime,
        **options: Any,
    ) -> list[Run]:
        """List the runs that a start with these arguments, whose answer was lost, may have left since then.

        ``query_parameters`` may be the `Fingerprint` of those that an earlier process has sent.
        """
        parameters: given.Parameters | given.Fingerprint
        if isinstance(query_parameters, given.Fingerprint):
            parameters = query_parameters
        else:
            parameters = given.checked(query_parameters)
        workflow_id = self._run(lambda: self.system.resolved(workflow))
        return self._run(lambda: self.system.find_started(workflow_id, parameters, options, since))

    def outputs(self, run: RunLike) -> list[Output]:
        """Return the outputs of a run that succeeded; raises `OutputUnavailable` for any other."""
        known = self._all_outputs(self._succeeded(self._parsed(run)))
        return self._run(lambda: self.system.outputs(known))

    def output(self, run: RunLike, output: str | int | None = None) -> Output:
        """Return one output by name or index, default the only one; also one that no run lists, such as a table.

        Raises `OutputUnavailable`, which names the outputs of the run.
        """
        known = self._all_outputs(self._succeeded(self._parsed(run)))
        system, unlisted = self.system, None
        if isinstance(output, str) and system.supports(CanNameUnlistedOutputs):
            unlisted = system.require(CanNameUnlistedOutputs).output_by_name(known, output)
        return unlisted or choose(
            self._run(lambda: self.system.outputs(known)), output, known, self.system.unlisted_outputs
        )

    @contextmanager
    def open_output(
        self,
        run: RunLike,
        output: str | int | None = None,
        *,
        csv_options: Mapping[str, Any] | None = None,
    ) -> Generator[BinaryIO]:
        """Open one output as a binary file object.

        Paged results (CARTO, stored results of Chorus) are JSON lines, files are unchanged. An
        error page instead of a CSV, JSON or .yxdb file raises `OutputUnavailable`.

        :param output: name or index; default the only one.
        :param csv_options: how a CSV file is written; with it the file comes as UTF-8, without a byte order mark.
        """
        from airflow_workflow_provider.outputs import reading

        known, chosen = self._chosen(run, output)
        source, where = self.system.read(known, chosen), f"run {known.run_id}, output {chosen.name!r}: "
        options = CsvOptions.parse(csv_options)
        if csv_options is not None and isinstance(source, FileSource) and source.format == "csv":
            with reading.opened_csv(source, self.client, options, where) as file:
                yield file
        else:
            with reading.opened(source, self.client, where) as file:
                yield file

    def read_output(
        self,
        run: RunLike,
        output: str | int | None = None,
        *,
        columns: list[str] | None = None,
        csv_options: Mapping[str, Any] | None = None,
        batch_rows: int = 65_536,
        max_rows: int | None = None,
    ) -> pa.RecordBatchReader:
        """Read one output as Arrow record batches.

        :param output: name or index; default the only one.
        :param columns: the columns to keep, in this order; default all.
        :param csv_options: how a CSV file is written, where it is not UTF-8 with commas: ``encoding``, ``delimiter``,
            ``quote``, ``escape``, ``null_values``, ``decimal``, ``date_format``, ``skip_rows``, ``has_header``.
        :param batch_rows: rows a batch at most.
        :param max_rows: how many rows are allowed, for example because they go into an XCom; with more the download
            ends and `OutputUnavailable` is raised. Default no bound.
        """
        from airflow_workflow_provider.outputs import reading

        known, chosen = self._chosen(run, output)
        source, where = self.system.read(known, chosen), f"run {known.run_id}, output {chosen.name!r}: "
        return reading.batches(
            source,
            self.client,
            columns=columns,
            csv_options=csv_options,
            batch_rows=batch_rows,
            max_rows=max_rows,
            where=where,
        )

    def get_conn(self) -> requests.Session:
        """Return a `requests` session that sends the connection's credentials."""
        from airflow_workflow_provider.client.worker_session import signed_session

        return signed_session(self.system, self.client)

    def test_connection(self) -> tuple[bool, str]:
        """Check the connection with one harmless request."""
        try:
            return True, self.client.run(self.system.test())
        except WorkflowError as error:
            return False, str(error)

    def _look(self, run: Run) -> Flow[Run]:
        """Poll with the system as it is now; `renew` may have replaced it since the last poll."""
        return self.system.look(run)

    def _shown(self, on_poll: Callable[[Run], None], run: Run) -> Flow[Run]:
        seen = yield from self._look(run)
        on_poll(seen)
        return seen

    def _run(self, make: Callable[[], Flow[T]]) -> T:
        return self.system.without_secrets(self.client.run(persist(make)))

    def _parsed(self, run: RunLike, workflow: str | None = None) -> Run:
        parsed = parse_run(run, system=self._key, conn_id=self.conn_id, workflow=workflow or "")
        if parsed.system != self._key:
            raise InvalidArgument(f"run: belongs to the system {parsed.system!r}, this hook is for {self._key!r}")
        named = replace(parsed, workflow=workflow) if workflow and not parsed.workflow else parsed
        return self.system.rebuilt(named)  # a run object may come from anybody

    def _succeeded(self, run: Run) -> Run:
        """Look at a run that was still going when it was handed over; only a success has outputs."""
        seen = run if run.state.is_terminal else self.get_run(run)
        if seen.state is not RunState.SUCCEEDED:
            reason = f": {indented(seen.message)}" if seen.message else ""
            raise OutputUnavailable(f"run {seen.run_id} is {seen.state}, so there is no output to read{reason}")
        return seen

    def _all_outputs(self, run: Run) -> Run:
        """Ask for the run again where its object does not list all of its outputs; see `protocol.limits`."""
        return self.get_run(run) if is_cut(run) else run

    def _chosen(self, run: RunLike, output: str | int | None) -> tuple[Run, Output]:
        known = self._succeeded(self._parsed(run))
        return known, self.output(known, output)


def _name_of(workflow: Any) -> str:
    """Give the workflow as text; native rendering of templates makes a number of an id that looks like one."""
    is_number = isinstance(workflow, int) and not isinstance(workflow, bool)
    if not isinstance(workflow, str) and not is_number:
        raise InvalidArgument(f"workflow: expected its id or name, not {type(workflow).__name__}")
    if str(workflow).strip().lower() in ("", "none", "null"):
        found = f"is the text {workflow!r}" if str(workflow).strip() else "is empty"
        raise InvalidArgument(f"workflow: {found}; give its id, or correct the template that makes it")
    return str(workflow).strip()

"""CARTO Workflows: a run is a SQL API job that CALLs the stored procedure of a workflow.

Facts stand beside their use. Sources: [guide] https://docs.carto.com/carto-user-manual/workflows/executing-workflows-via-api,
[sql-api] https://docs.carto.com/carto-for-developers/reference/carto-api/sql-api. ``unverified`` marks what no
published page or code of CARTO's confirms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    OutputUnavailable,
    PermissionDenied,
    ProtocolError,
    RequestRejected,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import Auth, HeaderAuth, NoAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.documents import MAX_DATA_DEPTH, check_depth
from airflow_workflow_provider.protocol.effects import Flow, Note, Now, Request, Response
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.oauth2 import client_credentials
from airflow_workflow_provider.protocol.parameters import Parameters, spelled
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.results import RowSource
from airflow_workflow_provider.protocol.run_log import Cursor, LogPage
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.systems.carto import log, sql, staged
from airflow_workflow_provider.systems.carto.answers import STATES, job_id, said, seen, status
from airflow_workflow_provider.systems.carto.asset_uri import table_or_own_uri
from airflow_workflow_provider.systems.carto.form import FORM, LARGE_TABLES, TOKEN_URL
from airflow_workflow_provider.systems.carto.json_rows import JsonRows, rows_document

AUDIENCE = "carto-cloud-native-api"  # "Audience is mandatory" [sql-api]
LIFETIME = 86_400.0  # seconds; a token lasts 24 hours [sql-api]

# POST takes /job's SQL in ``query`` [guide] and /query's in ``q`` (https://github.com/CartoDB/carto-api-client).
JOB = "/v3/sql/{connection}/job"
JOB_STATUS = "/v3/sql/{connection}/job/{run_id}"
QUERY = "/v3/sql/{connection}/query"
JOBS = "/v3/sql/jobs"
QUERY_TIMEOUT = 90.0  # seconds; the server ends a query after 60 [sql-api]
SIGNATURE_LIFETIME = 300.0  # seconds in which the parameters of a procedure are not asked for again


class CartoSystem(WorkflowSystem):
    """CARTO's SQL API under one Airflow connection."""

    key = "carto"
    label = "CARTO"
    default_conn_id = "carto_default"
    form = FORM
    states = STATES
    api_version = "SQL API v3"
    poll_interval = 15.0  # every request counts against a monthly quota
    start_options = frozenset({"carto_connection", "check_parameters"})
    assets_need_extras = True
    log_from_run = True
    signatures: ClassVar[dict[tuple[str, str, str], tuple[float, tuple[str, ...]]]] = {}
    """The parameters of procedures, by API, CARTO connection and procedure, with the time when they were read."""

    def __init__(self, values: ConnectionValues) -> None:
        super().__init__(values)
        base_url = values.base_url()
        self.carto_connection = values.text("carto_connection", "carto_dw")
        self.warehouse = values.choice("warehouse", tuple(sql.DIALECTS), "")
        self.large_tables = values.choice("large_tables", LARGE_TABLES, LARGE_TABLES[0])
        read_token = values.header_secret("read_token", values.text("read_token")) if values.text("read_token") else ""
        self.secrets = tuple(secret for secret in (values.secret("password", values.password), read_token) if secret)
        self.auth = _auth(values, self.secrets)
        self.api = Api(self.conn_id, base_url, self.auth, said, self.secrets, self.label)
        bearer = HeaderAuth("Authorization", f"Bearer {read_token}")
        self.reading = replace(self.api, auth=bearer) if read_token else self.api

    @classmethod
    def workflow_key(cls, workflow: str) -> str:
        """Give the procedure's name: a whole CALL may hold values that differ from try to try."""
        return sql.called(workflow)

    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Create a job that CALLs the procedure.

        A procedure takes its parameters by position. They are bound by name where the warehouse's CALL can. Else their
        names are compared with the procedure's signature, and passed in its order (``check_parameters``).
        """
        connection = str(options.get("carto_connection") or self.carto_connection)
        wanted = spelled(parameters)  # a value that cannot be sent is refused before anything is asked
        signature = yield from self._signature(workflow, wanted, options, connection)
        text, bound = sql.call(workflow, wanted, self.warehouse, signature)
        body: dict[str, Any] = {"query": text}
        if bound:
            body["queryParameters"] = bound
        yield Note(f"CARTO gets the statement: {text}")
        request = Request("POST", self.api.url(JOB, connection=connection), json=body)

        def seen_first(run: Run, document: Any) -> Run:
            return self._seen(replace(run, details={"carto_connection": connection}), document)

        try:
            return (yield from self.send_start(self.api, request, workflow, job_id, seen_first))
        except WorkflowNotFound as error:
            hint = f"Or there is no SQL API at this address: check the field 'host' of connection {self.conn_id!r}."
            raise error.hinted(hint) from error

    def get_run(self, run: Run) -> Flow[Run]:
        """Read the status of the job."""
        request = Request("GET", self.run_url(run))
        doing = f"reading the status of run {run.run_id}"
        document = yield from self.api.read(request, doing, Asked.RUN)
        if not isinstance(document, Mapping):
            raise self.api.unreadable(request, Response(200), doing, "the answer is not a job")
        yield from self.state_of(run, status(document)[0])
        return self._seen(run, document)

    def conclude(self, run: Run) -> Flow[Run]:
        """Warn when a run that succeeded has no output of its own."""
        if run.state is not RunState.SUCCEEDED or not run.outputs or run.message:
            return run
        table = run.outputs[0].location
        try:
            page = yield from self._query(self._connection(run), sql.sample(table, self._dialect(run)))
        except WorkflowError:
            return run  # the token may not read the table; the run is not affected
        # A workflow without an Output component leaves a table with the one column ``dummy`` (exported procedures).
        columns = sql.columns(page)
        if [name for name, _ in columns] != ["dummy"]:
            told = {run.outputs[0].name: [[name, kind] for name, kind in columns]}
            return replace(run, details={**run.details, "columns": told})
        warning = f"Output table {table} holds only the column 'dummy': the workflow has no Output component"
        yield Note(warning, "warning")
        return replace(run, message=warning)

    def read_log(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Give the changes of the job's state that the last poll saw; the API has no other log."""
        return log.page(run, cursor)
        yield

    def cancel(self, run: Run) -> Flow[None]:
        """Cancel the job [sql-api]. What a job that has ended answers is unverified: its state is read then."""
        request = Request("DELETE", self.run_url(run))
        yield from self.send_cancel(self.api, request, run)

    def read(self, run: Run, output: Output) -> RowSource:
        """Read the output table by POST: the answers to GET are cached for a year [sql-api]."""
        dialect, connection = self._dialect(run), self._connection(run)
        table = output.location
        sql.table_name(table, dialect)  # a run object may come from anybody

        def query(text: str) -> Flow[Mapping[str, Any]]:
            return self._query(connection, text)

        if self.large_tables == "shards":
            return RowSource(lambda: sql.pages(table, dialect, query))
        return RowSource(lambda: staged.pages(table, dialect, query, self._jobs(connection)))

    def count_rows(self, run: Run, output: Output) -> Flow[int]:
        """Count the rows of the output table, with one query more."""
        connection = self._connection(run)
        return (yield from sql.counted(output.location, self._dialect(run), lambda text: self._query(connection, text)))

    def drop_output(self, run: Run, output: Output) -> Flow[None]:
        """Drop the output table of a workflow, which runs with other parameters do not share.

        A run object may come from anybody, so only a table that the job's own answer names is dropped, and only if its
        name is one that the workflows of CARTO give to their output tables.
        """
        seen_run = yield from self.get_run(replace(run, outputs=()))
        named = [one.location for one in seen_run.outputs]
        if output.location not in named or not sql.is_output_table(output.location):
            raise OutputUnavailable(
                f"{output.location} is not certainly an output table of run {run.run_id}: CARTO's answer for the job "
                f"names {self.reading.told(named)}"
            )
        dialect, jobs = self._dialect(run), self._jobs(self._connection(run))
        table = sql.table_name(output.location, dialect)
        yield from staged.dropped(table, staged.COPYING[dialect].drop.format(stage=table), jobs)

    def run_url(self, run: Run) -> str:
        """Give the address of the job."""
        return self.api.url(JOB_STATUS, connection=self._connection(run), run_id=run.run_id)

    def output_location(self, run: Run, output: Output) -> str:
        """Give the full name of the output table, if it is one."""
        return output.location if sql.is_table_name(output.location, self._dialect(run)) else ""

    @classmethod
    def asset_uri(cls, run: Run, output: Output | None, extra: Mapping[str, Any]) -> str:
        """Give a table's URI as its warehouse's own operators do."""
        if output is None or not output.location:
            return super().asset_uri(run, output, extra)
        return table_or_own_uri(run, output, extra)

    def test(self) -> Flow[str]:
        """List jobs: it needs good credentials, and no right to any table."""
        request = Request("GET", self.api.url(JOBS))
        status = yield from self.api.probe(request, "testing the connection")
        if status == 404:  # the path is documented, so the address before it is wrong
            raise self.api.unreadable(request, Response(status), "testing the connection", "there is no SQL API here")
        may_not = "" if status < 400 else f"; they may not list jobs (HTTP {status}), which is not needed"
        return f"CARTO accepts the credentials{may_not}"

    def _signature(
        self, workflow: str, parameters: Parameters, options: Mapping[str, Any], connection: str
    ) -> Flow[tuple[str, ...] | None]:
        """Read the procedure's parameters where they would be bound by position; None where that is not needed."""
        if not sql.needs_signature(workflow, parameters, self.warehouse):
            return None
        if not options.get("check_parameters", True):
            yield Note("check_parameters is off: query_parameters are passed in the order given", "warning")
            return None
        place, now = (self.api.base_url, connection, workflow.strip()), (yield Now())
        read_at, known = self.signatures.get(place, (float("-inf"), ()))
        if (
            known
            and 0 <= now - read_at < SIGNATURE_LIFETIME
            and set(map(str.lower, known)) == set(map(str.lower, map(str, parameters)))
        ):
            return known
        query, reason = sql.signature_query(workflow), "it lists no parameters of this procedure; is its name right?"
        try:
            found = sql.signature_of((yield from self._query(connection, query, "the procedure's parameters"))["rows"])
        except (PermissionDenied, RequestRejected, OutputUnavailable, ProtocolError) as error:
            found, reason = None, error.summary
        if found:
            found = tuple(self.reading.told([name]) for name in found)
            self.signatures[place] = now, found
            return found
        if len(parameters) == 1:  # its place is certain, only its name is not
            yield Note(f"The name of the procedure's parameter is not checked: {reason}", "warning")
            return None
        names = ", ".join(f"@{name}" for name in parameters)
        quoted = sql.full_name(workflow, sql.DEFAULT, "workflow")
        raise InvalidArgument(
            "workflow: the order of the procedure's parameters is not known, so its bare name is not enough. Give the "
            f"whole CALL as CARTO's dialog shows it, such as CALL {quoted}({names}); or set check_parameters=False, "
            f"which passes query_parameters in the order given. INFORMATION_SCHEMA.PARAMETERS: {reason}"
        )

    def _query(self, connection: str, text: str, what: str = "the output table") -> Flow[Mapping[str, Any]]:
        url = self.reading.url(QUERY, connection=connection)
        request = Request("POST", url, json={"q": text}, timeout=QUERY_TIMEOUT)
        doing = f"reading {what}"
        try:
            response = yield from self.reading.call(request.changed(exact=True), doing, Asked.OUTPUT)
        except AuthenticationFailed as error:
            # The token that the workflow's dialog shows may run the procedure and nothing else [guide].
            raise error.hinted(
                "A token that may SELECT from the output table goes into the field 'read_token'."
            ) from error
        document: Any = None
        if response.native:  # a worker asks: native parsers have no place in a triggerer
            try:
                check_depth(response.body, MAX_DATA_DEPTH)
            except ValueError:
                raise self.reading.unreadable(request, response, doing, "The answer is nested too deeply") from None
            document = rows_document(response.body, sql.TYPES)
        document = document or self.reading.document(request, response, doing, exact=True)
        if not isinstance(document, Mapping) or not isinstance(document.get("rows"), (list, JsonRows)):
            raise self.reading.unreadable(request, Response(200), doing, "the answer has no rows")
        return document

    def _jobs(self, connection: str) -> staged.Jobs:
        """Run statements of our own as jobs, with the token that reads outputs."""
        api = self.reading

        def start(statement: str) -> Flow[str]:
            request, doing = Request("POST", api.url(JOB, connection=connection), json={"query": statement}), "a copy"

            def parsed(response: Response) -> str:
                found = job_id(api.document(request, response, doing))
                if not found:
                    raise api.unreadable(request, response, doing, "the answer has no id of the job")
                return found

            return (yield from api.start(request, f"making {doing} of the output table", parsed))

        def address(job: str) -> str:
            return api.url(JOB_STATUS, connection=connection, run_id=job)

        def look(job: str) -> Flow[tuple[RunState, str]]:
            document = yield from api.read(Request("GET", address(job)), f"reading the status of job {job}", Asked.RUN)
            found = seen(Run(self.key, self.conn_id, "", job), document)
            return found.state, found.message

        def cancel(job: str) -> Flow[None]:
            yield from api.call(Request("DELETE", address(job)), f"cancelling job {job}", Asked.CANCEL)

        return staged.Jobs(start, look, cancel)

    def _dialect(self, run: Run) -> str:
        return self.warehouse or sql.warehouse_of(run)

    def _seen(self, run: Run, document: Any) -> Run:
        details = {**run.details, "carto_connection": self._connection(run)}
        return self.cleaned(seen(replace(run, url=self.run_url(run), details=details), document))

    def _connection(self, run: Run) -> str:
        return str(run.details.get("carto_connection") or self.carto_connection)


def _auth(values: ConnectionValues, secrets: tuple[str, ...]) -> Auth:
    client_id = (values.login or "").strip()
    if not client_id:
        return HeaderAuth("Authorization", f"Bearer {values.header_secret('password', values.password)}")
    secret = values.secret("password", values.password)
    url = values.checked_url("token_url", values.text("token_url", TOKEN_URL))
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, "audience": AUDIENCE}
    request = Request("POST", url, form=form)
    # CARTO advises to use a token until some five minutes before its end.
    return client_credentials(
        Api(values.conn_id, url, NoAuth(), said, secrets, CartoSystem.label),
        request,
        lifetime=LIFETIME,
        early=300.0,
        field="token_url",
    )

"""CARTO Workflows: a run is a SQL API job that CALLs the stored procedure of a workflow.

Facts stand beside their use. Sources: [guide] https://docs.carto.com/carto-user-manual/workflows/executing-workflows-via-api,
[sql-api] https://docs.carto.com/carto-for-developers/reference/carto-api/sql-api. ``unverified`` marks what no
published page or code of CARTO's confirms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    RequestRejected,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import Auth, HeaderAuth, NoAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Note, Now, Request, Response
from airflow_workflow_provider.protocol.json_rows import JsonRows
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.oauth2 import client_credentials
from airflow_workflow_provider.protocol.parameters import Parameters, spelled
from airflow_workflow_provider.protocol.results import RowSource
from airflow_workflow_provider.protocol.system import COMMON_FIELDS, Field, Form, WorkflowSystem
from airflow_workflow_provider.protocol.times import from_epoch
from airflow_workflow_provider.systems.carto import sql
from airflow_workflow_provider.systems.carto.answers import STATES, job_id, said, seen, status

TOKEN_URL = "https://auth.carto.com/oauth/token"  # noqa: S105 (an address) [sql-api]; self-hosted may differ: unverified
AUDIENCE = "carto-cloud-native-api"  # "Audience is mandatory" [sql-api]
LIFETIME = 86_400.0  # seconds; a token lasts 24 hours [sql-api]

# POST takes /job's SQL in ``query`` [guide] and /query's in ``q`` (https://github.com/CartoDB/carto-api-client).
JOB = "/v3/sql/{connection}/job"
JOB_STATUS = "/v3/sql/{connection}/job/{run_id}"
QUERY = "/v3/sql/{connection}/query"
JOBS = "/v3/sql/jobs"
QUERY_TIMEOUT = 90.0  # seconds; the server ends a query after 60 [sql-api]

FORM = Form(
    labels={"host": "API base URL", "login": "OAuth client id", "password": "Token or client secret"},
    placeholders={
        "host": "https://gcp-us-east1.api.carto.com",
        "login": "leave empty for an API access token",
    },
    hidden=("schema",),
    extras={
        "carto_connection": Field(
            "CARTO connection", "Name of the connection inside CARTO. Default carto_dw.", placeholder="carto_dw"
        ),
        "token_url": Field(
            "OAuth token URL", f"Where an OAuth client gets its token. Default {TOKEN_URL}.", placeholder=TOKEN_URL
        ),
        "read_token": Field("Read token", "API access token for reading outputs, if the other may not.", secret=True),
        "warehouse": Field(
            "Warehouse", "What the CARTO connection leads to. Default bigquery.", choices=tuple(sql.DIALECTS)
        ),
        "warehouse_host": Field(
            "Warehouse host",
            "Account of Snowflake, host:port of PostgreSQL or Redshift; names assets and lineage.",
            placeholder="my_org-my_account",
        ),
        **COMMON_FIELDS,
    },
)


class CartoSystem(WorkflowSystem):
    """CARTO's SQL API under one Airflow connection."""

    key = "carto"
    label = "CARTO"
    default_conn_id = "carto_default"
    form = FORM
    states = STATES
    api_version = "SQL API v3"
    poll_interval = 15.0  # every request counts against a monthly quota
    start_options = frozenset({"carto_connection"})
    can_cancel = True
    can_count_rows = True

    def __init__(self, values: ConnectionValues) -> None:
        super().__init__(values)
        base_url = values.base_url()
        self.carto_connection = values.text("carto_connection", "carto_dw")
        self.warehouse = values.choice("warehouse", tuple(sql.DIALECTS), "")
        read_token = values.header_secret("read_token", values.text("read_token")) if values.text("read_token") else ""
        self.secrets = tuple(secret for secret in (values.secret("password", values.password), read_token) if secret)
        self.auth = _auth(values, self.secrets)
        self.api = Api(self.conn_id, base_url, self.auth, said, self.secrets)
        bearer = HeaderAuth("Authorization", f"Bearer {read_token}")
        self.reading = replace(self.api, auth=bearer) if read_token else self.api

    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Create a job that CALLs the procedure."""
        connection = options.get("carto_connection") or self.carto_connection
        body: dict[str, Any] = {"query": sql.call(workflow, parameters, self.warehouse)}
        if parameters:
            body["queryParameters"] = spelled(parameters)
        request = Request("POST", self.api.url(JOB, connection=connection), json=body)
        now = yield Now()

        def started(response: Response) -> Run:
            document = self.api.document(request, response, "reading the answer to the start")
            run_id = job_id(document)
            if not run_id:
                raise self.api.unreadable(request, response, "reading the answer to the start", "it has no externalId")
            run = Run("carto", self.conn_id, workflow, run_id, started_at=from_epoch(now))
            return self._seen(replace(run, details={"carto_connection": connection}), document)

        return (yield from self.api.start(request, f"starting workflow {workflow}", started))

    def get_run(self, run: Run) -> Flow[Run]:
        """Read the status of the job."""
        request = Request("GET", self._job_url(run))
        doing = f"reading the status of run {run.run_id}"
        document = yield from self.api.read(request, doing)
        if not isinstance(document, Mapping):
            raise self.api.unreadable(request, Response(200), doing, "the answer is no job")
        word, _ = status(document)
        if word not in STATES:
            yield Note(f"CARTO gave run {run.run_id} the unknown status {word!r}; it is taken for running", "warning")
        return self._seen(run, document)

    def conclude(self, run: Run) -> Flow[Run]:
        """Warn when a run that succeeded has no output of its own."""
        if run.state is not RunState.SUCCEEDED or not run.outputs or run.message:
            return run
        try:
            page = yield from self._query(run, sql.sample(run.outputs[0].location, self._dialect(run)))
        except WorkflowError:
            return run  # a token that may not read the table is no reason to doubt the run
        # A workflow without an Output component leaves a table with the one column ``dummy`` (exported procedures).
        columns = sql.columns(page)
        if [name for name, _ in columns] != ["dummy"]:
            told = {run.outputs[0].name: [[name, kind] for name, kind in columns]}
            return replace(run, details={**run.details, "columns": told})
        table = run.outputs[0].location
        warning = f"Output table {table} holds only the column 'dummy': the workflow has no Output component"
        yield Note(warning, "warning")
        return replace(run, message=warning)

    def cancel(self, run: Run) -> Flow[None]:
        """Cancel the job [sql-api]. What a finished job answers is unverified: 4xx is taken for "nothing to cancel"."""
        request = Request("DELETE", self._job_url(run))
        try:
            yield from self.api.call(request, f"cancelling run {run.run_id}")
        except AuthenticationFailed:
            raise
        except (RequestRejected, WorkflowNotFound) as error:
            yield Note(f"Run {run.run_id} was not cancelled, it had ended or is gone: {error}")

    def read(self, run: Run, output: Output) -> RowSource:
        """Read the output table by POST: the answers to GET are cached for a year [sql-api]."""
        dialect = self._dialect(run)
        return RowSource(lambda: sql.pages(output.location, dialect, lambda text: self._query(run, text)))

    def count_rows(self, run: Run, output: Output) -> Flow[int]:
        """Count the rows of the output table, with one query more."""
        return (yield from sql.counted(output.location, self._dialect(run), lambda text: self._query(run, text)))

    def test(self) -> Flow[str]:
        """List jobs: it needs good credentials, and no right to any table."""
        request = Request("GET", self.api.url(JOBS))
        status = yield from self.api.probe(request, "testing the connection")
        if status == 404:  # the path is documented, so the address before it is wrong
            raise self.api.unreadable(request, Response(status), "testing the connection", "there is no SQL API here")
        may_not = "" if status < 400 else f"; they may not list jobs (HTTP {status}), which is not needed"
        return f"CARTO accepts the credentials{may_not}"

    def _query(self, run: Run, text: str) -> Flow[Mapping[str, Any]]:
        url = self.reading.url(QUERY, connection=self._connection(run))
        request = Request("POST", url, json={"q": text}, timeout=QUERY_TIMEOUT)
        doing = f"reading the output of run {run.run_id}"
        try:
            document = yield from self.reading.read_rows(request, doing, sql.TYPES)
        except AuthenticationFailed as error:
            # The token that the workflow's dialog shows may run the procedure and nothing else [guide].
            hint = "; a token that may SELECT from the output table goes into the field 'read_token'"
            raise type(error)(f"{error}{hint}", status=error.status) from error
        if not isinstance(document, Mapping) or not isinstance(document.get("rows"), (list, JsonRows)):
            raise self.reading.unreadable(request, Response(200), doing, "the answer has no rows")
        return document

    def _dialect(self, run: Run) -> str:
        if self.warehouse:
            return self.warehouse
        provider = str(run.details.get("provider") or "").lower()
        return next((dialect for dialect in sql.DIALECTS if provider.startswith(dialect)), "bigquery")

    def _seen(self, run: Run, document: Any) -> Run:
        details = {**run.details, "carto_connection": self._connection(run)}
        return self.cleaned(seen(replace(run, url=self._job_url(run), details=details), document))

    def _connection(self, run: Run) -> str:
        return str(run.details.get("carto_connection") or self.carto_connection)

    def _job_url(self, run: Run) -> str:
        return self.api.url(JOB_STATUS, connection=self._connection(run), run_id=run.run_id)


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
        Api(values.conn_id, url, NoAuth(), said, secrets), request, lifetime=LIFETIME, early=300.0, field="token_url"
    )

"""Stevesie Cloud: a run is an execution of a workflow.

Source: [docs] https://stevesie.com/docs/api-access/workflows, the whole public reference. It tells nothing about
errors, failures, cancelling or limits; what is ``unverified`` here is read tolerantly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    NotSupported,
    OutputGone,
    OutputUnavailable,
    PermissionDenied,
    WorkflowError,
)
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import HeaderAuth, NoAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Note, Now, Request, Response, RunList, Shown
from airflow_workflow_provider.protocol.model import Output, Run, Workflow
from airflow_workflow_provider.protocol.parameters import Fingerprint, Parameters, epoch_seconds, spelled
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.protocol.run_log import Cursor, LogPage
from airflow_workflow_provider.protocol.system import WorkflowSystem, existing
from airflow_workflow_provider.protocol.times import from_epoch, server_time
from airflow_workflow_provider.protocol.uris import file_uri
from airflow_workflow_provider.systems.stevesie import executions, log
from airflow_workflow_provider.systems.stevesie.choices import checked_proxy
from airflow_workflow_provider.systems.stevesie.form import FORM, HOST

WORKFLOWS = "/workflows"
WORKFLOW = "/workflows/{workflow}"
EXECUTIONS = "/workflows/{workflow}/executions"
EXECUTION = "/workflows/executions/{run_id}"  # not below the workflow's id [docs]
COLLECTION = "/collections/{collection}"
REFRESHES = 3  # times that a download asks for a fresh address


class StevesieSystem(WorkflowSystem):
    """Stevesie Cloud's API under one Airflow connection."""

    key = "stevesie"
    label = "Stevesie Cloud"
    default_conn_id = "stevesie_default"
    form = FORM
    states = executions.STATES
    api_version = "v1"
    poll_interval = 20.0
    watch_options = executions.WATCH_OPTIONS
    start_options = frozenset(
        {"proxy", "maximum_requests_count", "output_aggregation_format", "do_proxy_hot_swap", *executions.WATCH_OPTIONS}
    )
    repeats = True
    log_from_run = True
    lists_parameters = True
    foreign_locations = True

    def __init__(self, values: ConnectionValues) -> None:
        super().__init__(values)
        base_url = values.base_url(HOST)
        token = values.header_secret("password", values.password)
        self.proxy, self.proxy_url = values.mapping("proxy"), values.text("proxy_url")
        if "url" in self.proxy:
            raise values.invalid("proxy", "holds a URL, which is a secret; put it into the field proxy_url")
        self.secrets = tuple(secret for secret in (token, self.proxy_url) if secret)
        self.auth = HeaderAuth("Token", token)  # literally this header, without a scheme [docs]
        self.api = Api(self.conn_id, base_url, self.auth, executions.said, self.secrets, self.label)
        # Results lie on another host, which must not see the token: unverified, but no harm if it is not so.
        self.files = Api(self.conn_id, "", NoAuth(), secrets=self.secrets, label="the host of the result")
        self._read_list = self._shown  # one object, however many runs wait

    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Execute a workflow."""
        body = self._body(parameters, options)
        watch = {name: options[name] for name in executions.WATCH_OPTIONS if name in options}
        request = Request("POST", self.api.url(EXECUTIONS, workflow=workflow), json=body)
        now = yield Now()

        def seen_first(run: Run, document: Any) -> Run:
            return self._seen(self.with_options(run, watch), executions.one(document), now)

        return (yield from self.send_start(self.api, request, workflow, executions.execution_id, seen_first))

    def get_run(self, run: Run) -> Flow[Run]:
        """Read the execution. There is no status: it is derived from ``completed_at`` and ``results``."""
        run = run if run.url else replace(run, url=self.run_url(run))  # before the request, which shares the text
        execution, answered_at = yield from self._execution(run)
        odd = executions.unknown_keys(execution)
        if odd:
            yield Note(f"Stevesie gave run {run.run_id} undocumented fields: {', '.join(odd)}", "warning")
        return self._seen(run, execution, answered_at)

    def run_list(self, run: Run) -> RunList | None:
        """Give the list of the workflow's executions, if the workflow is known."""
        return RunList(run.workflow, self._read_list) if run.workflow else None

    def find_runs(self, workflow: str, since: datetime | None = None) -> Flow[list[Run]]:
        """List the executions of a workflow; that the list shows what one execution does is unverified."""
        return [run for run, _ in (yield from self._listed(workflow, since))]

    def find_started(
        self, workflow: str, parameters: Parameters | Fingerprint, options: Mapping[str, Any], since: datetime
    ) -> Flow[list[Run]]:
        """List the executions with the same parameters; raises `NotSupported` where the list does not show enough."""
        wanted = parameters if isinstance(parameters, Fingerprint) else Fingerprint.of(_spelled(parameters))
        listed = yield from self._listed(workflow, since)
        found = [(run, executions.parameters_of(execution)) for run, execution in listed]
        if any(run.started_at is None or given is None for run, given in found):
            raise NotSupported("Stevesie's list of executions does not tell when each began, and with which parameters")
        return [run for run, given in found if wanted.matches(given)]

    @classmethod
    def sent_form(cls, parameters: Parameters) -> Any:
        """Give the ``execution_parameters``."""
        return _spelled(parameters)

    def read_log(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Give the number of results that the last poll saw; the API has no other log."""
        return log.page(run, cursor)
        yield

    def list_workflows(self) -> Flow[list[Workflow]]:
        """List the account's workflows."""
        document = yield from self.api.read(Request("GET", self.api.url(WORKFLOWS)), "listing workflows")
        rows = executions.many(document)
        return [Workflow(str(row["id"]), str(row.get("name") or ""), dict(row)) for row in rows if row.get("id")]

    def get_workflow(self, workflow: str) -> Flow[Workflow]:
        """Read one workflow with its mappings."""
        request = Request("GET", self.api.url(WORKFLOW, workflow=workflow))
        row = executions.one((yield from self.api.read(request, f"reading workflow {workflow}")))
        return Workflow(str(row.get("id") or workflow), str(row.get("name") or ""), dict(row))

    def destroy_workflow(self, workflow: str) -> Flow[None]:
        """Delete the definition of a workflow; this is no way to stop a run."""
        request = Request("DELETE", self.api.url(WORKFLOW, workflow=workflow))
        yield from self.api.call(request, f"destroying workflow {workflow}")

    def collection(self, collection: str) -> Flow[Mapping[str, Any]]:
        """Read a collection: id, name, count, items."""
        request = Request("GET", self.api.url(COLLECTION, collection=collection))
        return executions.one((yield from self.api.read(request, f"reading collection {collection}")))

    def change_collection(self, collection: str, method: str, items: Sequence[str]) -> Flow[None]:
        """Add items to a collection, or remove them from it."""
        body = {"method": method, "items": list(items)}
        request = Request("POST", self.api.url(COLLECTION, collection=collection), json=body)
        yield from self.api.call(request, f"changing collection {collection}")

    def read(self, run: Run, output: Output) -> FileSource:
        """Download a result from its host. The address expires, so it is asked for right before."""
        kind = executions.EXTENSIONS.get(PurePosixPath(output.name.lower().removesuffix(".gz")).suffix, "raw")
        return FileSource(output.formats[0] if output.formats else kind, lambda: self._download(run, output))

    def run_url(self, run: Run) -> str:
        """Give the address of the execution."""
        url = self.api.url(EXECUTION, run_id=run.run_id)
        return run.url if run.url == url else url  # the same object, to save memory with thousands of runs

    def output_location(self, run: Run, output: Output) -> str:
        """Give the address as it was: results lie at other hosts. It is for people; a read asks for a fresh one."""
        return file_uri(output.location) or ""

    def test(self) -> Flow[str]:
        """List workflows."""
        found = yield from self.list_workflows()
        return f"Stevesie accepts the token; the account has {len(found)} workflows"

    def _download(self, run: Run, output: Output) -> Flow[Response]:
        doing = f"reading output {output.name!r} of run {run.run_id}"
        last: WorkflowError | None = None
        for _ in range(REFRESHES):
            address = executions.address((yield from existing(self._execution(run), run, output))[0], output)
            if not address:
                raise OutputGone(f"run {run.run_id} has no result {output.name!r} any more")
            try:
                request = Request("GET", address, headers={"Accept": "*/*"}, stream=True)
                return (yield from self.files.download(request, doing))
            except (PermissionDenied, OutputUnavailable) as error:
                last = error  # 403, 404 or 410: the address has expired
        # A storage answers 403 for a missing file, too, if the address may not list files: that is not certain.
        kind = OutputGone if isinstance(last, OutputGone) else OutputUnavailable
        raise kind(f"{REFRESHES} fresh addresses of output {output.name!r} were refused. {last}") from last

    def _body(self, parameters: Parameters, options: Mapping[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if proxy := self._proxy(options.get("proxy")):
            body["proxy"] = proxy
        if wanted := _spelled(parameters):
            body["execution_parameters"] = wanted
        body |= executions.limits(options)
        return body

    def _proxy(self, given: Any) -> dict[str, Any]:
        """Give the proxy block: the task's over the connection's, with the secret address of a custom one."""
        own = checked_proxy(given) or {}
        if not isinstance(own, Mapping):
            raise InvalidArgument("proxy: expected a mapping without a URL; the URL is a secret of the connection")
        block = {**self.proxy, **own} if not own.get("type") or own.get("type") == self.proxy.get("type") else dict(own)
        if self.proxy_url and block.get("type", "custom") == "custom":
            block = {**block, "type": "custom", "url": self.proxy_url}
        return block

    def _execution(self, run: Run) -> Flow[tuple[Mapping[str, Any], float]]:
        """Read an execution; give it with the time of the server's clock, with which its times can be compared."""
        request = Request("GET", self.run_url(run))
        doing = f"reading the status of run {run.run_id}"
        response = yield from self.api.call(request, doing, Asked.RUN)
        execution = executions.one(self.api.document(request, response, doing))
        if "completed_at" not in execution and "id" not in execution:
            raise self.api.unreadable(request, Response(200), doing, "the answer is not an execution")
        now = yield Now()
        # Only an end is compared with the time, and most polls see none.
        return execution, server_time(response.headers, now) if execution.get("completed_at") else now

    def _shown(self, workflow: str, wanted: Collection[str]) -> Flow[Shown]:
        """Tell of executions whether they go on; that the list shows that, and all of them, is unverified."""
        rows = yield from self._rows(workflow)
        found = {str(row.get("id")): executions.goes_on(row) for row in rows}
        going = {run_id for run_id in wanted if found.get(run_id)}
        return Shown(going, {run_id for run_id in wanted if found.get(run_id) is False}, len(rows))

    def _listed(self, workflow: str, since: datetime | None) -> Flow[list[tuple[Run, Mapping[str, Any]]]]:
        rows = yield from self._rows(workflow)
        now = yield Now()
        found = [(self._seen(Run("stevesie", self.conn_id, workflow, str(row["id"])), row, now), row) for row in rows]
        kept = [(run, row) for run, row in found if not since or not run.started_at or run.started_at >= since]
        return sorted(kept, key=lambda pair: pair[0].started_at.timestamp() if pair[0].started_at else 0, reverse=True)

    def _rows(self, workflow: str) -> Flow[list[Mapping[str, Any]]]:
        request = Request("GET", self.api.url(EXECUTIONS, workflow=workflow))
        document = yield from self.api.read(request, f"listing the runs of workflow {workflow}")
        rows = [row for row in executions.many(document) if row.get("id")]
        if not rows and executions.listed(document) != []:
            raise NotSupported(f"{request}: the answer is not a list of executions")
        return rows

    def _seen(self, run: Run, execution: Mapping[str, Any], now: float) -> Run:
        return executions.seen(run, execution, self.run_url(run), from_epoch(now))


def _spelled(parameters: Parameters) -> dict[str, Any]:
    if not isinstance(parameters, Mapping):
        if parameters:
            raise InvalidArgument("query_parameters: Stevesie takes a mapping")
        return {}
    # The vendor's example gives times as seconds since 1970 [docs].
    return {
        name: spelled(value, key=f"query_parameters[{name!r}]", moment=epoch_seconds)
        for name, value in parameters.items()
    }

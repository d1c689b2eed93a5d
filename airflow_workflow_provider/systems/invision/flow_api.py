"""Profitbase Flow, the sibling that is to replace data flows: submit, poll, log.

Source: the vendor's documentation of Flow's HTTP API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_workflow_provider.exceptions import InvalidConnection, NotSupported, RequestRejected
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import HeaderAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Note, Request, Response
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.parameters import Parameters, spelled
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.run_log import Cursor, CursorLost, LogPage
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.protocol.times import time_or_none
from airflow_workflow_provider.systems.invision import answers, log
from airflow_workflow_provider.systems.invision.form import ENVIRONMENTS

BASE = "/corellia/api/v1/tenants/{tenant}/workspaces/{workspace}/flows/{flow}"
SUBMIT = "/submit"
POLL = "/diagnostics/executions/{run_id}/poll"
EXECUTIONS = "/diagnostics/executions"
NO_ITEMS = 2**31 - 1  # a log item id beyond all
ERROR_LEVEL = 5  # of log items: 1 debug to 5 error
SHOWN = 10

# 0 submitted, 1 running, 2 completed, 3 completed with a warning, 4 failed.
STATES: Mapping[int, RunState] = {
    0: RunState.QUEUED,
    1: RunState.RUNNING,
    2: RunState.SUCCEEDED,
    3: RunState.SUCCEEDED,
    4: RunState.FAILED,
}
WARNING, FAILED = 3, 4


@dataclass(eq=False)
class FlowApi:
    """The flows of one workspace; without its fields in the connection every call names the field that lacks."""

    system: WorkflowSystem
    api: Api | None
    tenant: str
    workspace: str
    environment: str
    gives_all_items: bool = False
    """Whether the server has refused `NO_ITEMS`."""

    @classmethod
    def of(cls, system: WorkflowSystem, values: ConnectionValues, base_url: str) -> FlowApi:
        """Read the connection's fields for Flow; they may be absent where Flow is not used."""
        host = values.text("flow_host")
        url = values.checked_url("flow_host", host) if host else base_url
        key = values.text("flow_api_key")
        auth = HeaderAuth("x-api-key", values.header_secret("flow_api_key", key)) if key else None
        return cls(
            system,
            Api(values.conn_id, url, auth, answers.said, system.secrets, "Profitbase Flow", "field 'flow_api_key'")
            if auth
            else None,
            values.text("tenant_id"),
            values.text("workspace_id"),
            values.choice("environment", ENVIRONMENTS, "production").capitalize(),
        )

    @property
    def is_there(self) -> bool:
        """True where the connection has all that Flow needs."""
        return bool(self.api and self.tenant and self.workspace)

    def start(self, workflow: str, parameters: Parameters) -> Flow[Run]:
        """Submit a flow; the parameters are the payload of its HTTP trigger."""
        api = self._ready()
        payload = spelled(parameters) if parameters else {}
        request = Request("POST", self._url(workflow, SUBMIT), params={"env": self.environment}, json=payload)

        def job_id(document: Any) -> Any:
            return answers.lowered(document).get("jobid")

        def seen_first(run: Run, document: Any) -> Run:
            return replace(run, url=self._poll_url(run), details={"workflow_api": "flow"})

        doing = f"starting flow {workflow}"
        return (yield from self.system.send_start(api, request, workflow, job_id, seen_first, doing=doing))

    def get_run(self, run: Run) -> Flow[Run]:
        """Poll an execution; its log is read only where it tells why the execution failed, or what it warns of."""
        api = self._ready()
        document = yield from self._polled(run, NO_ITEMS)
        if _code(document.get("executionstate")) in (WARNING, FAILED):
            document = yield from self._polled(run, 0)
        request, doing = Request("GET", self._poll_url(run)), f"reading the status of run {run.run_id}"
        code = _code(document.get("executionstate"))
        if code is None:
            raise api.unreadable(request, Response(200), doing, "the answer has no executionState")
        if code not in STATES:
            yield Note(f"Flow gave run {run.run_id} the unknown state {code}; it counts as running", "warning")
        state = STATES.get(code, RunState.RUNNING)
        told = _told(document.get("logitems"), errors_only=state is RunState.FAILED)
        message = told if state is RunState.FAILED or code == WARNING else ""
        return replace(run, state=state, message=message, url=self._poll_url(run))

    def read_log(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Read the log items behind a cursor."""
        after = log.flow_cursor(cursor)
        try:
            document = yield from self._polled(run, after, "reading the log of run")
        except RequestRejected as error:
            if after and error.status == 400:
                raise CursorLost from error
            raise
        return log.flow_page(document.get("logitems"), cursor)

    def _polled(self, run: Run, after: int, doing: str = "reading the status of run") -> Flow[dict[str, Any]]:
        """Poll with the log items after one: 0 gives all, the largest id that was seen gives the new ones [docs].

        That an id beyond all gives none is unverified; a server that refuses it is asked for all.
        """
        api = self._ready()
        wanted = 0 if after == NO_ITEMS and self.gives_all_items else after
        request = Request("GET", self._poll_url(run), params={"logItemId": str(wanted)})
        try:
            return answers.lowered((yield from api.read(request, f"{doing} {run.run_id}", Asked.RUN)))
        except RequestRejected as error:
            if wanted != NO_ITEMS or error.status != 400:
                raise
        self.gives_all_items = True
        return (yield from self._polled(run, after, doing))

    def find_runs(self, workflow: str, since: datetime | None) -> Flow[list[Run]]:
        """List the executions of a flow; raises `NotSupported` where that, or ``since`` when, cannot be told."""
        api = self._ready()
        request = Request("GET", self._url(workflow, EXECUTIONS), params={"env": self.environment})
        document = yield from api.read(request, f"listing the runs of flow {workflow}")
        rows = [answers.lowered(row) for row in document] if isinstance(document, list) else []
        runs = [self._listed(workflow, row) for row in rows if row.get("jobid")]
        if not runs and document != []:
            raise NotSupported(f"{request}: the answer is not a list of executions")
        if since is None:
            return runs
        if any(run.started_at is None for run in runs):
            raise NotSupported("Profitbase Flow's list does not tell when each execution began")
        return [run for run in runs if run.started_at and run.started_at >= since]

    def run_url(self, run: Run) -> str | None:
        """Give the address of an execution; None where the connection has no fields for Flow."""
        return self._poll_url(run) if self.is_there and run.workflow else None

    def _listed(self, workflow: str, row: Mapping[str, Any]) -> Run:
        run = Run("invision", self.system.conn_id, workflow, str(row["jobid"]), details={"workflow_api": "flow"})
        return replace(
            run,
            state=STATES.get(_code(row.get("state")) or 0, RunState.RUNNING),
            message=str(row.get("message") or ""),
            started_at=time_or_none(row.get("starttime")),
            ended_at=time_or_none(row.get("endtime")),
            url=self._poll_url(run),
        )

    def _ready(self) -> Api:
        for name, value in (("flow_api_key", self.api), ("tenant_id", self.tenant), ("workspace_id", self.workspace)):
            if not value:
                raise InvalidConnection(
                    f"connection {self.system.conn_id!r}, field {name!r}: is empty; Profitbase Flow needs it"
                )
        return self.api  # type: ignore[return-value]  # checked above

    def _url(self, workflow: str, rest: str, **values: str) -> str:
        api = self._ready()
        return api.url(BASE + rest, tenant=self.tenant, workspace=self.workspace, flow=workflow, **values)

    def _poll_url(self, run: Run) -> str:
        return self._url(run.workflow, POLL, run_id=run.run_id)


def _code(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _told(items: Any, *, errors_only: bool) -> str:
    rows = [answers.lowered(item) for item in items] if isinstance(items, list) else []
    lines = [str(row["data"]) for row in rows if row.get("data") and (_code(row.get("type")) or 0) >= ERROR_LEVEL - 1]
    errors = [str(row["data"]) for row in rows if row.get("data") and _code(row.get("type")) == ERROR_LEVEL]
    return "; ".join((errors or lines if errors_only else lines)[-SHOWN:])

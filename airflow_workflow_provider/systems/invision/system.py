"""Profitbase InVision: a run is a run of a data flow, or of a flow of its sibling product Flow.

Source: [docs] https://docs.profitbase.com/articles/invision/docs/dataflows/execution/httpapi.html and the vendor's
documentation repository. Only 500 is documented for errors, whatever the reason; ``unverified`` marks the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    NotSupported,
    OutputUnavailable,
    RequestRejected,
    UnknownStart,
)
from airflow_workflow_provider.protocol.api import Api, is_page
from airflow_workflow_provider.protocol.auth import HeaderAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Now, Request, Response
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.parameters import Fingerprint, Parameters, spelled
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.protocol.run_log import Cursor, LogPage
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.protocol.times import from_epoch
from airflow_workflow_provider.systems.invision import answers, log
from airflow_workflow_provider.systems.invision.flow_api import FlowApi
from airflow_workflow_provider.systems.invision.form import FORM

START = "/api/pub/v1/dataflows/{flow}/start"
STATUS = "/api/pub/v1/dataflows/{flow}/runs/{run_id}/status"
TABLE = "/api/pub/v1/db/tables/{name}/data"
OBJECT = "/api/pub/v1/db/objects/{name}/data"
MONITORING = "/api/v1/monitoring"
KEY_HEADER = "x-api-key"
AWAIT_TIMEOUT = 600.0  # seconds that a start with ``await`` may take; longer flows must not be started like that
TABLE_PREFIX, QUERY_MARK = "table:", "?q="


class InvisionSystem(WorkflowSystem):
    """InVision's API areas under one Airflow connection; each area has a key of its own."""

    key = "invision"
    label = "Profitbase InVision"
    default_conn_id = "invision_default"
    form = FORM
    states = answers.STATES
    api_version = "public API v1"
    poll_interval = 10.0
    log_lags = True
    unlisted_outputs = "a solution object by its name, or table:<name>"
    start_options = frozenset({"workflow_api", "await_completion", "execution_arguments"})

    def __init__(self, values: ConnectionValues) -> None:
        super().__init__(values)
        base_url = values.base_url()
        keys = {name: values.text(name) for name in ("data_api_key", "monitoring_api_key", "flow_api_key")}
        keys["password"] = values.header_secret("password", values.password)
        self.secrets = tuple(secret for secret in keys.values() if secret)
        self.start_body = values.choice("start_body", ("json", "none"), "json")
        self.api = self._area(base_url, values, "password", keys)
        self.auth = self.api.auth
        self.data = self._area(base_url, values, "data_api_key", keys) if keys["data_api_key"] else None
        self.monitoring = (
            self._area(base_url, values, "monitoring_api_key", keys) if keys["monitoring_api_key"] else None
        )
        self.flow = FlowApi.of(self, values, base_url)
        if self.flow.is_there:
            self.lost_starts = "is found again with workflow_api='flow' only, else see on_unknown_start"

    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Start a data flow, or a flow of the sibling product."""
        if parameters and not isinstance(parameters, Mapping):
            raise InvalidArgument("query_parameters: InVision takes a mapping")
        which = options.get("workflow_api") or "dataflow"
        if which not in ("dataflow", "flow"):
            raise InvalidArgument(f"workflow_api: expected 'dataflow' or 'flow', not {which!r}")
        if which == "flow":
            return (yield from self.flow.start(workflow, parameters))
        try:
            return (yield from self._start(workflow, parameters, options))
        except RequestRejected as error:
            if error.status not in (400, 415):
                raise
            hint = "The field 'start_body' of the connection (json or none) says what is sent with a start."
            raise error.hinted(hint) from error
        except UnknownStart as error:
            if error.status != 500:
                raise
            hint = "InVision answers 500 also for a wrong key (field 'password') or data flow id: check these first."
            raise error.hinted(hint) from error

    def get_run(self, run: Run) -> Flow[Run]:
        """Read the status; data flow and run id together are the identity."""
        if run.details.get("workflow_api") == "flow":
            return (yield from self.flow.get_run(run))
        if not run.workflow:
            raise InvalidArgument("workflow: InVision knows a run by its data flow and its run id; pass workflow= too")
        request = Request("GET", self.api.url(STATUS, flow=run.workflow, run_id=run.run_id))
        doing = f"reading the status of run {run.run_id}"
        document = answers.lowered((yield from self.api.read(request, doing, Asked.RUN)))
        if "status" not in document:
            raise self.api.unreadable(request, Response(200), doing, "the answer has no status")
        state = yield from self.state_of(run, document["status"])
        return replace(run, state=state, url=self.run_url(run))

    def read_log(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Read Flow's log, or what the monitoring log of InVision says of the run."""
        if run.details.get("workflow_api") == "flow":
            return (yield from self.flow.read_log(run, cursor))
        if self.monitoring is None:
            raise NotSupported(f"connection {self.conn_id!r}, field 'monitoring_api_key': is empty; the log needs it")
        now = from_epoch((yield Now()))
        return (yield from log.monitoring_page(self.monitoring, MONITORING, run, cursor, now))

    def conclude(self, run: Run) -> Flow[Run]:
        """Add, after a failure, what the monitoring log says of that time."""
        if run.state is not RunState.FAILED or run.message or self.monitoring is None:
            return run
        now = yield Now()
        since = run.started_at or from_epoch(now - answers.WINDOW)
        return replace(
            run, message=(yield from answers.blame(self.monitoring, MONITORING, run, since, from_epoch(now)))
        )

    def find_started(
        self, workflow: str, parameters: Parameters | Fingerprint, options: Mapping[str, Any], since: datetime
    ) -> Flow[list[Run]]:
        """List runs where an API does: Flow's can, the data flows' cannot."""
        if options.get("workflow_api") == "flow":
            return (yield from self.flow.find_runs(workflow, since))
        return (yield from super().find_started(workflow, parameters, options, since))

    def output_by_name(self, run: Run, name: str) -> Output | None:
        """Give a solution object or ``table:<name>`` of the solution's database; no run lists them.

        ``?q={Column == "value"}`` behind the name filters the rows; ``{run_id}`` in it is the run's id.
        """
        return Output(name, "table", name, ("json",))

    def read(self, run: Run, output: Output) -> FileSource:
        """Read rows through the Data API."""
        if self.data is None:
            raise OutputUnavailable(
                f"connection {self.conn_id!r}, field 'data_api_key': is empty; outputs are read with a key of its own"
            )
        name, _, query = output.name.replace("{run_id}", run.run_id).partition(QUERY_MARK)
        path, name = (TABLE, name.removeprefix(TABLE_PREFIX)) if name.startswith(TABLE_PREFIX) else (OBJECT, name)
        api, url = self.data, self.data.url(path, name=name.strip())
        request = Request("GET", url, params={"q": query} if query else None, stream=True)
        doing = f"reading output {output.name!r} of run {run.run_id}"
        return FileSource("json", lambda: api.call(request, doing, Asked.OUTPUT))

    def run_url(self, run: Run) -> str | None:
        """Give the address of the run's status; a data flow's needs the data flow beside the run id."""
        if run.details.get("workflow_api") == "flow":
            return self.flow.run_url(run)
        return self.api.url(STATUS, flow=run.workflow, run_id=run.run_id) if run.workflow else None

    def output_location(self, run: Run, output: Output) -> str:
        """An output is known by its name alone."""
        return output.name

    def test(self) -> Flow[str]:
        """Ask for the status of a run that cannot be: no call without side effects tells more."""
        unknown = "00000000-0000-0000-0000-000000000000"
        request = Request("GET", self.api.url(STATUS, flow=unknown, run_id=unknown))
        response = yield from self.api.reached(request, "testing the connection")
        # The vendor documents 500 for whatever is wrong; a page for people is another product's, or a log-in.
        if is_page(response) or 200 <= response.status < 300 or response.status == 404:
            self.api.document(request, response, "testing the connection")
        return "InVision answers; the key can be checked only by starting a data flow"

    def _start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        body = _body(parameters, options.get("execution_arguments"))
        waits = bool(options.get("await_completion"))
        request = Request(
            "POST",
            self.api.url(START, flow=workflow),
            params={"await": "true"} if waits else None,
            json=body if body or self.start_body == "json" else None,
            timeout=AWAIT_TIMEOUT if waits else None,
        )

        def seen_first(run: Run, document: Any) -> Run:
            word = str(answers.lowered(document).get("status") or "").lower()
            state = answers.STATES.get(word, RunState.QUEUED)
            return replace(run, state=state, url=self.run_url(run), details={"workflow_api": "dataflow"})

        doing = f"starting data flow {workflow}"
        run = yield from self.send_start(self.api, request, workflow, answers.run_id, seen_first, doing=doing)
        return (yield from self.conclude(run)) if run.state.is_terminal else run

    def _area(self, base_url: str, values: ConnectionValues, name: str, keys: Mapping[str, str]) -> Api:
        auth = HeaderAuth(KEY_HEADER, values.header_secret(name, keys[name]))
        return Api(self.conn_id, base_url, auth, answers.said, self.secrets, self.label, f"field {name!r}")


def _body(parameters: Parameters, extra: Any) -> dict[str, Any]:
    """Make the body of a start. That a start takes arguments is unverified: the shape is the Flow action's [docs]."""
    if extra is not None and not isinstance(extra, Mapping):
        raise InvalidArgument(f"execution_arguments: expected a mapping, not {type(extra).__name__}")
    body = dict(spelled(extra, key="execution_arguments")) if extra else {}
    if parameters:
        own = body.get("globalArguments") or {}
        if not isinstance(own, Mapping):
            raise InvalidArgument(f"execution_arguments: globalArguments: expected a mapping, not {type(own).__name__}")
        body["globalArguments"] = {**own, **spelled(parameters)}
    return body

"""TIBCO Data Science Team Studio (Alpine Chorus): a run is an engine process, a Job run, or a run of a workfile.

Two APIs share the server: Chorus (Rails) and the analytics engine. Sources: [api] the generated API pages of
https://docs.tibco.com (sfire-dsc 6.5 to 7.1), [src] the published source of Chorus 5.8, [client] the vendor's
Python client ``alpine``. ``unverified`` marks what none of them shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_workflow_provider.exceptions import InvalidArgument, NotSupported, PermissionDenied, ServerUnavailable
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import Auth, NoAuth, Token, TokenAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Request, Response
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.protocol.parameters import Parameters
from airflow_workflow_provider.protocol.results import FileSource, RowSource
from airflow_workflow_provider.protocol.run_log import Cursor, LogPage
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.systems.chorus import answers
from airflow_workflow_provider.systems.chorus.datasets import TABLE_PREFIX, Datasets
from airflow_workflow_provider.systems.chorus.engine import Engine
from airflow_workflow_provider.systems.chorus.form import API_PATH, ENGINE_PATH, FORM
from airflow_workflow_provider.systems.chorus.jobs import Jobs
from airflow_workflow_provider.systems.chorus.workfiles import Workfiles

# The parameter, with any value, is what lets a log-in through the server's check for forged requests [src, client].
LOGIN = "/sessions?session_id=NULL"
LICENSE = "/license"
LICENSE_EXPIRED = "LICENSE_EXPIRED"  # comes with a 503, though waiting does not mend it [src]
DEFAULT_MODE = "engine"
_RESULT = re.compile(r"/workflows/([^/]+)/results/([^/]+)/?$")


class ChorusSystem(WorkflowSystem):
    """Team Studio's two APIs under one Airflow connection."""

    key = "chorus"
    label = "TIBCO Team Studio"
    default_conn_id = "chorus_default"
    form = FORM
    states = answers.STATES
    poll_interval = 10.0
    unlisted_outputs = "table:<name> for a dataset of the workspace"
    start_options = frozenset({"run_mode"})
    log_from_run = True

    def __init__(self, values: ConnectionValues) -> None:
        super().__init__(values)
        base_url = values.base_url()
        user, password = values.secret("login", values.login), values.secret("password", values.password)
        self.secrets = (password,)
        api_url = base_url + _path(values.text("api_path", API_PATH))
        engine_url = base_url + _path(values.text("engine_path", ENGINE_PATH))
        self.auth = TokenAuth(lambda: self._log_in(api_url, user, password), partial(_with_session, engine_url))
        self.api = self._api(api_url, self.auth)
        self.engine = Engine(self, self._api(engine_url, self.auth))
        self.modes: Mapping[str, Engine | Jobs | Workfiles] = {
            "engine": self.engine,
            "job": Jobs(self, self.api, self.engine),
            "workfile": Workfiles(self, self.api, self.engine),
        }
        self.datasets = Datasets(self.api)

    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Start a run in one of the modes."""
        mode = str(options.get("run_mode") or DEFAULT_MODE)
        if mode not in self.modes:
            raise InvalidArgument(f"run_mode: expected one of {', '.join(self.modes)}, not {mode!r}")
        if parameters and mode != "engine":
            raise InvalidArgument(f"query_parameters: run_mode {mode!r} takes none; only 'engine' has variables")
        return (yield from self.modes[mode].start(workflow, parameters))

    def get_run(self, run: Run) -> Flow[Run]:
        """Read the state of a run; its id says which mode it has."""
        return (yield from self.modes[self._mode(run)].get_run(run))

    def cancel(self, run: Run) -> Flow[None]:
        """Ask for a stop. That the server takes it does not mean that the run stops [api]."""
        yield from self.modes[self._mode(run)].cancel(run)

    def read_log(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Follow an engine process; the other modes show nothing of a run while it goes on."""
        if self._mode(run) != DEFAULT_MODE:
            raise NotSupported(f"Team Studio shows a log only of runs with run_mode={DEFAULT_MODE!r}")
        return (yield from self.engine.read_log(run, cursor))

    def output_by_name(self, run: Run, name: str) -> Output | None:
        """Give a dataset of the flow's workspace, which no run lists."""
        return Output(name, "table", name, ("csv",)) if name.startswith(TABLE_PREFIX) else None

    def read(self, run: Run, output: Output) -> FileSource | RowSource:
        """Read an operator's result as the run stored it, or a dataset as CSV."""
        if output.name.startswith(TABLE_PREFIX):
            return self.datasets.source(run, output)
        workflow, process = self._result_of(run, output)
        return RowSource(lambda: self.engine.rows(run, output, workflow, process))

    def run_url(self, run: Run) -> str | None:
        """Give the address of a run, made from the ids in its run id."""
        try:
            return self.modes[self._mode(run)].url(run)
        except InvalidArgument:
            return None

    def output_location(self, run: Run, output: Output) -> str:
        """Give the address of the stored result that holds an output; a dataset has only its name."""
        if output.name.startswith(TABLE_PREFIX):
            return output.name
        try:
            return self.engine.result_url(*self._result_of(run, output))
        except InvalidArgument:
            return ""

    def _result_of(self, run: Run, output: Output) -> tuple[str, str]:
        """Give workflow and process of the stored result that holds an output.

        For an engine process these are the run's own ids. A Job may have run several flows, so the ids stand in the
        output's location, of which nothing else is used.
        """
        if self._mode(run) == DEFAULT_MODE:
            return run.workflow, run.run_id
        found = _RESULT.search(urlsplit(output.location).path)
        if not found:
            raise InvalidArgument(f"run: the location of output {output.name!r} names no stored result")
        return unquote(found[1]), unquote(found[2])

    def test(self) -> Flow[str]:
        """Log in and read the licence."""
        document = yield from self.api.read(Request("GET", self.api.url(LICENSE)), "reading the licence")
        body = answers.response_of(document)
        self.api_version = str(body.get("version") or "")
        if body.get("expired") is True:
            return "Team Studio accepts the credentials, but its licence has expired"
        engine = "" if body.get("is_enabled_api", True) else "; the engine's API is not licensed, use another run_mode"
        return f"Team Studio accepts the credentials{engine}"

    def _api(self, base_url: str, auth: Auth) -> Api:
        fields = "fields 'login' and 'password'"
        return Api(self.conn_id, base_url, auth, answers.said, self.secrets, self.label, fields)

    def _mode(self, run: Run) -> str:
        prefix = run.run_id.partition(":")[0]
        mode = prefix if ":" in run.run_id and prefix in self.modes else DEFAULT_MODE
        wanted = run.details.get("run_mode")
        if wanted and wanted != mode:
            raise InvalidArgument(f"run_id: {run.run_id!r} is no id of run_mode {wanted!r}")
        return mode

    def _log_in(self, api_url: str, user: str, password: str) -> Flow[Token]:
        api = self._api(api_url, NoAuth())
        request = Request("POST", api_url + LOGIN, form={"username": user, "password": password})
        try:
            body = answers.response_of((yield from api.read(request, "logging in")))
        except ServerUnavailable as error:
            if LICENSE_EXPIRED not in str(error):
                raise
            cause = "The licence of Team Studio has expired; no user can log in until the licence is renewed. "
            raise error.become(PermissionDenied, cause) from error
        session = body.get("session_id")
        if not isinstance(session, str) or not session:
            raise api.unreadable(request, Response(201), "logging in", "the answer has no session_id")
        # A session slides: it ends after some hours without a call, which the server tells by a 401 [src].
        # Nothing here logs out: the engine calls back with the session of the user while a run is going.
        return Token(session)


def _with_session(engine_url: str, request: Request, session: str) -> Request:
    """Send the session: the engine reads the header [api], Chorus the parameter [src].

    Chorus gets both, since newer releases may read the header (unverified). The engine's calls spare the parameter:
    a query stands in the access log of every proxy on the way.
    """
    signed = request.with_headers(**{"x-token": session})
    if request.url.startswith(engine_url):
        return signed
    return replace(signed, params={**(request.params or {}), "session_id": session})


def _path(text: str) -> str:
    return "/" + text.strip("/") if text.strip("/") else ""

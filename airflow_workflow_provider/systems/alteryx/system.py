"""Alteryx Server: a run is a job of an app.

Servers since 2022.1 take OAuth 2 only; V3 starts and watches jobs there, and V1 still gives their output. Servers up
to 2021.4 take OAuth 1.0a and V1. Sources: [v3] the server's own Swagger page of V3, [v1] its API page of V1,
[help] https://help.alteryx.com (Server, API). ``unverified`` marks what none of them says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    CancelNotSupported,
    InvalidArgument,
    ProtocolError,
    RequestRejected,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.api import Api, is_page
from airflow_workflow_provider.protocol.capabilities import CanCancel
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Request, Response, RunList, Shown
from airflow_workflow_provider.protocol.model import Output, Run, RunState, Workflow
from airflow_workflow_provider.protocol.paging import OffsetPages, Row, read_pages
from airflow_workflow_provider.protocol.parameters import Fingerprint, Parameters
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.protocol.run_log import Cursor, LogPage
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.protocol.times import time_or_none
from airflow_workflow_provider.systems.alteryx import jobs, log
from airflow_workflow_provider.systems.alteryx.access import AUTHS, FIELDS, GENERATIONS, LABEL
from airflow_workflow_provider.systems.alteryx.form import FORM
from airflow_workflow_provider.systems.alteryx.run_list import dated, is_past, jobs_of, rows_of, shown

WITH_MESSAGES, WITHOUT_MESSAGES = {"includeMessages": "true"}, {"includeMessages": "false"}  # [v1, v3]
LONGEST_ANSWER = 4_000  # bytes of the answer to an upload
PAGE = 100  # jobs asked for at once; the server's own limit is unverified


class AlteryxSystem(WorkflowSystem):
    """Alteryx Server's API under one Airflow connection."""

    key = "alteryx"
    label = LABEL
    default_conn_id = "alteryx_default"
    form = FORM
    states = jobs.STATES
    poll_interval = 10.0
    start_options = frozenset({"priority", "worker_tag", "credential_id", "check_questions"})
    repeats = True

    def __init__(self, values: ConnectionValues) -> None:
        super().__init__(values)
        base_url = values.base_url()
        scheme = values.choice("auth", tuple(GENERATIONS), "oauth2")
        self.paths, self.oauth1 = GENERATIONS[scheme], scheme == "oauth1"
        self.api_version = "V1" if self.oauth1 else "V3, and V1 for outputs"
        if not self.paths.can_cancel:
            self.lacks[CanCancel] = "Alteryx V1 has no API call that cancels a job; the job goes on"
        gallery = values.text("gallery_url")
        self.gallery_url = values.checked_url("gallery_url", gallery) if gallery else ""
        self.secrets = (values.secret("password", values.password),)
        key = values.secret("login", values.login)
        self.auth = AUTHS[scheme](values.conn_id, base_url, key, self.secrets)
        self.api = Api(self.conn_id, base_url, self.auth, jobs.said, self.secrets, LABEL, FIELDS)
        self._read_list = self._shown  # one object, however many runs wait
        self._order: Mapping[str, str] = self.paths.newest_first

    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Enqueue a job.

        Before that ``check_questions`` reads what would be an error too late: whether the workflow is an app, and
        whether the app has these questions, since the server may ignore names that it does not know.
        """
        questions = jobs.answers(parameters)
        if options.get("credential_id") and self.oauth1:
            raise InvalidArgument("credential_id: Alteryx takes it with OAuth 2 only")
        body = jobs.contract(questions, options, oauth1=self.oauth1)
        if options.get("check_questions", True):
            yield from self._check_app(workflow)
            if questions:
                yield from self._check(workflow, questions)
        request = Request("POST", self.api.url(self.paths.jobs, workflow=workflow), json=body)
        return (yield from self.send_start(self.api, request, workflow, jobs.job_id, self._seen))

    def get_run(self, run: Run) -> Flow[Run]:
        """Read the job."""
        run = run if run.url else replace(run, url=self.run_url(run))  # before the request, which shares the text
        document = yield from self._polled(run)
        yield from self.state_of(run, document.get("status"))
        return self._seen(run, {"disposition": None, **document})  # only lists may leave it out

    def run_list(self, run: Run) -> RunList | None:
        """Give the list of the app's jobs, if the app is known: a job does not tell it."""
        return RunList(run.workflow, self._read_list) if run.workflow else None

    def upload_input_file(self, workflow: str, name: str, content: bytes) -> Flow[str]:
        """Upload a file for a File Browse question; give the text that answers the question.

        V2 takes the fields ``file`` and ``name`` and answers with a text. What that holds is unverified.
        """
        files = {"file": (name, content), "name": (None, name.encode())}
        request = Request("POST", self.api.url(self.paths.input_files), files=files)
        doing = f"uploading the input file {name} for workflow {workflow}"
        response = yield from self.api.call(request, doing, Asked.WORKFLOW)
        try:
            answer = response.json()
        except ValueError:
            answer = response.text(LONGEST_ANSWER)
        text = answer if isinstance(answer, str) else ""
        if not text.strip() or is_page(response):
            raise self.api.unreadable(request, response, doing, "the answer is no text")
        return text.strip()

    def conclude(self, run: Run) -> Flow[Run]:
        """Ask for the messages of a job that failed, where the server leaves them out unless asked."""
        if run.state is not RunState.FAILED or run.message:
            return run
        asked = self._seen(run, (yield from self._job(run, WITH_MESSAGES)))
        nothing = f"Alteryx gives the disposition {run.details.get('disposition')!r} and no message"
        return replace(asked, message=asked.message or nothing)

    def read_log(self, run: Run, cursor: Cursor) -> Flow[LogPage]:
        """Read the messages of the job; a job's answer holds all of them each time."""
        return log.page((yield from self._job(run, WITH_MESSAGES)), cursor)

    def cancel(self, run: Run) -> Flow[None]:
        """Delete the job, which stops it: servers since 2025.1 can [help], others answer 404 or 405 (unverified)."""
        request = Request("DELETE", self._job_url(run))
        yield from self.send_cancel(self.api, request, run, f"cancelling job {run.run_id}")

    def cancel_refused(self, run: Run, error: WorkflowError) -> WorkflowError:
        """A server that lacks the call answers as for a job that is gone, but this job goes on."""
        if error.status not in (404, 405):
            return super().cancel_refused(run, error)
        return CancelNotSupported(
            f"this Alteryx Server cannot cancel (2025.1 and newer can); job {run.run_id} goes on: {error}",
            status=error.status,
        )

    def list_workflows(self) -> Flow[list[Workflow]]:
        """List the apps that the key may see."""
        return (yield from self._listed({}))

    def list_workflows_named(self, name: str) -> Flow[list[Workflow]]:
        """List the apps whose name fits; the server searches, the caller compares."""
        return (yield from self._listed({self.paths.search: name}))

    def find_runs(self, workflow: str, since: datetime | None = None) -> Flow[list[Run]]:
        """List the app's jobs. V1 knows those that its API started, and V3's list lacks what tells success."""
        return (yield from self._judged((yield from self.list_runs(workflow, since))))

    def find_started(
        self, workflow: str, parameters: Parameters | Fingerprint, options: Mapping[str, Any], since: datetime
    ) -> Flow[list[Run]]:
        """List the app's jobs since then; raises `NotSupported` where the list does not tell when each was created."""
        return (yield from self._judged(dated((yield from self.list_runs(workflow, since)))))

    def list_runs(self, workflow: str, since: datetime | None = None) -> Flow[list[Run]]:
        """List the app's jobs as the list itself shows them; with ``since`` no more pages than it takes."""
        request = Request("GET", self.api.url(self.paths.jobs, workflow=workflow), params=self._order)
        doing, pages = f"listing the jobs of workflow {workflow}", OffsetPages(PAGE)

        def until(rows: Sequence[Row]) -> bool:
            return since is not None and is_past([self._of(workflow, row) for row in rows if row.get("id")], since)

        def listed(request: Request) -> Flow[list[Row]]:
            return read_pages(self.api, request, doing, paginator=pages, rows_of=jobs_of, until=until)

        try:
            rows = yield from listed(request)
        except RequestRejected as error:
            if error.status != 400 or not self._order:
                raise
            rows = yield from listed(request.changed(params={}))
            self._order = {}  # this server does not know these words
        # A job that is started meanwhile moves others to the next page, so a job may come twice.
        found = {str(row["id"]): self._seen(self._of(workflow, row), row) for row in rows if row.get("id")}
        kept = [run for run in found.values() if since is None or not run.started_at or run.started_at >= since]
        return sorted(kept, key=lambda run: run.started_at.timestamp() if run.started_at else 0.0, reverse=True)

    def read(self, run: Run, output: Output) -> FileSource:
        """Download an output through V1, in the best of the formats that the server lists for it.

        The address is made from the ids of job and file: the location of a run object may lead anywhere.
        """
        kept = self._file(run, output)
        word, kind = jobs.best_format(kept.get("formats", ()), output.name)
        url = self.api.url(self.paths.output, run_id=run.run_id, output=kept["id"])
        request = Request("GET", url, params={"format": word}, headers={"Accept": "*/*"}, stream=True)
        doing = f"reading output {output.name!r} of job {run.run_id}"
        return FileSource(kind, lambda: self.api.call(request, doing, Asked.OUTPUT))

    def run_url(self, run: Run) -> str:
        """Give the page of the app, whose address in the Gallery is unverified, or the address of the job."""
        job = self._job_url(run)
        has_page = self.gallery_url and run.workflow
        url = f"{self.gallery_url}/#!app/run/{quote(run.workflow, safe='')}" if has_page else job
        return run.url if run.url == url else url

    def _job_url(self, run: Run) -> str:
        url = self.api.url(self.paths.job, run_id=run.run_id)
        return run.url if run.url == url else url  # the same object, to save memory with thousands of jobs

    def output_location(self, run: Run, output: Output) -> str:
        """Give the address of an output file from the ids of job and file."""
        try:
            return self.api.url(self.paths.output, run_id=run.run_id, output=self._file(run, output)["id"])
        except InvalidArgument:
            return ""

    def _file(self, run: Run, output: Output) -> Mapping[str, Any]:
        """Give id and formats of an output file: as the job's answer had them, else the id that ends the location."""
        told = run.details.get("files")
        files = [item for item in told if isinstance(item, Mapping)] if isinstance(told, (list, tuple)) else []
        file_id = unquote(urlsplit(output.location).path.rstrip("/").rpartition("/")[2])
        found = next((item for item in files if str(item.get("id")) == file_id), None) or next(
            (item for item in files if item.get("name") == output.name), {}
        )
        formats = found.get("formats")
        words = [word for word in formats if isinstance(word, str)] if isinstance(formats, (list, tuple)) else []
        return {"id": str(found.get("id") or file_id), "formats": words}

    def test(self) -> Flow[str]:
        """Look for an app of an unlikely name: it needs good credentials and moves little."""
        yield from self._listed({self.paths.search: "airflow connection test"})
        return f"Alteryx accepts the credentials ({'OAuth 1, V1' if self.oauth1 else 'OAuth 2, V3'})"

    def _judged(self, found: list[Run]) -> Flow[list[Run]]:
        """Ask for the jobs that are over and of which the list does not tell whether they went well."""
        for index, run in enumerate(found):
            if run.state.is_terminal and not run.details.get("disposition"):
                found[index] = yield from self.get_run(run)
        return found

    def _shown(self, workflow: str, wanted: Collection[str]) -> Flow[Shown]:
        return shown(self.api, self.paths, workflow, wanted)

    def _check(self, workflow: str, questions: list[dict[str, str]]) -> Flow[None]:
        request = Request("GET", self.api.url(self.paths.questions, workflow=workflow))
        document = yield from self.api.read(request, f"reading the questions of workflow {workflow}", Asked.WORKFLOW)
        known = [str(row.get("name")) for row in rows_of(document)]
        unknown = [question["name"] for question in questions if question["name"] not in known]
        if unknown:
            raise InvalidArgument(
                f"query_parameters: workflow {workflow} has no question {unknown[0]!r}; it has: {self.api.told(known)}"
            )

    def _check_app(self, workflow: str) -> Flow[None]:
        """Refuse a workflow that is no app: only apps can be run through the API [v3]. V1 has no call that says so."""
        if not self.paths.workflow:
            return
        request = Request("GET", self.api.url(self.paths.workflow, workflow=workflow))
        try:
            document = yield from self.api.read(request, f"reading workflow {workflow}", Asked.WORKFLOW)
        except (AuthenticationFailed, WorkflowNotFound, RequestRejected, ProtocolError):
            return  # the start itself will say what is wrong
        kind = jobs.package_type(document)
        if kind and kind.lower() != "app":
            raise InvalidArgument(
                f"workflow: {workflow} is of the type {self.api.told([kind])!r}, and only apps can be run through "
                "the API; publish it as an analytic app. check_questions=False leaves this check out."
            )

    def _polled(self, run: Run) -> Flow[Mapping[str, Any]]:
        """Read the job without its messages; as a whole if it is over and something else lacks as well.

        Without messages the server gives a reduced object [help]; which fields it keeps is unverified.
        """
        document = yield from self._job(run, WITHOUT_MESSAGES)
        is_enough = jobs.goes_on(document) or document.keys() >= {"disposition", "outputs"}
        return document if is_enough else (yield from self._job(run, WITH_MESSAGES))

    def _job(self, run: Run, params: Mapping[str, str] | None = None) -> Flow[Mapping[str, Any]]:
        request = Request("GET", self._job_url(run), params=params)
        doing = f"reading the status of job {run.run_id}"
        document = yield from self.api.read(request, doing, Asked.RUN)
        if not isinstance(document, Mapping) or "status" not in document:
            raise self.api.unreadable(request, Response(200), doing, "the answer is not a job")
        return document

    def _seen(self, run: Run, document: Mapping[str, Any]) -> Run:
        files = jobs.files(document)
        outputs = [
            Output(
                file["name"],
                "file",
                self.api.url(self.paths.output, run_id=run.run_id, output=file["id"]),
                tuple(word.lower() for word in file["formats"]),
            )
            for file in files
        ]
        return jobs.seen(replace(run, url=self.run_url(run), outputs=tuple(outputs)), document, files)

    def _of(self, workflow: str, row: Mapping[str, Any]) -> Run:
        created = time_or_none(row.get("createDate") or row.get("createDateTime"))
        return Run("alteryx", self.conn_id, workflow, str(row["id"]), started_at=created)

    def _listed(self, params: Mapping[str, str]) -> Flow[list[Workflow]]:
        request = Request("GET", self.api.url(self.paths.workflows), params=params)
        document = yield from self.api.read(request, "listing workflows")
        return [Workflow(str(row["id"]), jobs.name_of(row), dict(row)) for row in rows_of(document) if row.get("id")]

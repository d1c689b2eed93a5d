"""A workflow system by declaration: one small table per call of a REST API with JSON.

A subclass of `RestSystem` says where each call is, what it sends, and where the answer holds what is needed; the tables
are in `rest_calls`. A mistake in the declaration is one `InvalidDeclaration` when the class is made. Anything unusual
is a method to override.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, ClassVar, Literal
from urllib.parse import quote, unquote, urljoin, urlsplit
from uuid import uuid4

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    OutputGone,
    OutputUnavailable,
    RequestRejected,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.api import Api, first_text, path
from airflow_workflow_provider.protocol.auth import NoAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues, origin_of
from airflow_workflow_provider.protocol.documents import exact_document
from airflow_workflow_provider.protocol.effects import Chunk, Flow, Note, Request, Response, Sleep
from airflow_workflow_provider.protocol.model import Output, Run, RunState, Workflow
from airflow_workflow_provider.protocol.paging import MAX_PAGES, REPEATED, place_of, read_pages
from airflow_workflow_provider.protocol.parameters import Fingerprint, Parameters, spelled
from airflow_workflow_provider.protocol.places import Place, found, shown
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.rest_auth import Anonymous, RestAuth
from airflow_workflow_provider.protocol.rest_calls import (
    FORMATS,
    IDEMPOTENCY_KEY,
    PARAMETERS,
    RUN_ID,
    WORKFLOW,
    Call,
    Cancel,
    FromHeader,
    InvalidDeclaration,
    ListRuns,
    ListWorkflows,
    Log,
    Marker,
    Outputs,
    Start,
    Status,
    Table,
    filled,
    placeholders,
    texts,
    word_of,
)
from airflow_workflow_provider.protocol.rest_mistakes import mistakes
from airflow_workflow_provider.protocol.results import FileSource, Page, RowSource, Source
from airflow_workflow_provider.protocol.retry import RETRY
from airflow_workflow_provider.protocol.run_log import Cursor, LogLine, LogPage, unseen
from airflow_workflow_provider.protocol.system import KEY_OPTION, WorkflowSystem, existing, id_text
from airflow_workflow_provider.protocol.times import iso, time_or_none

LOG_PAGES = 500  # of a log that is read
SAME_PAGES = 20  # equal pages in a row of a table, after which the server is taken to give one page for every place
RESENDS = 4  # times that a start is sent again whose repetition starts nothing


class RestSystem(WorkflowSystem):
    """A system whose API is declared: a subclass sets the fields of `WorkflowSystem` and a table for each call.

    ``start_call``, ``status_call`` and ``test_call`` are needed. Each of the others makes a capability. A class with
    ``is_base=True`` (``class House(RestSystem, is_base=True)``) holds what several systems share, and is not checked.
    """

    base_path: ClassVar[str] = ""
    """What stands between the connection's host and every path."""
    authentication: ClassVar[RestAuth] = Anonymous()
    start_call: ClassVar[Start]
    status_call: ClassVar[Status]
    test_call: ClassVar[Call]
    cancel_call: ClassVar[Cancel | None] = None
    list_runs_call: ClassVar[ListRuns | None] = None
    list_workflows_call: ClassVar[ListWorkflows | None] = None
    outputs_call: ClassVar[Outputs | None] = None
    log_call: ClassVar[Log | None] = None
    error_message: ClassVar[Place | None] = None
    """Place of the server's own words in the JSON body of an error; default the fields that most APIs have."""
    run_page: ClassVar[str] = ""
    """Path of a run's page for people below the host, with ``{workflow}`` and ``{run_id}``; default the status call."""

    def __init_subclass__(cls, *, is_base: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if is_base:
            return
        for reason in mistakes(cls):
            raise InvalidDeclaration(f"{cls.__module__}.{cls.__qualname__}.{reason}")
        cls.lists_parameters = bool(cls.list_runs_call and cls.list_runs_call.parameters)
        cls.keyed_start = _keyed_start(cls.start_call, cls.list_runs_call)
        if cls.keyed_start:
            cls.start_options = frozenset({*cls.start_options, KEY_OPTION})
            cls.lost_starts = "is found again by its idempotency key"
        for call, name, method in _CAPABILITIES:
            if getattr(cls, call) is None:
                if getattr(cls, name, None) is method:  # a base class has declared the call, this one takes it away
                    setattr(cls, name, None)
            elif getattr(cls, name, None) is None:
                setattr(cls, name, method)

    def __init__(self, values: ConnectionValues) -> None:
        super().__init__(values)
        host, fields = values.base_url(), self.authentication.fields
        bare = Api(self.conn_id, host, NoAuth(), self.describe, (), self.label, fields)
        self.auth, self.secrets = self.authentication.make(values, bare)
        bare.secrets = self.secrets
        self.plain_api = bare
        """Sends requests without credentials: those for files at other hosts."""
        self.api = Api(self.conn_id, host + self.base_path, self.auth, self.describe, self.secrets, self.label, fields)

    def describe(self, response: Response) -> str:
        """Read the server's own words from the body of an error; override it where they stand elsewhere."""
        body = response.json_or_none()
        if self.error_message is not None and (words := first_text([found(body, self.error_message)])):
            return words
        if not isinstance(body, Mapping):
            return body if isinstance(body, str) else ""
        names = ("detail", "message", "error_description", "error", "title", "errors")
        return first_text(body.get(name) for name in names)

    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Send the call that starts a run."""
        given = options.get(KEY_OPTION)
        call, key = self.start_call, str(given or uuid4())
        if call.form is PARAMETERS and not isinstance(parameters or {}, Mapping):
            raise InvalidArgument(f"query_parameters: {self.label} takes a mapping")
        known = {WORKFLOW: workflow, PARAMETERS: spelled(parameters or {}), IDEMPOTENCY_KEY: key}
        request = self.request(call, workflow=workflow, key=key, known=known, options=options)
        is_ours = call.run_id is IDEMPOTENCY_KEY

        try:
            return (yield from self._sent(request, workflow, key))
        except UnknownStart as error:
            lost = error
        except RequestRejected as error:
            # A conflict with a key that the caller gave: an earlier try may have started this very run.
            if not (is_ours and given and error.status == 409):
                raise
            return (yield from self._run_in_conflict(workflow, key, error))
        if is_ours:
            return (yield from self._started_after_all(workflow, key, lost))
        if not call.is_idempotent:
            raise lost
        for failures in range(1, RESENDS + 1):
            yield Note("The answer to the start was lost; the start is sent again with the same key", "warning")
            yield Sleep(RETRY.delay(failures))
            try:
                return (yield from self._sent(request, workflow, key))
            except UnknownStart as error:
                lost = error
        raise lost

    def _sent(self, request: Request, workflow: str, key: str) -> Flow[Run]:
        """Send the start, and give the run with what its answer tells."""
        place, refused, in_answer = self.start_call.run_id, self.start_call.refused, None
        if isinstance(place, FromHeader):
            in_answer = place.read

        def run_id(document: Any) -> Any:
            return key if place is IDEMPOTENCY_KEY else found(document, place)

        def seen(run: Run, document: Any) -> Run:
            record = found(document, self.status_call.record)
            return self.seen(run, document if record is None else record)

        has_document = in_answer is None and place is not IDEMPOTENCY_KEY
        run = yield from self.send_start(
            self.api,
            request,
            workflow,
            run_id,
            seen,
            has_document=has_document,
            in_answer=in_answer,
            place=f" where {self.declared('start_call.run_id')} says, at {_shown(place)}",
            refused=None if refused is None else lambda response: _words(found(response.json_or_none(), refused)),
        )
        return (yield from self._completed(run))

    def _started_after_all(self, workflow: str, key: str, error: UnknownStart) -> Flow[Run]:
        """Look for the run whose id the start has chosen, once: it is there, or the start stays unknown."""
        try:
            run = yield from self._run_of_key(workflow, key)
        except WorkflowError:
            raise error from None
        if run is None:
            raise error
        yield Note(f"The answer to the start was lost; {self.label} has the run {key}", "warning")
        return run

    def _run_of_key(self, workflow: str, key: str) -> Flow[Run | None]:
        """Give the run whose id is the key of its start; None where there is none."""
        try:
            run = yield from self.get_run(Run(self.key, self.conn_id, workflow, key))
        except WorkflowNotFound:
            return None
        return (yield from self._completed(run))

    def _run_in_conflict(self, workflow: str, key: str, refused: RequestRejected) -> Flow[Run]:
        """Give the run that an earlier start with this key has left."""
        try:
            run = yield from self._run_of_key(workflow, key)
        except WorkflowError as error:
            raise error.become(UnknownStart, f"{self.label} has a run {key} already, which cannot be read. ") from error
        if run is None:
            raise refused
        return run

    def _completed(self, run: Run) -> Flow[Run]:
        """Give a run that no poll has seen with what a poll adds to one that has ended."""
        if not run.state.is_terminal:
            return run
        try:
            return (yield from self.look(run))
        except WorkflowError:  # the next poll says how it is
            return replace(run, state=RunState.RUNNING, message="", ended_at=None)

    def get_run(self, run: Run) -> Flow[Run]:
        """Read a run."""
        call, doing = self.status_call, f"reading the status of run {run.run_id}"
        request = self.request(call, workflow=run.workflow, run_id=run.run_id)
        if call.rows is None:
            document = found((yield from self.api.read(request, doing, Asked.RUN)), call.record)
        else:
            rows = yield from self.rows(call, doing, run.workflow, run.run_id, whole=True)
            listed = [row for row in rows if id_text(found(row, call.id)) == run.run_id]
            if not listed:
                raise WorkflowNotFound(f"{self.label} does not list run {run.run_id}.\n  request: {request}")
            document = listed[0]
        word = word_of(found(document, call.state))
        if not word:
            where = f"where {self.declared('status_call.state')} says, at {_shown(call.state)}"
            raise self.api.unreadable(request, Response(200), doing, f"the answer has no state of a run {where}")
        yield from self.state_of(run, word)
        return self.seen(run, document)

    def find_started(
        self, workflow: str, parameters: Parameters | Fingerprint, options: Mapping[str, Any], since: datetime
    ) -> Flow[list[Run]]:
        """List the runs that a lost start may have left: the one of its key, else those with the same parameters."""
        call, key = self.list_runs_call, options.get(KEY_OPTION)
        if key and self.start_call.run_id is IDEMPOTENCY_KEY:
            run = yield from self._run_of_key(workflow, str(key))
            return [run] if run else []
        if key and call and call.key is not None:
            pairs = yield from self._listed(workflow, since, whole=True)
            return (yield from self._all_completed(run for run, row in pairs if str(found(row, call.key)) == str(key)))
        if call is None or call.parameters is None:
            return (yield from super().find_started(workflow, parameters, options, since))
        wanted = parameters if isinstance(parameters, Fingerprint) else Fingerprint.of(self.sent_form(parameters))
        pairs = yield from self._listed(workflow, since, whole=True)
        fitting = (run for run, row in pairs if wanted.matches(found(row, call.parameters) or {}))
        return (yield from self._all_completed(fitting))

    def _all_completed(self, runs: Iterable[Run]) -> Flow[list[Run]]:
        completed: list[Run] = []
        for run in runs:
            completed += [(yield from self._completed(run))]
        return completed

    def _listed(self, workflow: str, since: datetime | None, *, whole: bool = False) -> Flow[list[tuple[Run, Any]]]:
        """List the runs of a workflow, newest first, each with its row; a run that two pages show is listed once."""
        call = self.list_runs_call
        if call is None:
            return []
        params = {call.since: iso(since) or ""} if call.since and since else {}
        doing = f"listing the runs of workflow {workflow}"
        rows = yield from self.rows(call, doing, workflow, params=params, whole=whole)
        pairs = {
            run_id: (self.seen(Run(self.key, self.conn_id, workflow, run_id), row), row)
            for row in rows
            if (run_id := id_text(found(row, call.run_id)))
            and (call.workflow is None or id_text(found(row, call.workflow)) == workflow)
        }
        kept = [
            (run, row) for run, row in pairs.values() if since is None or not run.started_at or run.started_at >= since
        ]
        return sorted(
            kept, key=lambda pair: pair[0].started_at.timestamp() if pair[0].started_at else 0.0, reverse=True
        )

    def conclude(self, run: Run) -> Flow[Run]:
        """Add the outputs of a run that succeeded."""
        if run.state is not RunState.SUCCEEDED or self.outputs_call is None:
            return run
        try:
            return replace(run, outputs=tuple((yield from self.outputs(run))))
        except WorkflowNotFound:
            return run

    def seen(self, run: Run, document: Any) -> Run:
        """Bring what the answer about a run tells into it."""
        call = self.status_call
        word = word_of(found(document, call.state))
        state = self.states.get(word, RunState.RUNNING if word else run.state)
        told = found(document, call.message) if call.message else None
        details = {
            name: json.loads(json.dumps(value, default=str))
            for name, place in call.details.items()
            if (value := found(document, place)) is not None
        }
        started_at = time_or_none(found(document, call.started_at)) if call.started_at else None
        ended_at = time_or_none(found(document, call.ended_at)) if call.ended_at else None
        return replace(
            run,
            state=state,
            message=first_text([told]) if state in (RunState.FAILED, RunState.CANCELLED) else "",
            url=self.run_url(run),
            started_at=started_at or run.started_at,
            ended_at=ended_at if state.is_terminal else None,
            details={**run.details, **details},
        )

    def run_url(self, run: Run) -> str | None:
        """Give the page of a run, or the address of its status."""
        values = self._ids(self.run_page or self.status_call.path, run.workflow, run.run_id)
        if values is None:
            return None
        if self.run_page:
            return self.api.base_url.removesuffix(self.base_path) + path(self.run_page, **values)
        return self.api.url(self.status_call.path, **values)

    def test(self) -> Flow[str]:
        """Send the call that shows whether the credentials are good."""
        yield from self.api.read(self.request(self.test_call), "testing the connection")
        return f"{self.label} accepts the credentials"

    def outputs(self, run: Run) -> Flow[list[Output]]:
        """List the outputs of a run."""
        call = self.outputs_call
        if call is None:
            return []
        if call.only:
            kind, word = ("table", "jsonl") if call.table else ("file", str(call.format))
            output = Output(call.only, kind, "", (word,))
            return [replace(output, location=self.output_location(run, output))]
        made = []
        for row in (yield from self._output_rows(run)):
            output_id, name = id_text(found(row, call.id)), id_text(found(row, call.name))
            if not (output_id or name):
                continue
            word = found(row, call.format) if callable(call.format) else call.format
            kind, word = ("table", "jsonl") if call.table else ("file", word if word in FORMATS else "raw")
            output = Output(name or output_id, kind, quote(output_id or name, safe=""), (word,))
            made.append(replace(output, location=self.output_location(run, output)))
        return made

    def _output_rows(self, run: Run) -> Flow[list[Any]]:
        doing = f"listing the outputs of run {run.run_id}"
        return (yield from self.rows(self.outputs_call, doing, run.workflow, run.run_id, whole=True))

    def output_location(self, run: Run, output: Output) -> str:
        """Give the address of an output from the ids of run and output; where it has none of its own, its id."""
        call = self.outputs_call
        if call is None:
            return ""
        if call.url is not None:
            return quote(_last_part(output), safe="")
        template = call.table.path if call.table else call.file
        values = self._ids(template, run.workflow, run.run_id)
        try:
            return "" if values is None else self.api.url(template, **values, output=_last_part(output))
        except InvalidArgument:
            return ""

    def read(self, run: Run, output: Output) -> Source:
        """Read an output: a file, or JSON in pages."""
        call, location = self.outputs_call, self.output_location(run, output)
        if call is None or not location or (call.only and output.name != call.only):
            raise OutputUnavailable(f"Run {run.run_id} of {self.label} has no output {output.name!r} that can be read.")
        doing = f"reading output {output.name!r} of run {run.run_id}"
        if call.table:
            table = call.table
            return RowSource(lambda: existing(self._pages(table, location, doing), run, output))
        kind = output.formats[0] if output.formats and output.formats[0] in FORMATS else "raw"
        if call.url is not None:
            return FileSource(kind, lambda: existing(self._download(run, output, doing), run, output))
        request = Request("GET", location, headers={"Accept": "*/*"}, stream=True)
        return FileSource(kind, lambda: self.api.call(request, doing, Asked.OUTPUT))

    def _download(self, run: Run, output: Output, doing: str) -> Flow[Response]:
        """Ask for the address of a file and download it; only the API's own server gets the credentials."""
        call = self.outputs_call
        assert call is not None  # `read` has looked
        wanted = _last_part(output)
        rows = yield from self._output_rows(run)
        named = [row for row in rows if wanted == (id_text(found(row, call.id)) or id_text(found(row, call.name)))]
        address = found(named[0], call.url) if named else None
        if not isinstance(address, str) or not address:
            raise OutputGone(f"Run {run.run_id} of {self.label} has no output {output.name!r} any more.")
        address = urljoin(f"{self.api.base_url}/", address)
        request = Request("GET", address, headers={"Accept": "*/*"}, stream=True)
        if origin_of(address) == origin_of(self.api.base_url):
            return (yield from self.api.call(request, doing, Asked.OUTPUT))
        return (yield from self.plain_api.download(request, doing))

    def _pages(self, table: Table, location: str, doing: str) -> Flow[None]:
        """Hand out the rows of a table page by page; the columns are those of the first page that has rows."""
        following: Request | None = table.paginator.first(Request("GET", location, exact=True))
        columns: list[tuple[str, str]] = []
        visited, before, repeats = set[bytes](), b"", 0
        while following is not None:
            asked = following
            visited.add(blake2b(place_of(asked).encode(errors="replace"), digest_size=16).digest())
            response = yield from self.api.call(asked, doing, Asked.OUTPUT)
            if table.is_lines:
                document = rows = self._objects(asked, response, doing)
            else:
                document = self.api.document(asked, response, doing, exact=True)
                rows = found(document, table.rows)
            if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
                raise self.api.unreadable(asked, Response(200), doing, "the answer has no list of objects")
            columns = columns or [(name, "any") for name in dict.fromkeys(name for row in rows for name in row)]
            digest = blake2b(response.body).digest()
            repeats = repeats + 1 if digest == before and any(row != rows[0] for row in rows) else 0
            before = digest
            following = table.paginator.after(asked, response, document, len(rows)) if rows else None
            place = None if following is None else place_of(following).encode(errors="replace")
            if repeats >= SAME_PAGES or (place and blake2b(place, digest_size=16).digest() in visited):
                raise self.api.unreadable(asked, Response(200), doing, REPEATED)
            yield Chunk(Page(columns, rows))

    def _objects(self, request: Request, response: Response, doing: str) -> list[Any]:
        """Read an answer that has a JSON document in each line."""
        rows = []
        for number, line in enumerate(response.body.split(b"\n"), 1):
            if line.strip():
                try:
                    rows.append(exact_document(line))
                except ValueError:
                    raise self.api.unreadable(
                        request, response, doing, f"line {number} of the answer is not JSON"
                    ) from None
        return rows

    def request(
        self,
        call: Call,
        *,
        workflow: str = "",
        run_id: str = "",
        key: str = "",
        known: Mapping[Marker, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Request:
        """Make the request of a call; a path that needs an id which is not known is `InvalidArgument`."""
        values = {name: value for name, value in (("workflow", workflow), ("run_id", run_id), ("key", key)) if value}
        for name in placeholders(call.path):
            if name not in values:
                raise InvalidArgument(f"{name}: {self.label} knows a run by its workflow and its id; pass {name}=")
        facts, given = {WORKFLOW: workflow, RUN_ID: run_id, **(known or {})}, options or {}
        url = self.api.url(call.path, **{name: values[name] for name in placeholders(call.path)})
        return Request(
            call.method,
            url,
            params=texts(filled(call.params, facts, given)) or None,
            headers=texts(filled(call.headers, facts, given)),
            json=filled(call.body, facts, given),
            form=None if call.form is None else texts(filled(call.form, facts, given)),
        )

    def _ids(self, template: str, workflow: str, run_id: str) -> dict[str, str] | None:
        values = {"workflow": workflow, "run_id": run_id}
        wanted = {name: values[name] for name in placeholders(template) if name in values}
        return wanted if all(wanted.values()) else None

    def rows(
        self,
        call: Any,
        doing: str,
        workflow: str = "",
        run_id: str = "",
        *,
        params: Mapping[str, str] | None = None,
        whole: bool = False,
        max_pages: int = MAX_PAGES,
        on_cut: Callable[[], None] = lambda: None,
    ) -> Flow[list[Any]]:
        """Read the list of a call with ``rows`` and ``paginator``, page by page.

        :param doing: what the request is for, as in "listing the tasks of run 7".
        :param params: more request parameters.
        :param whole: a list that has more than ``max_pages`` is `ProtocolError`; otherwise what follows is left out.
        :param max_pages: number of pages that are read.
        :param on_cut: is called where pages are left out.
        """
        request = self.request(call, workflow=workflow, run_id=run_id)
        if params:
            request = request.changed(params={**(request.params or {}), **params})

        def rows_of(asked: Request, document: Any) -> Sequence[Any]:
            rows = found(document, call.rows)
            if not isinstance(rows, list):
                where = f" at {_shown(call.rows)}" if call.rows else ""
                raise self.api.unreadable(asked, Response(200), doing, f"the answer has no list{where}")
            return rows

        return (
            yield from read_pages(
                self.api,
                request,
                doing,
                paginator=call.paginator,
                rows_of=rows_of,
                whole=whole,
                max_pages=max_pages,
                on_cut=on_cut,
            )
        )


def _keyed_start(start: Start, listed: ListRuns | None) -> Literal["", "found", "repeated"]:
    """Say how a lost start is resolved by its key: see `WorkflowSystem.keyed_start`."""
    if start.run_id is IDEMPOTENCY_KEY or (listed is not None and listed.key is not None):
        return "found"
    return "repeated" if start.is_idempotent else ""


def _cancel(self: RestSystem, run: Run) -> Flow[None]:
    """Send the call that stops a run."""
    call = self.cancel_call
    assert call is not None  # the class has this method only where it has the call
    request = self.request(call, workflow=run.workflow, run_id=run.run_id)
    if call.looks_first and (yield from self.has_ended(run)):
        return
    taken = call.taken
    check = None if taken is None else lambda response: bool(found(response.json_or_none(), taken))
    yield from self.send_cancel(self.api, request, run, taken=check)


def _find_runs(self: RestSystem, workflow: str, since: datetime | None = None) -> Flow[list[Run]]:
    """List the runs of a workflow, newest first."""
    return [run for run, _ in (yield from self._listed(workflow, since))]


def _list_workflows(self: RestSystem) -> Flow[list[Workflow]]:
    """List workflows."""
    call = self.list_workflows_call
    assert call is not None  # as above
    rows = yield from self.rows(call, "listing workflows")
    made = []
    for row in rows:
        if workflow_id := id_text(found(row, call.id)):
            details = row if isinstance(row, Mapping) else {}
            made.append(Workflow(workflow_id, id_text(found(row, call.name)), dict(details)))
    return made


def _read_log(self: RestSystem, run: Run, cursor: Cursor = None) -> Flow[LogPage]:
    """Read the log; the API gives it whole each time."""
    call = self.log_call
    assert call is not None  # as above
    doing = f"reading the log of run {run.run_id}"
    if call.is_text:
        request = self.request(call, workflow=run.workflow, run_id=run.run_id)
        response = yield from self.api.call(request.with_headers(Accept="*/*"), doing)
        return unseen([LogLine(None, "info", line) for line in response.text().splitlines()], cursor)
    cut: list[str] = []
    rows = yield from self.rows(
        call,
        doing,
        run.workflow,
        run.run_id,
        max_pages=LOG_PAGES,
        on_cut=lambda: cut.append(f"The log has more than {LOG_PAGES} pages; what follows is left out"),
    )
    page = unseen([line_of(row, call) for row in rows], cursor)
    if not cut:
        return page
    is_said = isinstance(cursor, Mapping) and cursor.get("cut") is True
    return replace(page, cursor={**page.cursor, "cut": True}, note=page.note if is_said else cut[0])


_CAPABILITIES: Sequence[tuple[str, str, Callable[..., Any]]] = (
    ("cancel_call", "cancel", _cancel),
    ("list_runs_call", "find_runs", _find_runs),
    ("list_workflows_call", "list_workflows", _list_workflows),
    ("log_call", "read_log", _read_log),
)
_LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "critical": "error",
}


def line_of(row: Any, call: Log) -> LogLine:
    """Make a log line from a row; a level may be a word, or a number as Python's logging has it."""
    level = found(row, call.level) if call.level else None
    if isinstance(level, int) and not isinstance(level, bool):
        word = "error" if level >= 40 else "warning" if level >= 30 else "info" if level >= 20 else "debug"
    else:
        word = _LEVELS.get(str(level or "").lower(), "info")
    time = time_or_none(found(row, call.time)) if call.time else None
    text = found(row, call.text)
    return LogLine(time, word, text if isinstance(text, str) else "" if text is None else str(text))


def _shown(place: Any) -> str:
    """Spell a place of an answer for people."""
    if isinstance(place, FromHeader):
        return f"header {place.name!r}"
    return shown(place)


def _words(value: Any) -> str:
    """Spell what an answer gives as the reason of a refusal; empty text where there is none."""
    return first_text([value]) or ("" if value in (None, False, "", [], {}) else json.dumps(value, default=str))


def _last_part(output: Output) -> str:
    """Give the id of an output: the end of its location, whatever else stands there, or its name."""
    try:
        last = unquote(urlsplit(output.location).path.rstrip("/").rpartition("/")[2])
    except ValueError:
        last = ""
    return last or output.name

"""A workflow system by declaration: one small table per call of a REST API with JSON.

A subclass of `RestSystem` says where each call is, what it sends, and where the answer holds what is needed. A mistake
in the declaration is one `InvalidDeclaration` when the class is made. Anything unusual is a method to override.

A place in an answer is a dotted path (``"state.type"``, ``"items.0.id"``), or a callable that is given the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from string import Formatter
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    OutputUnavailable,
    RequestRejected,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.api import Api, first_text
from airflow_workflow_provider.protocol.auth import NoAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Note, Request, Response, Sleep
from airflow_workflow_provider.protocol.form import Form
from airflow_workflow_provider.protocol.model import Output, Run, RunState, Workflow
from airflow_workflow_provider.protocol.paging import Paginator, SinglePage, read_pages
from airflow_workflow_provider.protocol.parameters import Fingerprint, Parameters, spelled
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.rest_auth import Anonymous, RestAuth
from airflow_workflow_provider.protocol.results import FileSource, Source
from airflow_workflow_provider.protocol.retry import RETRY
from airflow_workflow_provider.protocol.run_log import Cursor, LogLine, LogPage, unseen
from airflow_workflow_provider.protocol.system import WorkflowSystem, id_text, wrong_states
from airflow_workflow_provider.protocol.times import iso, time_or_none


class InvalidDeclaration(TypeError):
    """A class that declares a system is not complete, or contradicts itself; the text names class and field."""


@dataclass(frozen=True)
class _Marker:
    name: str


WORKFLOW = _Marker("the workflow's id")
PARAMETERS = _Marker("the parameters as JSON")
RUN_ID = _Marker("the run's id")
IDEMPOTENCY_KEY = _Marker("a key of this start")
NOW = _Marker("the time of the request")


@dataclass(frozen=True)
class Option:
    """In a body or among parameters: the value of a start option; it is left out where it is not given."""

    name: str


Place = str | Callable[[Any], Any]
RESENDS = 4  # times that a start is sent again whose repetition starts nothing
_ID_PLACES = frozenset({"workflow", "run_id"})


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: ``path`` below the base URL may hold ``{workflow}`` and ``{run_id}``; ``body`` is sent as JSON."""

    path: str
    method: str = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, kw_only=True)
class Start(Call):
    """The call that starts a run.

    ``run_id`` is the place of the run's id in the answer; `IDEMPOTENCY_KEY` where the start itself chooses it. Such a
    run is found again for certain when the answer to its start is lost. ``is_idempotent`` says that a start with the
    same `IDEMPOTENCY_KEY` gives the same run again, so that a start whose answer was lost is sent once more.
    """

    run_id: Place | _Marker
    is_idempotent: bool = False
    method: str = "POST"


@dataclass(frozen=True, kw_only=True)
class Status(Call):
    """The call that reads a run: the places of the state's word and, if there are any, of message and times."""

    state: Place
    message: Place | None = None
    started_at: Place | None = None
    ended_at: Place | None = None
    details: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cancel(Call):
    """The call that stops a run. ``taken`` is given the answer's document and says whether the server took it."""

    method: str = "POST"
    taken: Callable[[Any], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class ListRuns(Call):
    """The call that lists the runs of a workflow; a row is read as the answer of `Status` is.

    ``rows`` is the place of the list, ``run_id`` that of a row's id, ``parameters`` that of what a run was started
    with. ``since`` is the name of a request parameter for the earliest start, if there is one.
    """

    rows: Place = ""
    run_id: Place = "id"
    parameters: Place | None = None
    since: str | None = None
    paginator: Paginator = field(default_factory=SinglePage)


@dataclass(frozen=True, kw_only=True)
class ListWorkflows(Call):
    """The call that lists workflows: the places of the list, and of a row's id and name."""

    rows: Place = ""
    id: Place = "id"
    name: Place = "name"
    paginator: Paginator = field(default_factory=SinglePage)


@dataclass(frozen=True, kw_only=True)
class Outputs(Call):
    """The call that lists a run's outputs, and the one that gives an output's file.

    ``file`` is a path that may hold ``{workflow}``, ``{run_id}`` and ``{output}``, the output's id. ``format`` says
    how the file is read: ``csv``, ``json``, ``jsonl``, ``yxdb`` or ``raw``, or the place of that word in a row.
    """

    rows: Place = ""
    id: Place = "id"
    name: Place = "name"
    file: str
    format: str | Callable[[Any], str] = "raw"
    paginator: Paginator = field(default_factory=SinglePage)


@dataclass(frozen=True, kw_only=True)
class Log(Call):
    """The call that gives a run's whole log: the places of the list, and of a row's text, time and level."""

    rows: Place = ""
    text: Place = "message"
    time: Place | None = None
    level: Place | None = None
    paginator: Paginator = field(default_factory=SinglePage)


class RestSystem(WorkflowSystem):
    """A system whose API is declared: a subclass sets the fields of `WorkflowSystem` and a table for each call.

    ``start_call``, ``status_call`` and ``test_call`` are needed. Each of the others makes a capability.
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
    run_page: ClassVar[str] = ""
    """Path of a run's page for people below the host, with ``{workflow}`` and ``{run_id}``; default the status call."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for reason in _mistakes(cls):
            raise InvalidDeclaration(f"{cls.__module__}.{cls.__qualname__}.{reason}")
        cls.lists_parameters = bool(cls.list_runs_call and cls.list_runs_call.parameters)
        for call, name, method in _CAPABILITIES:
            if getattr(cls, call) is not None and not hasattr(cls, name):
                setattr(cls, name, method)

    def __init__(self, values: ConnectionValues) -> None:
        super().__init__(values)
        host, fields = values.base_url(), self.authentication.fields
        bare = Api(self.conn_id, host, NoAuth(), self.describe, (), self.label, fields)
        self.auth, self.secrets = self.authentication.make(values, bare)
        bare.secrets = self.secrets
        self.api = Api(self.conn_id, host + self.base_path, self.auth, self.describe, self.secrets, self.label, fields)

    def describe(self, response: Response) -> str:
        """Read the server's own words from the body of an error; override it where they stand elsewhere."""
        body = response.json_or_none()
        if not isinstance(body, Mapping):
            return body if isinstance(body, str) else ""
        names = ("detail", "message", "error_description", "error", "title", "errors")
        return first_text(body.get(name) for name in names)

    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Send the call that starts a run."""
        call, key = self.start_call, str(options.get("idempotency_key") or uuid4())
        known = {WORKFLOW: workflow, PARAMETERS: spelled(parameters or {}), IDEMPOTENCY_KEY: key}
        request = self.request(call, workflow=workflow, known=known, options=options)
        is_ours = call.run_id is IDEMPOTENCY_KEY

        def run_id(document: Any) -> Any:
            return key if is_ours else found(document, call.run_id)

        try:
            return (yield from self.send_start(self.api, request, workflow, run_id, self.seen))
        except UnknownStart as error:
            lost = error
        except RequestRejected as error:
            # A conflict with a key that the caller gave: an earlier try has started this very run.
            if not (is_ours and options.get("idempotency_key") and error.status == 409):
                raise
            return (yield from self.get_run(Run(self.key, self.conn_id, workflow, key)))
        if is_ours:
            return (yield from self._started_after_all(workflow, key, lost))
        if not call.is_idempotent:
            raise lost
        for failures in range(1, RESENDS + 1):
            yield Note("The answer to the start was lost; the start is sent again with the same key", "warning")
            yield Sleep(RETRY.delay(failures))
            try:
                return (yield from self.send_start(self.api, request, workflow, run_id, self.seen))
            except UnknownStart as error:
                lost = error
        raise lost

    def _started_after_all(self, workflow: str, key: str, error: UnknownStart) -> Flow[Run]:
        """Look for the run whose id the start has chosen, once: it is there, or the start stays unknown."""
        try:
            run = yield from self.get_run(Run(self.key, self.conn_id, workflow, key))
        except WorkflowError:
            raise error from None
        yield Note(f"The answer to the start was lost; {self.label} has the run {key}", "warning")
        return run

    def get_run(self, run: Run) -> Flow[Run]:
        """Read a run."""
        request = self.request(self.status_call, workflow=run.workflow, run_id=run.run_id)
        document = yield from self.api.read(request, f"reading the status of run {run.run_id}", Asked.RUN)
        if found(document, self.status_call.state) is None:
            doing = f"reading the status of run {run.run_id}"
            raise self.api.unreadable(request, Response(200), doing, "the answer has no state of a run")
        yield from self.state_of(run, found(document, self.status_call.state))
        return self.seen(run, document)

    def find_started(
        self, workflow: str, parameters: Parameters | Fingerprint, options: Mapping[str, Any], since: datetime
    ) -> Flow[list[Run]]:
        """List the runs that a lost start may have left; those with other parameters are left out where rows tell."""
        call = self.list_runs_call
        if call is None or call.parameters is None:
            return (yield from super().find_started(workflow, parameters, options, since))
        wanted = parameters if isinstance(parameters, Fingerprint) else Fingerprint.of(self.sent_form(parameters))
        pairs = yield from self._listed(workflow, since)
        return [run for run, row in pairs if wanted.matches(found(row, call.parameters) or {})]

    def _listed(self, workflow: str, since: datetime | None) -> Flow[list[tuple[Run, Any]]]:
        """List the runs of a workflow, newest first, each with its row."""
        call = self.list_runs_call
        if call is None:
            return []
        params = {call.since: iso(since) or ""} if call.since and since else {}
        rows = yield from self._rows(call, f"listing the runs of workflow {workflow}", workflow, **params)
        pairs = [
            (self.seen(Run(self.key, self.conn_id, workflow, run_id), row), row)
            for row in rows
            if (run_id := id_text(found(row, call.run_id)))
        ]
        kept = [(run, row) for run, row in pairs if since is None or not run.started_at or run.started_at >= since]
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
        word = str(found(document, call.state) or "").strip().lower()
        state = self.states.get(word, RunState.RUNNING if word else run.state)
        told = found(document, call.message) if call.message else None
        details = {name: value for name, place in call.details.items() if (value := found(document, place)) is not None}
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
        from airflow_workflow_provider.protocol.api import path

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
        rows = yield from self._rows(call, f"listing the outputs of run {run.run_id}", run.workflow, run.run_id)
        made = []
        for row in rows:
            name = id_text(found(row, call.name)) or id_text(found(row, call.id))
            if name:
                kind = call.format(row) if callable(call.format) else call.format
                location = quote(id_text(found(row, call.id)) or name, safe="")
                output = Output(name, "file", location, (kind,))
                made.append(replace(output, location=self.output_location(run, output)))
        return made

    def output_location(self, run: Run, output: Output) -> str:
        """Give the address of an output's file, from the ids of run and output."""
        call = self.outputs_call
        values = None if call is None else self._ids(call.file, run.workflow, run.run_id)
        if call is None or values is None:
            return ""
        try:
            return self.api.url(call.file, **values, output=_last_part(output))
        except InvalidArgument:
            return ""

    def read(self, run: Run, output: Output) -> Source:
        """Read the file of an output."""
        location = self.output_location(run, output)
        if not location:
            raise OutputUnavailable(f"Run {run.run_id} of {self.label} has no output {output.name!r} that can be read.")
        request = Request("GET", location, headers={"Accept": "*/*"}, stream=True)
        doing = f"reading output {output.name!r} of run {run.run_id}"
        kind = output.formats[0] if output.formats else "raw"
        return FileSource(kind, lambda: self.api.call(request, doing, Asked.OUTPUT))

    def request(
        self,
        call: Call,
        *,
        workflow: str = "",
        run_id: str = "",
        known: Mapping[_Marker, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Request:
        """Make the request of a call; a path that needs an id which is not known is `InvalidArgument`."""
        values = {name: value for name, value in (("workflow", workflow), ("run_id", run_id)) if value}
        for name in placeholders(call.path):
            if name not in values:
                raise InvalidArgument(f"{name}: {self.label} knows a run by its workflow and its id; pass {name}=")
        filled = {WORKFLOW: workflow, RUN_ID: run_id, **(known or {})}
        params = {name: str(value) for name, value in _filled(call.params, filled, options or {}).items()}
        body = _filled(call.body, filled, options or {})
        url = self.api.url(call.path, **{name: values[name] for name in placeholders(call.path)})
        return Request(call.method, url, params=params or None, json=body)

    def _ids(self, template: str, workflow: str, run_id: str) -> dict[str, str] | None:
        values = {"workflow": workflow, "run_id": run_id}
        wanted = {name: values[name] for name in placeholders(template) if name in values}
        return wanted if all(wanted.values()) else None

    def _rows(self, call: Any, doing: str, workflow: str = "", run_id: str = "", **params: str) -> Flow[list[Any]]:
        request = self.request(call, workflow=workflow, run_id=run_id)
        if params:
            request = request.changed(params={**(request.params or {}), **params})

        def rows_of(asked: Request, document: Any) -> Sequence[Any]:
            rows = found(document, call.rows)
            if not isinstance(rows, list):
                raise self.api.unreadable(asked, Response(200), doing, "the answer has no list")
            return rows

        return (yield from read_pages(self.api, request, doing, paginator=call.paginator, rows_of=rows_of))


def _cancel(self: RestSystem, run: Run) -> Flow[None]:
    """Send the call that stops a run."""
    call = self.cancel_call
    assert call is not None  # the class has this method only where it has the call
    request = self.request(call, workflow=run.workflow, run_id=run.run_id, known={RUN_ID: run.run_id})
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
    rows = yield from self._rows(call, "listing workflows")
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
    rows = yield from self._rows(call, f"reading the log of run {run.run_id}", run.workflow, run.run_id)
    return unseen([line_of(row, call) for row in rows], cursor)


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


def found(document: Any, place: Any) -> Any:
    """Give what stands at a place of a document; None where there is nothing. An empty place is the document itself."""
    if callable(place):
        try:
            return place(document)
        except (LookupError, TypeError, ValueError, AttributeError):
            return None
    value = document
    for name in str(place).split(".") if place else ():
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def placeholders(template: str) -> list[str]:
    """Give the names of the placeholders of a path."""
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def _filled(template: Any, known: Mapping[_Marker, Any], options: Mapping[str, Any]) -> Any:
    if isinstance(template, _Marker):
        return known.get(template)
    if isinstance(template, Option):
        return options.get(template.name)
    if isinstance(template, Mapping):
        return {
            name: _filled(value, known, options)
            for name, value in template.items()
            if not (isinstance(value, Option) and options.get(value.name) is None)
        }
    if isinstance(template, (list, tuple)):
        return [_filled(value, known, options) for value in template]
    return template


def _last_part(output: Output) -> str:
    """Give the id of an output: the end of its location, whatever else stands there, or its name."""
    try:
        last = unquote(urlsplit(output.location).path.rstrip("/").rpartition("/")[2])
    except ValueError:
        last = ""
    return last or output.name


def _markers(template: Any) -> set[Any]:
    if isinstance(template, (_Marker, Option)):
        return {template}
    values = template.values() if isinstance(template, Mapping) else template
    return (
        {one for value in values for one in _markers(value)} if isinstance(template, (Mapping, list, tuple)) else set()
    )


_CALLS: Mapping[str, tuple[type[Call], frozenset[str], bool]] = {
    # name: its class, the placeholders that its path may hold, and whether it is needed
    "start_call": (Start, frozenset({"workflow"}), True),
    "status_call": (Status, _ID_PLACES, True),
    "test_call": (Call, frozenset(), True),
    "cancel_call": (Cancel, _ID_PLACES, False),
    "list_runs_call": (ListRuns, frozenset({"workflow"}), False),
    "list_workflows_call": (ListWorkflows, frozenset(), False),
    "outputs_call": (Outputs, _ID_PLACES, False),
    "log_call": (Log, _ID_PLACES, False),
}


def _mistakes(cls: type[RestSystem]) -> Sequence[str]:
    """Say what is wrong with a declaration, most important first."""
    wrong: list[str] = []
    for name, kind in (("key", str), ("label", str), ("default_conn_id", str), ("form", Form), ("states", Mapping)):
        if not isinstance(getattr(cls, name, None), kind) or not getattr(cls, name):
            wrong.append(f"{name}: is missing, empty, or no {kind.__name__}")
    if not wrong:
        wrong += [f"states: {reason}" for reason in wrong_states(cls.states)]
    for name, (wanted, allowed, is_needed) in _CALLS.items():
        call: Any = getattr(cls, name, None)
        if call is None:
            wrong += [f"{name}: is missing; declare a {wanted.__name__}(…)"] if is_needed else []
            continue
        if not isinstance(call, wanted):
            wrong.append(f"{name}: expected a {wanted.__name__}(…), not {type(call).__name__}")
            continue
        wrong += [f"{name}.{reason}" for reason in _mistakes_of(cls, call, allowed)]
    return wrong


def _mistakes_of(cls: type[RestSystem], call: Call, allowed: frozenset[str]) -> Sequence[str]:
    wrong = []
    if not call.path.startswith("/"):
        wrong.append(f"path: {call.path!r} does not begin with a slash")
    odd = [name for name in placeholders(call.path) if name not in allowed]
    if odd:
        known = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "none"
        wrong.append(f"path: the placeholder {{{odd[0]}}} is unknown here; known: {known}")
    if call.method not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        wrong.append(f"method: {call.method!r} is no method")
    used = _markers([dict(call.params), call.body])
    options = sorted(one.name for one in used if isinstance(one, Option) and one.name not in cls.start_options)
    if options:
        wrong.append(f"body: Option({options[0]!r}) is not among start_options")
    return [*wrong, *_mistakes_of_start(call, used), *_mistakes_of_outputs(call)]


def _mistakes_of_start(call: Call, used: set[Any]) -> Iterator[str]:
    if isinstance(call, Start):
        if (call.run_id is IDEMPOTENCY_KEY or call.is_idempotent) and IDEMPOTENCY_KEY not in used:
            yield "body: IDEMPOTENCY_KEY is nowhere, so a start cannot be told from another"
        if PARAMETERS not in used:
            yield "body: PARAMETERS is nowhere, so query_parameters would be lost"
        if WORKFLOW not in used and "workflow" not in placeholders(call.path):
            yield "path: neither the path nor the body names the workflow"


def _mistakes_of_outputs(call: Call) -> Iterator[str]:
    if isinstance(call, Outputs):
        odd = [name for name in placeholders(call.file) if name not in {*_ID_PLACES, "output"}]
        if odd or "output" not in placeholders(call.file):
            yield "file: needs {output}, and may hold {workflow} and {run_id}"

"""The declaration of a REST API: one small table per call, places in its answers, and what is wrong with a table.

A place in an answer is a dotted path (``"state.type"``, ``"items.0.id"``), or a callable that is given the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from string import Formatter
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.form import Form
from airflow_workflow_provider.protocol.paging import Paginator, SinglePage
from airflow_workflow_provider.protocol.system import wrong_states
from airflow_workflow_provider.protocol.text import clean_text


class InvalidDeclaration(TypeError):
    """A class that declares a system is not complete, or contradicts itself; the text names class and field."""


@dataclass(frozen=True)
class Marker:
    """Stands for a value of the request, in a body, a form, a header or a parameter."""

    name: str


WORKFLOW = Marker("the workflow's id")
PARAMETERS = Marker("the parameters as JSON")
RUN_ID = Marker("the run's id")
IDEMPOTENCY_KEY = Marker("a key of this start")


@dataclass(frozen=True)
class Option:
    """In a body or among parameters: the value of a start option; it is left out where it is not given."""

    name: str


@dataclass(frozen=True)
class FromHeader:
    """A place in the headers of an answer: the value, or the last part of the path where the value is an address.

    ``pattern`` is a regular expression with one group, for a value that is more than the id.
    """

    name: str
    pattern: str = ""

    def read(self, response: Response) -> str:
        """Give the value; empty text where there is none."""
        value = clean_text(response.headers.get(self.name.lower(), "")).strip()
        if self.pattern:
            match = re.search(self.pattern, value)
            return match[1] if match else ""
        if "/" not in value:
            return value
        try:
            return unquote(urlsplit(value).path.rstrip("/").rpartition("/")[2])
        except ValueError:
            return ""


Place = str | Callable[[Any], Any]
FORMATS = ("csv", "json", "jsonl", "yxdb", "raw")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ID_PLACES = frozenset({"workflow", "run_id"})


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: ``path`` below the base URL may hold ``{workflow}`` and ``{run_id}``.

    ``body`` is sent as JSON, ``form`` as a form; in a form, in ``params`` and in ``headers`` the parameters are JSON
    text. A form that is `PARAMETERS` has a field for each parameter.
    """

    path: str
    method: str = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    form: Any = None
    headers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Start(Call):
    """The call that starts a run.

    ``run_id`` is the place of the run's id in the answer, or `FromHeader`; `IDEMPOTENCY_KEY` where the start itself
    chooses it. Such a run is found again for certain when the answer to its start is lost. ``is_idempotent`` says that
    a start with the same `IDEMPOTENCY_KEY` gives the same run again, so that a start whose answer was lost is sent
    once more. The path may hold the key as ``{key}``.
    """

    run_id: Place | Marker | FromHeader
    is_idempotent: bool = False
    method: str = "POST"


@dataclass(frozen=True, kw_only=True)
class Status(Call):
    """The call that reads a run: the places of the state's word and, if there are any, of message and times.

    The word of a state is compared in lower case; a number is its digits, true is ``true``. Where only a list shows how
    a run is, ``rows`` is the place of that list and ``id`` that of a row's id; the other places are those in the row.
    """

    state: Place
    message: Place | None = None
    started_at: Place | None = None
    ended_at: Place | None = None
    details: Mapping[str, Place] = field(default_factory=dict)
    rows: Place | None = None
    id: Place = "id"
    paginator: Paginator = field(default_factory=SinglePage)


@dataclass(frozen=True, kw_only=True)
class Cancel(Call):
    """The call that stops a run. ``taken`` is given the answer's document and says whether the server took it.

    ``looks_first`` reads the run before, and sends nothing where it has ended: for an API that would change the state
    of such a run.
    """

    method: str = "POST"
    taken: Callable[[Any], bool] | None = None
    looks_first: bool = False


@dataclass(frozen=True, kw_only=True)
class ListRuns(Call):
    """The call that lists the runs of a workflow; a row is read as the answer of `Status` is.

    ``rows`` is the place of the list, ``run_id`` that of a row's id, ``parameters`` that of what a run was started
    with, ``key`` that of the `IDEMPOTENCY_KEY` of its start. ``since`` is the name of a request parameter for the
    earliest start, if there is one.
    """

    rows: Place = ""
    run_id: Place = "id"
    parameters: Place | None = None
    key: Place | None = None
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
class Table:
    """An output that is JSON in pages: ``path`` may hold ``{workflow}``, ``{run_id}`` and ``{output}``."""

    path: str
    rows: Place = ""
    paginator: Paginator = field(default_factory=SinglePage)


@dataclass(frozen=True, kw_only=True)
class Outputs(Call):
    """The call that lists a run's outputs, and how an output is read: by one of ``file``, ``url`` and ``table``.

    ``file`` is a path that may hold ``{workflow}``, ``{run_id}`` and ``{output}``, the output's id. ``url`` is the
    place of a file's address in a row; the list is read again right before the download, so the address may expire and
    may be at another host, which gets no credentials. ``table`` is a `Table`. ``format`` says how a file is read:
    ``csv``, ``json``, ``jsonl``, ``yxdb`` or ``raw``, or is a callable that gives that word for a row.
    """

    rows: Place = ""
    id: Place = "id"
    name: Place = "name"
    file: str = ""
    url: Place | None = None
    table: Table | None = None
    format: str | Callable[[Any], str] = "raw"
    paginator: Paginator = field(default_factory=SinglePage)


@dataclass(frozen=True, kw_only=True)
class Log(Call):
    """The call that gives a run's whole log: the places of the list, and of a row's text, time and level.

    ``is_text`` says that the answer is plain text, one line for each entry.
    """

    rows: Place = ""
    text: Place = "message"
    time: Place | None = None
    level: Place | None = None
    paginator: Paginator = field(default_factory=SinglePage)
    is_text: bool = False


# What the tables of a system are, in the order in which mistakes are told.
CALLS: Mapping[str, tuple[type[Call], frozenset[str], bool]] = {
    # name: its class, the placeholders that its path may hold, and whether it is needed
    "start_call": (Start, frozenset({"workflow", "key"}), True),
    "status_call": (Status, _ID_PLACES, True),
    "test_call": (Call, frozenset(), True),
    "cancel_call": (Cancel, _ID_PLACES, False),
    "list_runs_call": (ListRuns, frozenset({"workflow"}), False),
    "list_workflows_call": (ListWorkflows, frozenset(), False),
    "outputs_call": (Outputs, _ID_PLACES, False),
    "log_call": (Log, _ID_PLACES, False),
}
# The markers that each call can fill.
_KNOWN: Mapping[str, frozenset[Any]] = {
    "start_call": frozenset({WORKFLOW, PARAMETERS, IDEMPOTENCY_KEY}),
    "list_runs_call": frozenset({WORKFLOW}),
    "list_workflows_call": frozenset(),
    "test_call": frozenset(),
}


def found(document: Any, place: Any) -> Any:
    """Give what stands at a place of a document; None where there is nothing. An empty place is the document itself."""
    if callable(place):
        try:
            return place(document)
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
        ):  # the answer has not what it reads
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


def word_of(value: Any) -> str:
    """Spell what an answer gives for a state as a table of states has it; empty text where there is nothing."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None or isinstance(value, (Mapping, list)) else str(value).strip().lower()


def placeholders(template: str) -> list[str]:
    """Give the names of the placeholders of a path."""
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def filled(template: Any, known: Mapping[Marker, Any], options: Mapping[str, Any]) -> Any:
    """Put values in the place of markers and options."""
    if isinstance(template, Marker):
        return known.get(template)
    if isinstance(template, Option):
        return options.get(template.name)
    if isinstance(template, Mapping):
        return {
            name: filled(value, known, options)
            for name, value in template.items()
            if not (isinstance(value, Option) and options.get(value.name) is None)
        }
    if isinstance(template, (list, tuple)):
        return [filled(value, known, options) for value in template]
    return template


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Spell values for a query, a form or headers: text as it is, all else as JSON; None is left out."""
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if value is not None
    }


def markers(template: Any) -> set[Any]:
    """Give the markers and options of a template."""
    if isinstance(template, (Marker, Option)):
        return {template}
    if not isinstance(template, (Mapping, list, tuple)):
        return set()
    values = template.values() if isinstance(template, Mapping) else template
    return {one for value in values for one in markers(value)}


def mistakes(cls: Any) -> Iterator[str]:
    """Say what is wrong with a declaration, most important first; each sentence begins with the field."""
    wrong = []
    for name, kind in (("key", str), ("label", str), ("default_conn_id", str), ("form", Form), ("states", Mapping)):
        value = getattr(cls, name, None)
        if not isinstance(value, kind) or not value:
            wrong.append(f"{name}: is missing, empty, or no {kind.__name__}")
    yield from wrong
    if not wrong:
        yield from (f"states: {reason}" for reason in wrong_states(cls.states))
    yield from _wrong_fields(cls)
    for name, (wanted, allowed, is_needed) in CALLS.items():
        call = getattr(cls, name, None)
        if call is None:
            if is_needed:
                yield f"{name}: is missing; declare a {wanted.__name__}(…)"
        elif not isinstance(call, wanted):
            yield f"{name}: expected a {wanted.__name__}(…), not {_named(call)}"
        else:
            yield from (f"{name}.{reason}" for reason in _mistakes_of(cls, name, call, allowed))


def _named(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def _wrong_fields(cls: Any) -> Iterator[str]:
    if isinstance(cls.authentication, type) or not callable(getattr(cls.authentication, "make", None)):
        yield f"authentication: expected one such as Header(…), not {_named(cls.authentication)}"
    if not isinstance(cls.base_path, str) or (cls.base_path and not cls.base_path.startswith("/")):
        yield f"base_path: {cls.base_path!r} does not begin with a slash"
    elif cls.base_path.endswith("/") or "{" in cls.base_path:
        yield f"base_path: {cls.base_path!r} ends with a slash or holds a placeholder"
    if isinstance(cls.start_options, str) or not all(isinstance(name, str) for name in cls.start_options):
        yield "start_options: expected a frozenset of names"
    for reason in _wrong_path(cls.run_page, _ID_PLACES) if cls.run_page else ():
        yield f"run_page: {reason}"
    for name, value in vars(cls).items():
        if isinstance(value, Call) and name not in CALLS:
            close = get_close_matches(name, list(CALLS), 1, 0.0)
            yield f"{name}: is no call of a RestSystem; did you mean {close[0]}?"


def _wrong_path(path: Any, allowed: frozenset[str]) -> Iterator[str]:
    if not isinstance(path, str) or not path.startswith("/"):
        yield f"{path!r} does not begin with a slash"
        return
    try:
        names = placeholders(path)
    except ValueError as error:
        yield f"{path!r} is no template: {error}"
        return
    odd = [name for name in names if name not in allowed]
    if odd:
        known = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "none"
        yield f"the placeholder {{{odd[0]}}} is unknown here; known: {known}"


def _mistakes_of(cls: Any, name: str, call: Any, allowed: frozenset[str]) -> Iterator[str]:
    wrong = [f"path: {reason}" for reason in _wrong_path(call.path, allowed)]
    yield from wrong
    if call.method not in METHODS:
        yield f"method: {call.method!r} is no method; known: {', '.join(METHODS)}"
    if call.body is not None and call.form is not None:
        yield "form: a call has a body or a form, not both"
    for part in ("params", "headers"):
        if not isinstance(getattr(call, part), Mapping):
            yield f"{part}: expected a mapping, not {_named(getattr(call, part))}"
            return
    if call.form is not None and call.form is not PARAMETERS and not isinstance(call.form, Mapping):
        yield f"form: expected a mapping or PARAMETERS, not {_named(call.form)}"
    used = markers([dict(call.params), call.body, call.form, dict(call.headers)])
    options = sorted(one.name for one in used if isinstance(one, Option) and one.name not in cls.start_options)
    if options:
        yield f"body: Option({options[0]!r}) is not among start_options"
    known = _KNOWN.get(name, frozenset({WORKFLOW, RUN_ID}))
    for one in sorted((one for one in used if isinstance(one, Marker) and one not in known), key=str):
        yield f"body: {_MARKERS[one]} is unknown here"
    yield from _wrong_places(call)
    if isinstance(call, Start) and not wrong:
        yield from _mistakes_of_start(call, used)
    if isinstance(call, Outputs):
        yield from _mistakes_of_outputs(call)


_MARKERS = {WORKFLOW: "WORKFLOW", PARAMETERS: "PARAMETERS", RUN_ID: "RUN_ID", IDEMPOTENCY_KEY: "IDEMPOTENCY_KEY"}
_PLACES = frozenset({"state", "message", "started_at", "ended_at", "rows", "id", "name", "parameters", "key"}) | {
    "text",
    "time",
    "level",
    "url",
}


def _wrong_places(call: Any) -> Iterator[str]:
    """Check what has to be a place, a callable or a paginator."""
    names = (one for one in vars(call) if one in _PLACES)
    places = {name: getattr(call, name) for name in names if getattr(call, name, None) is not None}
    places |= {f"details[{name!r}]": place for name, place in getattr(call, "details", {}).items()}
    for name, place in places.items():
        if isinstance(place, type) or not (isinstance(place, str) or callable(place)):
            yield f"{name}: expected a dotted path or a function, not {_named(place)}"
    if isinstance(call, Status) and call.state == "":
        yield "state: is empty; name the place of the state's word"
    if isinstance(call, ListRuns) and not (isinstance(call.run_id, str) or callable(call.run_id)):
        yield f"run_id: expected a dotted path or a function, not {_named(call.run_id)}"
    if isinstance(call, Cancel) and call.taken is not None and not callable(call.taken):
        yield f"taken: expected a function, not {_named(call.taken)}"
    paginator = getattr(call, "paginator", None)
    if paginator is not None and (isinstance(paginator, type) or not callable(getattr(paginator, "after", None))):
        yield f"paginator: expected one such as OffsetPages(…), not {_named(paginator)}"


def _mistakes_of_start(call: Start, used: set[Any]) -> Iterator[str]:
    names = placeholders(call.path)
    is_place = isinstance(call.run_id, (str, FromHeader)) or callable(call.run_id)
    if call.run_id is not IDEMPOTENCY_KEY and not is_place:
        yield f"run_id: expected a place, FromHeader(…) or IDEMPOTENCY_KEY, not {_named(call.run_id)}"
    elif isinstance(call.run_id, FromHeader) and call.run_id.pattern:
        try:
            groups = re.compile(call.run_id.pattern).groups
        except re.error as error:
            yield f"run_id: the pattern {call.run_id.pattern!r} is no regular expression: {error}"
        else:
            if groups != 1:
                yield f"run_id: the pattern {call.run_id.pattern!r} has {groups} groups; expected one, for the id"
    elif call.run_id == "":
        yield "run_id: is empty; name the place of the run's id"
    if (call.run_id is IDEMPOTENCY_KEY or call.is_idempotent) and not (IDEMPOTENCY_KEY in used or "key" in names):
        yield "body: IDEMPOTENCY_KEY is nowhere, so a start cannot be told from another"
    if PARAMETERS not in used:
        yield "body: PARAMETERS is nowhere, so query_parameters would be lost"
    if WORKFLOW not in used and "workflow" not in names:
        yield "path: neither the path nor the body names the workflow"


def _mistakes_of_outputs(call: Outputs) -> Iterator[str]:
    ways = [name for name in ("file", "url", "table") if getattr(call, name)]
    if len(ways) != 1:
        yield f"file: an output is read by one of file, url and table; declared: {' and '.join(ways) or 'none'}"
    elif call.table is not None and not isinstance(call.table, Table):
        yield f"table: expected a Table(…), not {_named(call.table)}"
    else:
        template = call.table.path if call.table else call.file
        field_name = "table.path" if call.table else "file"
        for reason in _wrong_path(template, _ID_PLACES | {"output"}) if template else ():
            yield f"{field_name}: {reason}"
            return
        if template and "output" not in placeholders(template):
            yield f"{field_name}: needs {{output}}, and may hold {{workflow}} and {{run_id}}"
    if isinstance(call.format, str) and call.format not in FORMATS:
        yield f"format: {call.format!r} is unknown; known: {', '.join(FORMATS)}"

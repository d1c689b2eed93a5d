"""What is wrong with the declaration of a system: a sentence for each mistake, which begins with the field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from string import Formatter
from typing import Any

from airflow_workflow_provider.protocol.paging import SinglePage
from airflow_workflow_provider.protocol.places import named, takes_one, wrong_place
from airflow_workflow_provider.protocol.rest_calls import (
    FORMATS,
    IDEMPOTENCY_KEY,
    METHODS,
    PARAMETERS,
    RUN_ID,
    WORKFLOW,
    Call,
    Cancel,
    FromHeader,
    ListRuns,
    ListWorkflows,
    Log,
    Marker,
    Option,
    Outputs,
    Start,
    Status,
    Table,
    placeholders,
)
from airflow_workflow_provider.protocol.system import wrong_fields

_ID_PLACES = frozenset({"workflow", "run_id"})
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
# Other fields that a class may set.
FIELDS = (
    "key",
    "label",
    "default_conn_id",
    "form",
    "states",
    "poll_interval",
    "start_options",
    "base_path",
    "authentication",
    "error_message",
    "run_page",
    "needs_sdk",
)
# The markers that each call can fill.
_KNOWN: Mapping[str, frozenset[Any]] = {
    "start_call": frozenset({WORKFLOW, PARAMETERS, IDEMPOTENCY_KEY}),
    "list_runs_call": frozenset({WORKFLOW}),
    "list_workflows_call": frozenset(),
    "test_call": frozenset(),
}
_MARKERS = {WORKFLOW: "WORKFLOW", PARAMETERS: "PARAMETERS", RUN_ID: "RUN_ID", IDEMPOTENCY_KEY: "IDEMPOTENCY_KEY"}
# Which fields of a table are places, and which are true or false.
_PLACES = ("state", "message", "started_at", "ended_at", "rows", "id", "name", "parameters", "key", "workflow")
_MORE_PLACES = ("text", "time", "level", "url", "record", "refused")
_FLAGS = ("is_idempotent", "looks_first", "is_text", "is_lines")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def mistakes(cls: Any) -> Iterator[str]:
    """Say what is wrong with a declaration, most important first."""
    yield from (f"{name}: {reason}" for name, reason in wrong_fields(cls))
    yield from _wrong_fields(cls)
    for name, (wanted, allowed, is_needed) in CALLS.items():
        call = getattr(cls, name, None)
        if call is None:
            if is_needed:
                yield f"{name}: is missing; declare a {wanted.__name__}(…)"
        elif not isinstance(call, wanted):
            yield f"{name}: expected a {wanted.__name__}(…), not {named(call)}"
        else:
            yield from (f"{name}.{reason}" for reason in _mistakes_of(cls, name, call, allowed))
    yield from _misspelled(cls)


def _wrong_fields(cls: Any) -> Iterator[str]:
    credentials = cls.authentication
    if isinstance(credentials, type) or not callable(getattr(credentials, "make", None)):
        yield f"authentication: expected one such as Header(…), not {named(credentials)}"
    else:
        for reason in getattr(credentials, "mistakes", tuple)():
            yield f"authentication: {named(credentials)}.{reason}"
    if not isinstance(cls.base_path, str) or (cls.base_path and not cls.base_path.startswith("/")):
        yield f"base_path: {cls.base_path!r} does not begin with a slash"
    elif cls.base_path.endswith("/") or "{" in cls.base_path:
        yield f"base_path: {cls.base_path!r} ends with a slash or holds a placeholder"
    elif cls.base_path:
        yield from (f"base_path: {reason}" for reason in _wrong_path(cls.base_path, frozenset()))
    if cls.error_message is not None:
        yield from (f"error_message: {reason}" for reason in wrong_place(cls.error_message))
    for reason in _wrong_path(cls.run_page, _ID_PLACES, may_query=True) if cls.run_page else ():
        yield f"run_page: {reason}"


def _misspelled(cls: Any) -> Iterator[str]:
    """Find what a class declares under a name that nothing reads, and methods that are replaced by a value."""
    bases = cls.__mro__[1:]
    for name, value in vars(cls).items():
        inherited = next((vars(base)[name] for base in bases if name in vars(base)), None)
        if isinstance(value, Call) and name not in CALLS:
            close = get_close_matches(name, list(CALLS), 1, 0.0)
            yield f"{name}: is no call of a RestSystem; did you mean {close[0]}?"
        elif name.startswith("_") or value is None:
            continue
        elif callable(inherited) and not (callable(value) or hasattr(value, "__get__")):
            yield f"{name}: is a method of a RestSystem; expected a function, not {named(value)}"
        elif inherited is None and not callable(value) and not hasattr(value, "__get__"):
            is_auth = callable(getattr(value, "make", None))
            close = ["authentication"] if is_auth else get_close_matches(name, FIELDS, 1, 0.85)
            if close and name not in FIELDS and name not in CALLS and not name.isupper():
                yield f"{name}: is no field of a RestSystem; did you mean {close[0]}?"


def _wrong_path(path: Any, allowed: frozenset[str], *, may_query: bool = False) -> Iterator[str]:
    if not isinstance(path, str) or not path.startswith("/"):
        yield f"{path!r} does not begin with a slash"
        return
    try:
        parts = list(Formatter().parse(path))
    except ValueError as error:
        yield f"{path!r} is no template: {error}"
        return
    odd = [name for _, name, _, _ in parts if name is not None and name not in allowed]
    if odd:
        known = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "none"
        yield f"the placeholder {{{odd[0]}}} is unknown here; known: {known}"
    if any(spec or conversion for _, name, spec, conversion in parts if name is not None):
        yield f"{path!r} has a placeholder with a format; expected its name alone"
    plain = "".join(text for text, _, _, _ in parts)
    if not may_query and any(sign in plain for sign in "?#"):
        yield f"{path!r} holds a query; parameters of a request are in params"
    if path.startswith("//") or ".." in plain.split("/") or not plain.isprintable() or " " in plain:
        yield f"{path!r} is no path below the base URL"


def _mistakes_of(cls: Any, name: str, call: Any, allowed: frozenset[str]) -> Iterator[str]:
    is_listed = not (isinstance(call, Outputs) and call.only)
    wrong = [f"path: {reason}" for reason in _wrong_path(call.path, allowed)] if is_listed else []
    yield from wrong
    if call.method not in METHODS:
        yield f"method: {call.method!r} is no method; known: {', '.join(METHODS)}"
    if call.body is not None and call.form is not None:
        yield "form: a call has a body or a form, not both"
    for part in ("params", "headers"):
        if not isinstance(getattr(call, part), Mapping):
            yield f"{part}: expected a mapping, not {named(getattr(call, part))}"
            return
    used = _markers([dict(call.params), call.body, call.form, dict(call.headers)])
    yield from _wrong_content(call)
    yield from _wrong_markers(used, cls.start_options, _KNOWN.get(name, frozenset({WORKFLOW, RUN_ID})))
    yield from _wrong_places(call)
    if not wrong:
        yield from _contradictions(call, used, set(placeholders(call.path)))


def _wrong_content(call: Any) -> Iterator[str]:
    """Check what is sent."""
    if call.form is not None and call.form is not PARAMETERS and not isinstance(call.form, Mapping):
        yield f"form: expected a mapping or PARAMETERS, not {named(call.form)}"
    for header in call.headers:
        if not isinstance(header, str) or not _HEADER.fullmatch(header):
            yield f"headers: {header!r} is no name of a header"
    content = {"params": call.params, "body": call.body, "form": call.form, "headers": call.headers}
    for part, value in content.items():
        yield from (f"{part}: {odd}" for odd in _unsendable(value))


def _wrong_markers(used: set[Any], start_options: Any, known: frozenset[Any]) -> Iterator[str]:
    options = sorted(str(one.name) for one in used if isinstance(one, Option) and one.name not in start_options)
    if options:
        yield f"body: Option({options[0]!r}) is not among start_options"
    for one in sorted((one for one in used if isinstance(one, Marker) and one not in known), key=str):
        yield f"body: {_MARKERS.get(one, one)} is unknown here"


def _contradictions(call: Any, used: set[Any], names: set[str]) -> Iterator[str]:
    """Check what a call needs beside correct fields."""
    if isinstance(call, Start):
        yield from _mistakes_of_start(call, used)
    if isinstance(call, Outputs):
        yield from _mistakes_of_outputs(call)
    is_text = isinstance(call, Log) and call.is_text
    if is_text and (call.rows or call.time or call.level or call.paginator != SinglePage()):
        yield "is_text: a log of text has no rows, times, levels or pages"
    if isinstance(call, ListRuns) and call.workflow is None and not (WORKFLOW in used or "workflow" in names):
        yield "path: nothing names the workflow; name it in path, params or body, or give its place in a row: workflow"
    is_listed = isinstance(call, Outputs) and not call.only
    is_of_run = is_listed or isinstance(call, (Cancel, Log)) or (isinstance(call, Status) and call.rows is None)
    if is_of_run and not (used & {WORKFLOW, RUN_ID} or names & _ID_PLACES):
        yield "path: neither the path nor the body names the run"


def _unsendable(value: Any) -> Iterator[str]:
    """Find what cannot be sent as JSON."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                yield f"{name!r} is no name of a field"
            yield from _unsendable(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _unsendable(inner)
    elif isinstance(value, Option):
        if not isinstance(value.name, str) or not value.name:
            yield f"Option({value.name!r}) has no name"
    elif value is not None and not isinstance(value, (str, int, float, Marker)):
        yield f"{named(value)} cannot be sent; expected JSON, a marker such as WORKFLOW, or Option(…)"


def _markers(template: Any) -> set[Any]:
    """Give the markers and options of a template."""
    if isinstance(template, (Marker, Option)):
        return {template}
    if not isinstance(template, (Mapping, list, tuple)):
        return set()
    values = template.values() if isinstance(template, Mapping) else template
    return {one for value in values for one in _markers(value)}


def _wrong_places(call: Any) -> Iterator[str]:
    """Check what has to be a place, a callable, true or false, or a paginator."""
    details = getattr(call, "details", {})
    if not isinstance(details, Mapping):
        yield f"details: expected a mapping, not {named(details)}"
        details = {}
    fields = vars(call)
    places = {name: fields[name] for name in (*_PLACES, *_MORE_PLACES) if fields.get(name) is not None}
    places |= {f"details[{name!r}]": place for name, place in details.items()}
    if isinstance(call, ListRuns):
        places["run_id"] = call.run_id
    for name, place in places.items():
        yield from (f"{name}: {reason}" for reason in wrong_place(place))
    flags = [name for name in _FLAGS if name in fields and not isinstance(fields[name], bool)]
    yield from (f"{name}: expected True or False, not {fields[name]!r}" for name in flags)
    if isinstance(call, Status):
        yield from _wrong_status(call)
    if isinstance(call, ListRuns) and call.since is not None and not (isinstance(call.since, str) and call.since):
        yield f"since: expected the name of a parameter, not {named(call.since)}"
    if isinstance(call, Cancel) and call.taken is not None:
        yield from _wrong_taken(call.taken)
    if "paginator" in fields:
        yield from (f"paginator: {reason}" for reason in _wrong_paginator(call))


def _wrong_taken(taken: Any) -> Iterator[str]:
    if not callable(taken):
        yield f"taken: expected a function, not {named(taken)}"
    elif not takes_one(taken):
        yield "taken: expected a function that takes one argument, the document"


def _wrong_status(call: Status) -> Iterator[str]:
    if call.state == "":
        yield "state: is empty; name the place of the state's word"
    if call.rows is not None and call.id == "":
        yield "id: is empty; name the place of the run's id in a row"
    if call.rows is None and call.paginator != SinglePage():
        yield "paginator: is for a list; name its place in rows"
    if call.rows is not None and call.record:
        yield "record: is for an answer about one run; the places are those in a row"


def _wrong_paginator(call: Any) -> Iterator[str]:
    paginator = call.paginator
    if isinstance(paginator, type) or not callable(getattr(paginator, "after", None)):
        yield f"expected one such as OffsetPages(…), not {named(paginator)}"
        return
    yield from getattr(paginator, "mistakes", tuple)()
    if not getattr(paginator, "in_body", False):
        return
    if getattr(call, "method", "GET") == "GET":
        yield "in_body: a GET has no body; set method"
    elif getattr(call, "form", None) is not None or not isinstance(getattr(call, "body", None) or {}, Mapping):
        yield "in_body: needs a body that is a mapping"


def _mistakes_of_start(call: Start, used: set[Any]) -> Iterator[str]:
    names = placeholders(call.path)
    if isinstance(call.run_id, FromHeader):
        yield from (f"run_id: {reason}" for reason in _wrong_header(call.run_id))
    elif call.run_id == "":
        yield "run_id: is empty; name the place of the run's id"
    elif call.run_id is not IDEMPOTENCY_KEY:
        if isinstance(call.run_id, type) or not (isinstance(call.run_id, str) or callable(call.run_id)):
            yield f"run_id: expected a place, FromHeader(…) or IDEMPOTENCY_KEY, not {named(call.run_id)}"
        else:
            yield from (f"run_id: {reason}" for reason in wrong_place(call.run_id))
    if call.refused == "":
        yield "refused: is empty; name the place of the server's words"
    if (call.run_id is IDEMPOTENCY_KEY or call.is_idempotent) and not (IDEMPOTENCY_KEY in used or "key" in names):
        yield "body: IDEMPOTENCY_KEY is nowhere, so a start cannot be told from another"
    if PARAMETERS not in used:
        yield "body: PARAMETERS is nowhere, so query_parameters would be lost"
    if WORKFLOW not in used and "workflow" not in names:
        yield "path: neither the path nor the body names the workflow"


def _wrong_header(place: FromHeader) -> Iterator[str]:
    if not isinstance(place.name, str) or not _HEADER.fullmatch(place.name):
        yield f"{place.name!r} is no name of a header"
    if not place.pattern:
        return
    try:
        groups = re.compile(place.pattern).groups
    except (re.error, TypeError) as error:
        yield f"the pattern {place.pattern!r} is no regular expression: {error}"
    else:
        if groups != 1:
            yield f"the pattern {place.pattern!r} has {groups} groups; expected one, for the id"


def _wrong_lines(table: Table) -> Iterator[str]:
    """Check a table whose answers are lines: there is no document around them that could hold anything else."""
    if table.rows:
        yield "table.rows: an answer of lines has no list at a place"
    for name in ("read", "total"):
        place = getattr(table.paginator, name, None)
        if isinstance(place, str):
            yield f"table.paginator: {name}: an answer of lines has nothing at {place!r}; use a header or a function"


def _wrong_only(call: Outputs) -> Iterator[str]:
    """Check a declaration of one output without a list."""
    if not isinstance(call.only, str):
        yield f"only: expected the name of the output, not {named(call.only)}"
    elif call.only and call.path:
        yield "path: is that of a list of outputs, which a run with only one output does not have"
    elif call.only and call.url is not None:
        yield "url: is a place in a list of outputs, which a run with only one output does not have"
    elif call.only and callable(call.format):
        yield "format: a function is given a row of a list of outputs; expected a word"


def _mistakes_of_outputs(call: Outputs) -> Iterator[str]:
    ways = [name for name in ("file", "url", "table") if getattr(call, name)]
    if len(ways) != 1:
        yield f"file: an output is read by one of file, url and table; declared: {' and '.join(ways) or 'none'}"
    elif call.table is not None and not isinstance(call.table, Table):
        yield f"table: expected a Table(…), not {named(call.table)}"
    else:
        yield from _wrong_only(call)
        template = call.table.path if call.table else call.file
        field_name = "table.path" if call.table else "file"
        for reason in _wrong_path(template, _ID_PLACES | {"output"}) if template else ():
            yield f"{field_name}: {reason}"
            return
        names = set(placeholders(template)) if template else set()
        if template and not call.only and "output" not in names:
            yield f"{field_name}: needs {{output}}, and may hold {{workflow}} and {{run_id}}"
        if template and call.only and not names & _ID_PLACES:
            yield f"{field_name}: does not name the run"
        if call.table:
            yield from (f"table.{reason}" for reason in _wrong_places(call.table))
            if call.table.is_lines:
                yield from _wrong_lines(call.table)
    if isinstance(call.format, str) and call.format not in FORMATS:
        yield f"format: {call.format!r} is unknown; known: {', '.join(FORMATS)}"
    elif isinstance(call.format, type) or not (isinstance(call.format, str) or callable(call.format)):
        yield f"format: expected a word or a function, not {named(call.format)}"

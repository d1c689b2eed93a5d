"""The declaration of a REST API: one small table for each call. `rest_mistakes` says what is wrong with one.

A place in an answer is a dotted path (``"state.type"``, ``"items.0.id"``), or a callable that is given the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.paging import Paginator, SinglePage
from airflow_workflow_provider.protocol.places import Place
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


FORMATS = ("csv", "json", "jsonl", "yxdb", "raw")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


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
    once more. The path may hold the key as ``{key}``. ``refused`` is for an API that answers 200 to a start that it
    refuses: the place of its words, which only such an answer has.
    """

    run_id: Place | Marker | FromHeader
    refused: Place | None = None
    is_idempotent: bool = False
    method: str = "POST"


@dataclass(frozen=True, kw_only=True)
class Status(Call):
    """The call that reads a run: the places of the state's word and, if there are any, of message and times.

    The word of a state is compared in lower case; a number is its digits, true is ``true``. ``record`` is the place of
    the run's object in the answer, such as ``"job"`` in ``{"job": {"state": …}}``; the other places are those in this
    object, and in a row of `ListRuns`. Where only a list shows how a run is, ``rows`` is the place of that list and
    ``id`` that of a row's id; the other places are those in the row.
    """

    state: Place
    message: Place | None = None
    started_at: Place | None = None
    ended_at: Place | None = None
    details: Mapping[str, Place] = field(default_factory=dict)
    record: Place = ""
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
    with, ``key`` that of the `IDEMPOTENCY_KEY` of its start. ``workflow`` is the place of the workflow's id, for a list
    that shows the runs of others too; these are left out. ``since`` is the name of a request parameter for the earliest
    start, if there is one.
    """

    rows: Place = ""
    run_id: Place = "id"
    parameters: Place | None = None
    key: Place | None = None
    workflow: Place | None = None
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
    """An output that is JSON in pages: ``path`` may hold ``{workflow}``, ``{run_id}`` and ``{output}``.

    ``rows`` is the place of the list of objects in an answer. ``is_lines`` says that an answer is NDJSON instead: an
    object in each line. A function of the paginator is given the list of these objects.
    """

    path: str
    rows: Place = ""
    is_lines: bool = False
    paginator: Paginator = field(default_factory=SinglePage)


@dataclass(frozen=True, kw_only=True)
class Outputs(Call):
    """The call that lists a run's outputs, and how an output is read: by one of ``file``, ``url`` and ``table``.

    ``file`` is a path that may hold ``{workflow}``, ``{run_id}`` and ``{output}``, the output's id. ``url`` is the
    place of a file's address in a row; the list is read again right before the download, so the address may expire and
    may be at another host, which gets no credentials. ``table`` is a `Table`. ``format`` says how a file is read:
    ``csv``, ``json``, ``jsonl``, ``yxdb`` or ``raw``, or is a callable that gives that word for a row.

    ``only`` is for an API without a list, whose runs have one result: it is the name of that output. Such a declaration
    has no ``path``, and ``file`` or ``table`` needs no ``{output}``.
    """

    path: str = ""
    only: str = ""
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

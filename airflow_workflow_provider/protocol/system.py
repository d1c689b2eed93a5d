"""The contract of one workflow system. A new system is one subclass in ``systems/``, a façade per kind, and no more."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, TypeVar, cast
from urllib.parse import quote

from airflow_workflow_provider.exceptions import (
    CancelRefused,
    InvalidArgument,
    NotSupported,
    OutputGone,
    OutputUnavailable,
    RequestRejected,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import Auth, NoAuth, redacted
from airflow_workflow_provider.protocol.capabilities import LACKS, CanListRuns, CanListWorkflows
from airflow_workflow_provider.protocol.connection import ConnectionValues, Transport
from airflow_workflow_provider.protocol.effects import Flow, Note, Now, Request, Response, RunList, T
from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Field, Form, wrong_form
from airflow_workflow_provider.protocol.limits import MAX_MESSAGE
from airflow_workflow_provider.protocol.model import LONGEST, Output, Run, RunHandle, RunState, Workflow
from airflow_workflow_provider.protocol.parameters import Fingerprint, Parameters, spelled
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.redact import holds, redacted_value
from airflow_workflow_provider.protocol.results import Source
from airflow_workflow_provider.protocol.run_log import LogPage
from airflow_workflow_provider.protocol.text import clean_text, cut_text, one_line
from airflow_workflow_provider.protocol.times import from_epoch
from airflow_workflow_provider.protocol.uris import file_uri, own_uri, server_of

NAME_PREFIX = "name:"
KEY_OPTION = "idempotency_key"  # the start option of systems with a `keyed_start`
NEAREST = 5  # names that an error shows for one that is not found
MOST_SECONDS = 1e11  # of a number of seconds in a run's details or handle, since 1970 or as a duration
_KEY = re.compile(r"[a-z][a-z0-9_]*")
C = TypeVar("C")

# Names that are imported from here, too.
__all__ = [
    "COMMON_FIELDS",
    "KEY_OPTION",
    "NAME_PREFIX",
    "Field",
    "Form",
    "WorkflowSystem",
    "choose",
    "existing",
    "id_text",
    "near_misses",
    "own_server",
    "seconds_in",
    "wrong_fields",
    "wrong_states",
]


class WorkflowSystem(ABC):
    """One workflow system behind one connection. Every method that talks to the API is a flow.

    A system is made from `ConnectionValues`; bad values raise `InvalidConnection` there, before any request.
    ``auth`` is what signs a request to the API's own server, ``secrets`` what must not be seen anywhere.

    What a system can do beside starting and reading a run is a capability: a method of one of the protocols in
    `protocol.capabilities`. A class that has the method has the capability.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    default_conn_id: ClassVar[str]
    form: ClassVar[Form]
    states: ClassVar[Mapping[str, RunState]]
    """The system's own words for a run's state, in lower case."""
    poll_interval: ClassVar[float] = 15.0
    """Seconds between two polls of a run, unless the user says otherwise."""
    start_options: ClassVar[frozenset[str]] = frozenset()
    """Keyword arguments that `start` understands beside workflow and parameters."""
    watch_options: ClassVar[Mapping[str, Any]] = {}
    """Options that say how a run is watched and judged, with their defaults; `get_run` finds them in the handle."""
    api_version: str = ""
    """The version of the API that this connection speaks, for people; a test of the connection may set it."""
    lost_starts: str = "is not found again, see on_unknown_start"
    """What happens to a start whose answer was lost, for people, where the API cannot list runs."""
    keyed_start: ClassVar[Literal["", "found", "repeated"]] = ""
    """Whether a start takes the option ``idempotency_key``, and how a lost one is resolved by it.

    ``found``: `find_started` finds the run of that key and no other. ``repeated``: the same start is sent again, which
    gives the same run. A task keeps the key across its tries.
    """
    repeats: ClassVar[bool] = False
    """Whether two polls get the same answer, byte for byte, while nothing has changed."""
    lists_parameters: ClassVar[bool] = False
    """Whether the list of runs shows their parameters, by which `find_started` tells runs apart."""
    unlisted_outputs: ClassVar[str] = ""
    """Which outputs can be named that no run lists (`CanNameUnlistedOutputs`), for people."""
    foreign_locations: ClassVar[bool] = False
    """Whether outputs lie at other hosts: their locations are for people then, and no request goes there."""
    assets_need_extras: ClassVar[bool] = False
    """Whether `asset_uri` reads extras of the connection."""

    distribution: ClassVar[str] = ""
    """The distribution that has registered the class, with its version; set when the class is loaded."""

    needs_sdk: ClassVar[tuple[int, int]] = (1, 0)
    """The version of the SDK that the class is written for, see `airflow_workflow_provider.sdk`."""

    def __init__(self, values: ConnectionValues) -> None:
        self.conn_id = values.conn_id
        self.transport: Transport = values.transport()
        self.auth: Auth = NoAuth()
        self.secrets: tuple[str, ...] = ()
        self.lacks: dict[Any, str] = {}
        """Capabilities that this connection lacks although its class has them, each with the reason as a sentence."""

    @classmethod
    def declared(cls, field: str) -> str:
        """Name a field of the class for an error: with class and distribution."""
        # Not inherited: a distribution can derive its system from the system of another one.
        distribution = vars(cls).get("distribution", "")
        return f"{cls.__name__}.{field}{f' of {distribution}' if distribution else ''}"

    @classmethod
    def offers(cls, capability: Any) -> bool:
        """Say whether the class has a capability; a single connection may lack it all the same."""
        return issubclass(cls, capability)

    def supports(self, capability: Any) -> bool:
        """Say whether this connection has a capability."""
        return isinstance(self, capability) and capability not in self.lacks

    def require(self, capability: type[C]) -> C:
        """Give this system as one that has a capability; raises `NotSupported`, which says what the API cannot do."""
        if self.supports(capability):
            return cast("C", self)
        error, what = LACKS.get(capability, (NotSupported, f"has the capability {capability.__name__}"))
        raise error(self.lacks.get(capability) or f"{self.label} has no API call that {what}")

    @abstractmethod
    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Start a run. The request that starts it goes through `send_start`."""

    @abstractmethod
    def get_run(self, run: Run) -> Flow[Run]:
        """Read the state of a run once."""

    @abstractmethod
    def test(self) -> Flow[str]:
        """Check the connection without side effects; give a sentence for the user."""

    @abstractmethod
    def read(self, run: Run, output: Output) -> Source:
        """Say how one output of a run that succeeded is read; nothing is sent yet.

        ``run`` and ``output`` may come from anybody: addresses and statements are built from their ids.
        """

    def conclude(self, run: Run) -> Flow[Run]:
        """Add, once, what is worth asking for after a run has ended."""
        return run
        yield

    @classmethod
    def with_options(cls, run: Run, options: Mapping[str, Any]) -> Run:
        """Give the run with what a user says about it.

        Those of `watch_options` go into its handle, as far as they are not the defaults. Others are facts of the run,
        such as the API that it belongs to, and go into its details.
        """
        defaults = cls.watch_options
        facts = {name: value for name, value in options.items() if name not in defaults}
        watch = {**run.handle.watch, **{name: value for name, value in options.items() if name in defaults}}
        handle = run.handle.with_watch(
            {name: value for name, value in watch.items() if name not in defaults or value != defaults[name]}
        )
        if handle is run.handle and not facts:
            return run
        return replace(run, details={**run.details, **facts}, handle=handle)

    def look(self, run: Run) -> Flow[Run]:
        """Read the state of a run once; a run that has ended is concluded."""
        seen = yield from self.get_run(run)
        if seen.state.is_terminal:
            # Some APIs give no end time; the moment of the poll is the next best.
            seen = seen if seen.ended_at else replace(seen, ended_at=from_epoch((yield Now())))
            seen = yield from self.conclude(seen)
            if seen.handle.poll:
                seen = replace(seen, handle=seen.handle.with_poll())
        return self.cleaned(seen)

    def run_list(self, run: Run) -> RunList | None:
        """Give the list call that says of this run and others whether they go on; None where there is none."""
        return None

    def cleaned(self, run: Run) -> Run:
        """Remove credentials that the server repeats, from the message and from every other text of a run."""
        secrets = self.credentials()
        if run.message:
            message = cut_text(clean_text(redacted(run.message, secrets)), MAX_MESSAGE)
            run = run if message == run.message else replace(run, message=message)
        texts = json.dumps(
            [
                run.workflow,
                run.run_id,
                run.url,
                run.details,
                run.handle.to_json(),
                *(vars(output) for output in run.outputs),
            ],
            ensure_ascii=False,
            default=str,
        )
        if not holds(texts, secrets):
            return run
        return replace(
            run,
            workflow=redacted(run.workflow, secrets),
            run_id=redacted(run.run_id, secrets),
            url=redacted(run.url, secrets) if run.url else run.url,
            details=redacted_value(run.details, secrets),
            handle=RunHandle(**redacted_value(run.handle.to_json(), secrets)),
            outputs=tuple(Output(**redacted_value(vars(output), secrets)) for output in run.outputs),
        )

    def without_secrets(self, value: T) -> T:
        """Remove credentials from what a flow gave, where it is a run, a workflow or a list of them."""
        found: Any = value
        if isinstance(value, Run):
            found = self.cleaned(value)
        elif isinstance(value, (Workflow, Output)):
            found = type(value)(**redacted_value(vars(value), self.credentials()))
        elif isinstance(value, list) and not isinstance(value, LogPage):  # whose lines are clean already
            found = [self.without_secrets(item) for item in value]
        return cast("T", found)

    def credentials(self) -> tuple[str, ...]:
        """Give every secret that is known now, for removing them from texts."""
        return (*self.secrets, *self.auth.minted, *self.transport.secrets)

    def rebuilt(self, run: Run) -> Run:
        """Give a run object that came from outside with its addresses made from its ids.

        A run object carries no authority: anybody can write one. ``url`` and the location of each output are made
        by `run_url` and `output_location`, whatever they were.
        """
        outputs = tuple(replace(output, location=self.output_location(run, output)) for output in run.outputs)
        return replace(run, url=self.run_url(run), outputs=outputs)

    def run_url(self, run: Run) -> str | None:
        """Give the address of a run, made from its ids; None where it has none."""
        return None

    def output_location(self, run: Run, output: Output) -> str:
        """Give the location of an output, made from ids and checked part by part; empty where it cannot be made."""
        return ""

    def list_workflows_named(self, name: str) -> Flow[list[Workflow]]:
        """List the workflows among which one of this name would be."""
        return (yield from self.require(CanListWorkflows).list_workflows())

    def resolved(self, workflow: str) -> Flow[str]:
        """Give the id of ``name:…``; anything else is an id already."""
        text = workflow.strip()
        if not text.lower().startswith(NAME_PREFIX):
            return text
        if not self.supports(CanListWorkflows):
            reason = self.lacks.get(CanListWorkflows) or f"{self.label} has no API call that lists workflows"
            raise NotSupported(f"workflow: {text!r} cannot be found by its name: {reason}. Give the workflow's id.")
        name = text[len(NAME_PREFIX) :].strip()
        listed = yield from self.list_workflows_named(name)
        found = [workflow for workflow in listed if workflow.name == name]
        if len(found) == 1:
            return found[0].id
        if found:
            ids = ", ".join(workflow.id for workflow in found)
            raise RequestRejected(
                f"workflow: {len(found)} workflows have the name {name!r} on connection {self.conn_id!r}; "
                f"give the id of one: {ids}"
            )
        nearest = yield from self._nearest(name, listed)
        raise WorkflowNotFound(f"workflow: no workflow has the name {name!r} on connection {self.conn_id!r}{nearest}")

    def _nearest(self, name: str, listed: list[Workflow]) -> Flow[str]:
        """Say which names are like one that is not there; a list that cannot be read says nothing."""
        if not listed:
            try:
                listed = yield from self.require(CanListWorkflows).list_workflows()
            except WorkflowError:
                return ""
        return near_misses(name, [workflow.name for workflow in listed])

    def list_runs(self, workflow: str, since: datetime | None = None) -> Flow[list[Run]]:
        """List as `find_runs` does in as few calls as it takes: a run that has ended may lack what `look` adds."""
        return (yield from self.require(CanListRuns).find_runs(workflow, since))

    def find_started(
        self, workflow: str, parameters: Parameters | Fingerprint, options: Mapping[str, Any], since: datetime
    ) -> Flow[list[Run]]:
        """List the runs that a start with these arguments may have left, whose answer was lost.

        ``parameters`` may be a `Fingerprint` of those that an earlier process has sent.
        """
        return (yield from self.require(CanListRuns).find_runs(workflow, since))

    @classmethod
    def sent_form(cls, parameters: Parameters) -> Any:
        """Give the parameters as a start sends them and a list of runs shows them; `Fingerprint` compares these."""
        return spelled(parameters)

    @classmethod
    def workflow_key(cls, workflow: str) -> str:
        """Give what identifies a workflow as a user names it, without the parameters that the name may hold."""
        return workflow.strip()

    def outputs(self, run: Run) -> Flow[list[Output]]:
        """Give the outputs of a run that succeeded; those of the run object, unless the system asks again."""
        return list(run.outputs)
        yield

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse keyword arguments that this system's start does not have."""
        unknown = sorted(set(options) - self.start_options)
        if unknown:
            known = ", ".join(sorted(self.start_options)) or "none"
            raise InvalidArgument(f"{unknown[0]}: {self.label} has no such start option; it has: {known}")

    @classmethod
    def asset_uri(cls, run: Run, output: Output | None, extra: Mapping[str, Any]) -> str:
        """Give the URI that names an output for assets and lineage: the same one for every run of a workflow.

        A file has its own address without anything that expires. Everything else has a URI of the scheme ``key``.

        :param output: None stands for the outputs of a run whose system does not list them.
        :param extra: the extras of the run's connection.
        """
        if output is not None and output.kind == "file" and (address := file_uri(output.location)):
            return address
        names = [run.workflow or run.run_id, *([output.name] if output else [])]
        return own_uri(cls.key, server_of(run.url) or own_server(run), *names)

    def send_start(
        self,
        api: Api,
        request: Request,
        workflow: str,
        run_id: Callable[[Any], Any],
        seen: Callable[[Run, Any], Run],
        *,
        doing: str = "",
        has_document: bool = True,
        in_answer: Callable[[Response], Any] | None = None,
        place: str = "",
        refused: Callable[[Response], str] | None = None,
    ) -> Flow[Run]:
        """Send the request that starts a run, and make the run from its answer. Every start goes through this.

        ``run_id`` reads the id from the JSON document of the answer; ``seen`` brings the rest of the document into
        the run. An answer without an id is `UnknownStart`: the request was sent.

        :param has_document: False where the answer to a start holds nothing that is needed; both callables get None
            for a body that is not JSON.
        :param in_answer: reads the id from the answer itself, where the document does not hold it.
        :param place: where the id is looked for, for the error.
        :param refused: gives the server's words where a 2xx answer says that nothing was started, else an empty text.
        """
        if len(workflow) > LONGEST["workflow"]:  # else the object of the active run could not be read
            raise InvalidArgument(
                f"workflow: has {len(workflow)} characters, and at most {LONGEST['workflow']} are read"
            )
        doing = doing or f"starting workflow {workflow}"
        now = yield Now()

        def parsed(response: Response) -> Run:
            document = api.document(request, response, doing) if has_document else response.json_or_none()
            found = id_text(in_answer(response) if in_answer else run_id(document))
            if not found:
                raise api.unreadable(request, response, doing, f"the answer has no id of the run{place}")
            return seen(Run(self.key, self.conn_id, workflow, found, started_at=from_epoch(now)), document)

        return (yield from api.start(request, doing, parsed, refused))

    def send_cancel(
        self, api: Api, request: Request, run: Run, doing: str = "", taken: Callable[[Response], bool] | None = None
    ) -> Flow[Response | None]:
        """Send the request that cancels a run; give its 2xx answer, or None where there was nothing to cancel.

        A request that is refused may mean that the run has ended, is gone, or goes on. The run's state decides:
        `CancelRefused` is raised for one that goes on.

        :param taken: says of a 2xx answer whether the server took the request; default each of them means that.
        """
        doing = doing or f"cancelling run {run.run_id}"
        try:
            response: Response = yield from api.call(request, doing, Asked.CANCEL)
            if taken is None or taken(response):
                return response
            refused: WorkflowError = RequestRejected(f"The answer says so: {one_line(response.text(500))}")
        except (RequestRejected, WorkflowNotFound) as error:
            refused = error
        if not (yield from self.has_ended(run)):
            raise self.cancel_refused(run, refused) from refused
        return None

    def has_ended(self, run: Run) -> Flow[bool]:
        """Tell whether there is nothing to cancel, and log why: the run has ended, or it is gone."""
        try:
            now = yield from self.get_run(run)
        except WorkflowNotFound:
            yield Note(f"Run {run.run_id} was not cancelled: it is gone")
            return True
        if now.state.is_terminal:
            yield Note(f"Run {run.run_id} was not cancelled: it had ended, and is {now.state}")
        return now.state.is_terminal

    def cancel_refused(self, run: Run, error: WorkflowError) -> WorkflowError:
        """Make the error for a run that goes on although the server was asked to stop it."""
        return error.become(CancelRefused, f"{self.label} did not cancel run {run.run_id}, which goes on. ")

    def state_of(self, run: Run, word: Any) -> Flow[RunState]:
        """Give the state that a word of the system stands for; an unknown word is logged and taken for running."""
        text = str(word or "").strip().lower()
        if text not in self.states:
            told = f"{self.label} gave run {run.run_id} the unknown state {text!r}; it counts as running"
            yield Note(told, "warning")
        return self.states.get(text, RunState.RUNNING)


def existing(flow: Flow[T], run: Run, output: Output) -> Flow[T]:
    """Read an output: an answer that it does not exist (404, 410) is `OutputGone`."""
    try:
        return (yield from flow)
    except WorkflowNotFound as error:
        raise error.become(OutputGone, f"Output {output.name!r} of run {run.run_id} does not exist. ") from error


def seconds_in(details: Mapping[str, Any], name: str) -> float | None:
    """Give a number of seconds from the details of a run; None where there is none that can be used."""
    value = details.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= MOST_SECONDS else None


def own_server(run: Run) -> str:
    """Name the server of a run that has no address: by its connection."""
    return quote(run.conn_id, safe="")


def id_text(value: Any) -> str:
    """Give an id from an answer as text; empty where the value is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return str(value).strip()


def near_misses(name: str, known: Collection[str], what: str = "nearest") -> str:
    """Say which of the known names are like this one, as the end of a sentence; empty where none is."""
    by_lower = {one.lower(): one for one in known if one}
    close = get_close_matches(name.lower(), list(by_lower), NEAREST, 0.5)
    return f"; {what}: {', '.join(repr(by_lower[one]) for one in close)}" if close else ""


def choose(outputs: list[Output], wanted: str | int | None, run: Run, unlisted: str = "") -> Output:
    """Choose one output by name or index; the only one when nothing is wanted. Raises `OutputUnavailable`."""
    names = ", ".join([*(repr(output.name) for output in outputs), *([f"or {unlisted}"] if unlisted else [])]) or "none"
    if wanted is None:
        if len(outputs) == 1:
            return outputs[0]
        if not outputs:
            advice = f"Set output_name to {unlisted}." if unlisted else "Check that the workflow writes a result."
            raise OutputUnavailable(f"run {run.run_id} lists no outputs. {advice}")
        raise OutputUnavailable(f"run {run.run_id} has {len(outputs)} outputs. Set output_name to one of: {names}.")
    named = [output for output in outputs if str(wanted) in (output.name, output.location)]
    if len(named) == 1:
        return named[0]
    index = int(wanted) if str(wanted).lstrip("-").isdecimal() else None
    if not named and index is not None and -len(outputs) <= index < len(outputs):
        return outputs[index]
    reason = f"has {len(named)} outputs named" if named else "has no output"
    raise OutputUnavailable(f"run {run.run_id} {reason} {wanted!r}; its outputs: {names}")


def wrong_fields(system: Any) -> Iterator[tuple[str, str]]:
    """Say what is wrong with the fields that the class of every system has: the field, and the reason."""
    kinds = (("key", str), ("label", str), ("default_conn_id", str), ("form", Form), ("states", Mapping))
    values = [(name, kind, getattr(system, name, None)) for name, kind in kinds]
    wrong = [
        (name, f"is missing, empty, or no {kind.__name__}")
        for name, kind, value in values
        if not isinstance(value, kind) or not value
    ]
    yield from wrong
    if wrong:
        return
    if not _KEY.fullmatch(system.key):
        yield "key", f"is {system.key!r}; a key has lower case letters, digits and underscores"
    for name in ("label", "default_conn_id"):
        if not getattr(system, name).isprintable():
            yield name, f"is {getattr(system, name)!r}; expected one line"
    yield from (("form", reason) for reason in wrong_form(system.form))
    yield from (("states", reason) for reason in wrong_states(system.states))
    seconds = system.poll_interval
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        yield "poll_interval", f"is {seconds!r}; expected a number of seconds above 0"
    options = system.start_options
    if not isinstance(options, (frozenset, set, tuple, list)) or not all(isinstance(name, str) for name in options):
        yield "start_options", "expected a frozenset of names"


def wrong_states(states: Mapping[Any, Any]) -> Iterator[str]:
    """Say what is wrong with a table of states."""
    known: dict[str, tuple[Any, Any]] = {}
    for word, state in states.items():
        spelling = str(word).strip().lower()
        if spelling in known and known[spelling][1] != state:
            other, meant = known[spelling]
            yield f"contradicts itself: {other!r} stands for {_state(meant)} and {word!r} for {_state(state)}"
        known[spelling] = word, state
    for word, state in states.items():
        is_word = isinstance(word, str) and bool(word) and word == word.strip().lower()
        if not is_word or not isinstance(state, RunState):
            yield f"has {word!r}: {state!r}; every word is lower case and stands for a RunState"
    if not {RunState.SUCCEEDED, RunState.FAILED} <= {one for one in states.values() if isinstance(one, RunState)}:
        yield "has no word for success, or none for failure"


def _state(value: Any) -> str:
    return f"RunState.{value.name}" if isinstance(value, RunState) else repr(value)

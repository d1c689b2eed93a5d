"""The values that users see: a run, its state, its outputs, a workflow."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import Enum
from typing import Any, cast

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.times import as_utc, iso, parse_time

# The longest text, in characters, that each field of a run object may hold. A run object may come from anybody.
LONGEST: Mapping[str, int] = {
    "system": 200,
    "conn_id": 1_000,
    "workflow": 100_000,  # a whole CALL fits
    "run_id": 10_000,
    "state": 20,
    "message": 1_000_000,
    "url": 20_000,
    "output_location": 20_000,
}
IDS = ("workflow", "run_id")  # native rendering of templates makes numbers of these
OUTPUT_LONGEST: Mapping[str, int] = {"name": 20_000, "kind": 200, "location": 20_000}
MOST_OUTPUTS = 100_000
MOST_FORMATS = 100
DEEPEST = 64  # levels of nesting in ``details``
MOST_VALUES = 1_000_000  # values in ``details``, at all levels
LONGEST_REPR = 1 << 20  # characters of a Python literal that is read as a run object
LONGEST_JSON = 64 << 20  # characters of a run object's JSON text
LONGEST_HANDLE = 20_000  # characters of a handle's JSON text
# What versions up to 0.1.0 wrote among the details of a run, and the part of the handle that it belongs to.
EARLIER_DETAILS: Mapping[str, Mapping[str, str]] = {
    "stevesie": {"fail_on_empty_results": "watch", "results_grace": "watch"},
    "chorus": {"over_since": "poll", "idle_since": "poll", "seen_running": "poll"},
}


class RunState(str, Enum):
    """Where a run is in its life; the last three are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True when the run will not change any more."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)

    def __str__(self) -> str:
        return self.value


class JsonObject(dict[str, Any]):
    """What makes a frozen dataclass readable as the JSON object that it stands for.

    Hook methods give such values, and Airflow stores what a ``@task`` returns: as a dict it takes them without an
    allow list of classes, and gives the next task the JSON object. Nothing can be changed through the dict.
    """

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Give a plain JSON object."""
        raise NotImplementedError

    def _mark(self) -> None:
        # The C encoder of `json` takes a dict without a single real entry for empty, before it asks for `items`.
        dict.__setitem__(self, "", None)

    def __getitem__(self, key: str) -> Any:
        return self.to_json()[key]

    def __contains__(self, key: object) -> bool:
        return key in self.to_json()

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_json())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self.to_json())

    def __len__(self) -> int:
        return len(self.to_json())

    def get(self, key: str, default: Any = None) -> Any:
        """Give one value of the JSON object."""
        return self.to_json().get(key, default)

    def keys(self) -> Any:
        """Give the keys of the JSON object."""
        return self.to_json().keys()

    def values(self) -> Any:
        """Give the values of the JSON object."""
        return self.to_json().values()

    def items(self) -> Any:
        """Give the items of the JSON object."""
        return self.to_json().items()

    def copy(self) -> dict[str, Any]:
        """Give a plain dict."""
        return self.to_json()

    def __or__(self, other: Any) -> Any:
        return self.to_json() | dict(other)

    def __ror__(self, other: Any) -> Any:
        return dict(other) | self.to_json()

    def __reduce__(self) -> Any:
        return _restored, (type(self), {f.name: getattr(self, f.name) for f in fields(cast("Any", self))})

    def _refuse(self, *args: Any, **more: Any) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be changed; make a dict of it first")

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _refuse


def _restored(made: type[Any], values: Mapping[str, Any]) -> Any:
    return made(**values)


@dataclass(frozen=True)
class Output(JsonObject):
    """One result of a run: a table or a file, and the formats in which it can be read."""

    name: str
    kind: str = "table"
    location: str = ""
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", tuple(self.formats))
        self._mark()

    def to_json(self) -> dict[str, Any]:
        """Give the output as a JSON object."""
        return {"name": self.name, "kind": self.kind, "location": self.location, "formats": list(self.formats)}


@dataclass(frozen=True)
class Workflow(JsonObject):
    """A workflow that can be started; ``details`` are further facts of its system."""

    id: str
    name: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._mark()

    def to_json(self) -> dict[str, Any]:
        """Give the workflow as a JSON object."""
        return {"id": self.id, "name": self.name, "details": dict(self.details)}


@dataclass(frozen=True, slots=True)
class RunHandle:
    """What this package needs to know about a run beside what its system says about it.

    Users have no use for it. All values are JSON values.

    :param watch: how the run is watched, as far as the user asked for something else than the defaults.
    :param poll: what the polls so far have seen and the next poll needs; empty when the run has ended.
    """

    watch: Mapping[str, Any] = field(default_factory=dict)
    poll: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.watch or self.poll)

    def with_watch(self, watch: Mapping[str, Any]) -> RunHandle:
        """Give the handle with these watch options and no others."""
        return self if watch == self.watch else _handle_of(watch, self.poll)

    def with_poll(self, **poll: Any) -> RunHandle:
        """Give the handle with this poll state and no other."""
        return self if poll == self.poll else _handle_of(self.watch, poll)

    def to_json(self) -> dict[str, Any]:
        """Give the handle as a JSON object, without what is empty."""
        return {name: dict(part) for name in ("watch", "poll") if (part := getattr(self, name))}


NO_HANDLE = RunHandle()


def _handle_of(watch: Mapping[str, Any], poll: Mapping[str, Any]) -> RunHandle:
    return RunHandle(dict(watch), dict(poll)) if watch or poll else NO_HANDLE  # thousands of runs share that one


@dataclass(frozen=True, slots=True)
class Run(JsonObject):
    """One execution of a workflow on an external system.

    Times are aware datetimes in UTC or None. ``output_location`` is set when there is exactly one output.
    ``details`` holds what the system says beside that: JSON values only, and never a secret, a token or a pre-signed
    URL. ``handle`` is for this package; a run object has it only where it holds something.
    """

    system: str
    conn_id: str
    workflow: str
    run_id: str
    state: RunState = RunState.QUEUED
    message: str = ""
    url: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outputs: tuple[Output, ...] = ()
    output_location: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    handle: RunHandle = NO_HANDLE

    def __post_init__(self) -> None:
        # Every poll makes runs, so what is right already is left alone.
        put = object.__setattr__
        only = self.outputs[0].location if len(self.outputs) == 1 else None
        put(self, "output_location", only or None)
        put(self, "details", dict(self.details))
        if self.system in EARLIER_DETAILS and not EARLIER_DETAILS[self.system].keys().isdisjoint(self.details):
            facts, handle = _moved(self.details, self.handle, EARLIER_DETAILS[self.system])
            put(self, "details", facts)
            put(self, "handle", handle)
        self._mark()
        if type(self.run_id) is not str:
            put(self, "run_id", str(self.run_id))
        if type(self.state) is not RunState:
            put(self, "state", RunState(self.state))
        if type(self.outputs) is not tuple:
            put(self, "outputs", tuple(self.outputs))
        for name in ("started_at", "ended_at"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                put(self, name, as_utc(moment))

    def to_json(self) -> dict[str, Any]:
        """Give the run object that XComs, events and transfers carry."""
        document = {
            **{f.name: getattr(self, f.name) for f in fields(self) if f.name != "handle"},
            "state": self.state.value,
            "started_at": iso(self.started_at),
            "ended_at": iso(self.ended_at),
            "outputs": [output.to_json() for output in self.outputs],
            "details": dict(self.details),
        }
        return {**document, "handle": self.handle.to_json()} if self.handle else document

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | str) -> Run:
        """Read a run object, or its JSON text; unknown keys are ignored.

        Every field has its type and a longest length; `InvalidArgument` names the field that does not fit. That a run
        object is well formed says nothing about who wrote it: it carries no authority, see `WorkflowSystem.rebuilt`.
        """
        document = _object(value)
        missing = [name for name in ("system", "conn_id", "run_id") if document.get(name) in (None, "")]
        if missing:
            raise InvalidArgument(f"run: the run object lacks {', '.join(missing)}")
        given: dict[str, Any] = {"workflow": ""}
        for name, longest in LONGEST.items():
            if document.get(name) is not None and name != "output_location":
                given[name] = _text(name, document[name], longest, number=name in IDS)
        given["state"] = _state(given.get("state", RunState.QUEUED.value))
        given["started_at"], given["ended_at"] = (
            _time(name, document.get(name)) for name in ("started_at", "ended_at")
        )
        given["outputs"] = _outputs(document.get("outputs"))
        given["details"] = _details(document.get("details"))
        given["handle"] = _handle(document.get("handle"))
        return cls(**given)


RunLike = Run | Mapping[str, Any] | str
RunArgument = RunLike | Any
"""What an operator's ``run`` may be: a `RunLike`, or an XCom that becomes one when the task runs."""


def place_of(run: Run) -> str:
    """Give the line of an error that says which run it is about: its id, its workflow and its address."""
    return f"  run: {run.run_id} of {run.workflow or run.system}{f' {run.url}' if run.url else ''}"


def parse_run(value: Any, *, system: str = "", conn_id: str = "", workflow: str = "") -> Run:
    """Read ``run`` as users may give it: a `Run`, its object, its JSON text, or a bare id.

    A bare id needs ``system`` and ``conn_id``. Raises `InvalidArgument`.
    """
    if isinstance(value, Run):
        return value
    if isinstance(value, Mapping) or (isinstance(value, str) and value.lstrip().startswith("{")):
        return Run.from_json(value)
    if isinstance(value, str) and value.startswith("Run(system="):
        raise InvalidArgument("run: this is Python's text of a run object; write the template with | tojson")
    if isinstance(value, str) and value.strip().lower() in ("none", "null"):
        raise InvalidArgument(f"run: is the text {value!r}: the template found no run; was the upstream task skipped?")
    if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
        if not (system and conn_id):
            raise InvalidArgument(
                f"run: the bare id {value!r} does not tell which system it belongs to; pass a run object, or system="
            )
        return Run(system=system, conn_id=conn_id, workflow=workflow, run_id=str(value).strip())
    if isinstance(value, str):
        raise InvalidArgument(
            "run: is empty; give a run object, its JSON text or an id (a template that finds none gives empty text)"
        )
    raise InvalidArgument(f"run: expected a run object, its JSON text or an id, not {type(value).__name__}")


def parse_runs(value: Any, *, system: str = "", conn_id: str = "") -> list[Run]:
    """Read one run or a sequence of runs, also the lazy sequence that a mapped task's XComs are.

    Bare ids need ``system`` and ``conn_id``. Raises `InvalidArgument` when there is no run.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _json(value)
    if isinstance(value, (Run, Mapping, str)) or not isinstance(value, Iterable):
        return [parse_run(value, system=system, conn_id=conn_id)]
    runs = [parse_run(item, system=system, conn_id=conn_id) for item in value if item is not None]
    if not runs:
        raise InvalidArgument("run: an empty sequence holds no run")
    return runs


def _refused(name: str, wanted: str, value: Any) -> InvalidArgument:
    return InvalidArgument(f"run: {name!r} is {wanted} in a run object, not {type(value).__name__}")


def _text(name: str, value: Any, longest: int, *, number: bool = False) -> str:
    if not isinstance(value, (str, int) if number else str) or isinstance(value, bool):
        raise _refused(name, "text", value)
    try:
        text = str(value)
    except ValueError:  # a number of thousands of digits
        text = "0" * (longest + 1)
    if len(text) > longest:
        raise InvalidArgument(f"run: {name!r} has more than {longest} characters")
    return text


def _state(word: str) -> RunState:
    try:
        return RunState(word)
    except ValueError:
        known = ", ".join(RunState)
        raise InvalidArgument(f"run: 'state' is one of {known} in a run object, not {word!r}") from None


def _time(name: str, value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, datetime, type(None))):
        raise _refused(name, "a time", value)
    try:
        return parse_time(value)
    except (ValueError, OverflowError):
        raise InvalidArgument(f"run: {name!r} is a time in a run object, not {str(value)[:50]!r}") from None


def _list(name: str, value: Any, most: int) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise _refused(name, "a list", value)
    if len(value) > most:
        raise InvalidArgument(f"run: {name!r} has {len(value)} items; at most {most} are allowed")
    return value


def _outputs(value: Any) -> tuple[Output, ...]:
    return tuple(_output(f"outputs[{index}]", item) for index, item in enumerate(_list("outputs", value, MOST_OUTPUTS)))


def _output(place: str, value: Any) -> Output:
    if not isinstance(value, Mapping):
        raise _refused(place, "an object", value)
    if "name" not in value:
        raise InvalidArgument(f"run: '{place}' lacks name")
    texts = {
        name: _text(f"{place}.{name}", value[name], longest)
        for name, longest in OUTPUT_LONGEST.items()
        if value.get(name) is not None
    }
    formats = _list(f"{place}.formats", value.get("formats"), MOST_FORMATS)
    words = tuple(_text(f"{place}.formats[{index}]", word, 200) for index, word in enumerate(formats))
    return Output(**{"name": "", **texts}, formats=words)


def _moved(
    details: Mapping[str, Any], handle: RunHandle, places: Mapping[str, str]
) -> tuple[dict[str, Any], RunHandle]:
    """Move what an earlier version wrote among the details into the handle; what the handle holds is newer."""
    moved: dict[str, dict[str, Any]] = {"watch": {}, "poll": {}}
    for name in places.keys() & details.keys():
        moved[places[name]][name] = details[name]
    facts = {name: value for name, value in details.items() if name not in places}
    return facts, _handle_of({**moved["watch"], **handle.watch}, {**moved["poll"], **handle.poll})


def _handle(value: Any) -> RunHandle:
    """Check a handle: a few small JSON values."""
    if value is None:
        return NO_HANDLE
    if not isinstance(value, Mapping):
        raise _refused("handle", "an object", value)
    watch, poll = (_details(value.get(part), f"handle.{part}") for part in ("watch", "poll"))
    if len(json.dumps([watch, poll])) > LONGEST_HANDLE:
        raise InvalidArgument(f"run: 'handle' has more than {LONGEST_HANDLE} characters")
    return _handle_of(watch, poll)


def _details(value: Any, name: str = "details") -> Mapping[str, Any]:
    """Check a mapping of JSON values: neither too deep nor too many."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _refused(name, "an object", value)
    left: list[tuple[str, Any, int]] = [(name, value, 0)]
    count = 0
    while left:
        place, item, depth = left.pop()
        count += 1
        if depth > DEEPEST:
            raise InvalidArgument(f"run: {name!r} is nested deeper than {DEEPEST} levels")
        if count + len(left) > MOST_VALUES:
            raise InvalidArgument(f"run: {name!r} has more than {MOST_VALUES} values")
        if isinstance(item, Mapping):
            odd = next((key for key in item if not isinstance(key, str)), None)
            if odd is not None:
                raise InvalidArgument(f"run: {place!r} has the key {odd!r}; every key is text in a run object")
            left += [(f"{place}.{key}"[:200], inner, depth + 1) for key, inner in item.items()]
        elif isinstance(item, (list, tuple)):
            left += [(place, inner, depth + 1) for inner in item]
        elif not isinstance(item, (str, int, float, bool, type(None))):
            raise _refused(place, "a JSON value", item)
    return value


def _json(text: str) -> Any:
    if len(text) > LONGEST_JSON:
        raise InvalidArgument(f"run: the JSON text has more than {LONGEST_JSON} characters")
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidArgument("run: the JSON text is nested too deeply") from None
    except ValueError as error:
        document = _python_repr(text)
        if document is not None:
            return document
        hint = "; write the template with | tojson" if text.lstrip().startswith(("{'", "Run(", "[{'", "[Run(")) else ""
        raise InvalidArgument(f"run: this is not JSON: {error}{hint}") from error


def _python_repr(text: str) -> Any:
    """Read a run object, or a list of them, from what ``{{ ti.xcom_pull(…) }}`` renders to; None for anything else."""
    if not text.lstrip().startswith(("{'", "[{'")) or len(text) > LONGEST_REPR:
        return None
    try:
        document = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
    runs = document if isinstance(document, list) else [document]
    needed = {"system", "conn_id", "run_id"}
    return document if all(isinstance(run, dict) and needed <= run.keys() for run in runs) else None


def _object(value: Mapping[str, Any] | str) -> Mapping[str, Any]:
    document = _json(value) if isinstance(value, str) else value
    if not isinstance(document, Mapping):
        raise InvalidArgument(f"run: expected a run object, not {type(document).__name__}")
    return document

"""The values that users see: a run, its state, its outputs, a workflow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.times import as_utc, iso, parse_time

TEXTS = ("system", "conn_id", "workflow", "run_id", "message", "url", "state")
IDS = ("workflow", "run_id")  # native rendering of templates makes numbers of these


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


@dataclass(frozen=True)
class Output:
    """One result of a run: a table or a file, and the formats in which it can be read."""

    name: str
    kind: str = "table"
    location: str = ""
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", tuple(self.formats))

    def to_json(self) -> dict[str, Any]:
        """Give the output as a JSON object."""
        return {"name": self.name, "kind": self.kind, "location": self.location, "formats": list(self.formats)}


@dataclass(frozen=True)
class Workflow:
    """A workflow that can be started; ``details`` is what else its system tells."""

    id: str
    name: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a workflow on an external system.

    Times are aware datetimes in UTC or None. ``output_location`` is set when there is exactly one output.
    ``details`` holds JSON values only, and never a secret, a token or a pre-signed URL.
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

    def __post_init__(self) -> None:
        # Every poll makes runs, so what is right already is left alone.
        put = object.__setattr__
        only = self.outputs[0].location if len(self.outputs) == 1 else None
        put(self, "output_location", only or None)
        put(self, "details", dict(self.details))
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
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "state": self.state.value,
            "started_at": iso(self.started_at),
            "ended_at": iso(self.ended_at),
            "outputs": [output.to_json() for output in self.outputs],
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | str) -> Run:
        """Read a run object, or its JSON text; unknown keys are ignored. Raises `InvalidArgument`."""
        document = _object(value)
        missing = [name for name in ("system", "conn_id", "run_id") if not document.get(name)]
        if missing:
            raise InvalidArgument(f"run: the run object lacks {', '.join(missing)}")
        given = {name: document[name] for name in TEXTS if document.get(name) is not None}
        odd = [name for name, text in given.items() if not isinstance(text, (str, int) if name in IDS else str)]
        if odd:
            raise InvalidArgument(f"run: {odd[0]!r} is text in a run object, not {type(document[odd[0]]).__name__}")
        known = {f.name for f in fields(cls)}
        try:
            kept = {name: item for name, item in document.items() if name in known and item is not None}
            kept["started_at"] = parse_time(document.get("started_at"))
            kept["ended_at"] = parse_time(document.get("ended_at"))
            kept["outputs"] = tuple(_output(item) for item in document.get("outputs") or ())
            return cls(**{"workflow": "", **kept})
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidArgument(f"run: this is not a run object: {error}") from error


RunLike = Run | Mapping[str, Any] | str


def parse_run(value: Any, *, system: str = "", conn_id: str = "", workflow: str = "") -> Run:
    """Read ``run`` as users may give it: a `Run`, its object, its JSON text, or a bare id.

    A bare id needs ``system`` and ``conn_id``. Raises `InvalidArgument`.
    """
    if isinstance(value, Run):
        return value
    if isinstance(value, Mapping) or (isinstance(value, str) and value.lstrip().startswith("{")):
        return Run.from_json(value)
    if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
        if not (system and conn_id):
            raise InvalidArgument(
                f"run: the bare id {value!r} does not tell which system it belongs to; pass a run object, or system="
            )
        return Run(system=system, conn_id=conn_id, workflow=workflow, run_id=str(value).strip())
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


def _output(value: Mapping[str, Any]) -> Output:
    texts = ("name", "kind", "location")
    if any(not isinstance(value.get(name, ""), str) for name in texts):
        raise TypeError(f"{', '.join(texts)} of an output are text")
    return Output(**{f.name: value[f.name] for f in fields(Output) if value.get(f.name) is not None})


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"run: this is not JSON: {error}") from error


def _object(value: Mapping[str, Any] | str) -> Mapping[str, Any]:
    document = _json(value) if isinstance(value, str) else value
    if not isinstance(document, Mapping):
        raise InvalidArgument(f"run: expected a run object, not {type(document).__name__}")
    return document

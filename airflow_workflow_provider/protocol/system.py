"""The contract of one workflow system. A new system is one subclass in ``systems/``, a façade per kind, and no more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from airflow_workflow_provider.exceptions import (
    CancelNotSupported,
    InvalidArgument,
    NotSupported,
    OutputUnavailable,
    RequestRejected,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.auth import Auth, NoAuth, redacted
from airflow_workflow_provider.protocol.connection import ConnectionValues, Transport
from airflow_workflow_provider.protocol.effects import Flow, Now, RunList
from airflow_workflow_provider.protocol.model import Output, Run, RunState, Workflow
from airflow_workflow_provider.protocol.parameters import Parameters
from airflow_workflow_provider.protocol.results import Source
from airflow_workflow_provider.protocol.times import from_epoch

NAME_PREFIX = "name:"


@dataclass(frozen=True)
class Field:
    """One field of a connection form. ``kind`` is a JSON schema type; a secret one is shown as a password."""

    label: str
    description: str = ""
    kind: str = "string"
    secret: bool = False
    choices: tuple[str, ...] = ()
    default: Any = None
    placeholder: str = ""


@dataclass(frozen=True)
class Form:
    """The connection form of a system: labels of Airflow's own fields, which of them are hidden, and the extras."""

    labels: Mapping[str, str]
    placeholders: Mapping[str, str]
    hidden: tuple[str, ...]
    extras: Mapping[str, Field]


COMMON_FIELDS: Mapping[str, Field] = {
    "verify": Field("Verify TLS", "true, false, or the path of a CA file. Default true.", placeholder="true"),
    "timeout": Field("Timeout", "Seconds that one request may take. Default 30.", placeholder="30"),
    "proxies": Field(
        "Proxies",
        'JSON object from scheme to proxy URL, such as {"https": "http://proxy:3128"}.',
        kind="object",
        placeholder='{"https": "http://proxy:3128"}',
    ),
    "allow_http": Field(
        "Allow http", "Send credentials over plain http. Default false.", kind="boolean", default=False
    ),
}


class WorkflowSystem(ABC):
    """One workflow system behind one connection. Every method that talks to the API is a flow.

    A system is made from `ConnectionValues`; bad values raise `InvalidConnection` there, before any request.
    ``auth`` is what signs a request to the API's own server, ``secrets`` what must not be seen anywhere.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    default_conn_id: ClassVar[str]
    form: ClassVar[Form]
    states: ClassVar[Mapping[str, RunState]]
    """The system's own words for a run's state, in lower case."""
    poll_interval: ClassVar[float] = 15.0
    """Seconds between two looks at a run, unless the user says otherwise."""
    start_options: ClassVar[frozenset[str]] = frozenset()
    """Keyword arguments that `start` understands beside workflow and parameters."""
    unlisted_outputs: ClassVar[str] = ""
    """What else than a run's own outputs can be named, for the message that tells what there is."""
    api_version: str = ""
    """The version of the API that this connection speaks, for people; a test of the connection may tell it."""
    can_cancel: bool = False
    can_list_workflows: ClassVar[bool] = False
    can_find_runs: ClassVar[bool] = False
    lost_starts: str = "is not found again, see on_unknown_start"
    """What becomes of a start whose answer was lost, for people, where the API cannot list runs."""
    can_count_rows: ClassVar[bool] = False
    """Whether one call tells how many rows an output has."""
    repeats: ClassVar[bool] = False
    """Whether a look is told the same, byte for byte, while nothing has changed, and hangs on nothing else."""
    lists_parameters: ClassVar[bool] = False
    """Whether that list shows the parameters of a run, by which `find_started` tells runs apart."""

    def __init__(self, values: ConnectionValues) -> None:
        self.conn_id = values.conn_id
        self.transport: Transport = values.transport()
        self.auth: Auth = NoAuth()
        self.secrets: tuple[str, ...] = ()

    @abstractmethod
    def start(self, workflow: str, parameters: Parameters, options: Mapping[str, Any]) -> Flow[Run]:
        """Start a run. The request that starts it goes through `Api.start`."""

    @abstractmethod
    def get_run(self, run: Run) -> Flow[Run]:
        """Look at a run once."""

    def conclude(self, run: Run) -> Flow[Run]:
        """Add, once, what is worth asking for after a run has ended."""
        return run
        yield

    def with_options(self, run: Run, options: Mapping[str, Any]) -> Run:
        """Give the run with what a user wants of its watching; systems read these from ``details``."""
        return replace(run, details={**run.details, **options}) if options else run

    def look(self, run: Run) -> Flow[Run]:
        """Look at a run once; one that has ended is concluded."""
        seen = yield from self.get_run(run)
        if seen.state.is_terminal:
            # Some APIs tell no end time; the moment when it was seen is the next best.
            seen = seen if seen.ended_at else replace(seen, ended_at=from_epoch((yield Now())))
            seen = yield from self.conclude(seen)
        return self.cleaned(seen)

    def run_list(self, run: Run) -> RunList | None:
        """Give the list call that tells of this run and its like whether they go on; None where there is none."""
        return None

    def cleaned(self, run: Run) -> Run:
        """Remove credentials that the server's own words about a run repeat."""
        message = redacted(run.message, (*self.secrets, *self.auth.minted))
        return run if message == run.message else replace(run, message=message)

    @abstractmethod
    def test(self) -> Flow[str]:
        """Check the connection without side effects; give a sentence for the user."""

    @abstractmethod
    def read(self, run: Run, output: Output) -> Source:
        """Tell how one output of a run that succeeded is read; nothing is sent yet."""

    def cancel(self, run: Run) -> Flow[None]:
        """Ask the system to stop a run; returns when the request was taken, not when the run has stopped."""
        raise CancelNotSupported(f"{self.label} has no API call that cancels a run; run {run.run_id} goes on")
        yield

    def list_workflows(self) -> Flow[list[Workflow]]:
        """List what can be started."""
        raise NotSupported(f"{self.label} has no API call that lists workflows")
        yield

    def named(self, name: str) -> Flow[list[Workflow]]:
        """List the workflows among which one of this name would be."""
        return (yield from self.list_workflows())

    def resolved(self, workflow: str) -> Flow[str]:
        """Give the id of ``name:…``; anything else is an id already."""
        text = workflow.strip()
        if not text.lower().startswith(NAME_PREFIX):
            return text
        name = text[len(NAME_PREFIX) :].strip()
        found = [workflow for workflow in (yield from self.named(name)) if workflow.name == name]
        if len(found) == 1:
            return found[0].id
        if not found:
            raise WorkflowNotFound(f"connection {self.conn_id!r}: no workflow has the name {name!r}")
        ids = ", ".join(workflow.id for workflow in found)
        raise RequestRejected(f"connection {self.conn_id!r}: {len(found)} workflows have the name {name!r}: {ids}")

    def find_runs(self, workflow: str, since: datetime | None = None) -> Flow[list[Run]]:
        """List the runs of a workflow, newest first, those that started before ``since`` left out."""
        raise NotSupported(f"{self.label} has no API call that lists the runs of a workflow")
        yield

    def list_runs(self, workflow: str, since: datetime | None = None) -> Flow[list[Run]]:
        """List as `find_runs` does in as few calls as it takes: a run that has ended may lack what `look` adds."""
        return (yield from self.find_runs(workflow, since))

    def find_started(
        self, workflow: str, parameters: Parameters, options: Mapping[str, Any], since: datetime
    ) -> Flow[list[Run]]:
        """List the runs that a start with these arguments may have left, whose answer was lost."""
        return (yield from self.find_runs(workflow, since))

    def output_by_name(self, run: Run, name: str) -> Output | None:
        """Give an output that no run lists, such as a table beside it, or None."""
        return None

    def count_rows(self, run: Run, output: Output) -> Flow[int]:
        """Count the rows of an output without reading them."""
        raise NotSupported(f"{self.label} has no API call that counts the rows of an output")
        yield

    def outputs(self, run: Run) -> Flow[list[Output]]:
        """Give the outputs of a run that succeeded; what the run object tells, unless the system asks again."""
        return list(run.outputs)
        yield

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse keyword arguments that this system's start does not have."""
        unknown = sorted(set(options) - self.start_options)
        if unknown:
            known = ", ".join(sorted(self.start_options)) or "none"
            raise InvalidArgument(f"{unknown[0]}: {self.label} has no such start option; it has: {known}")


def choose(outputs: list[Output], wanted: str | int | None, run: Run, unlisted: str = "") -> Output:
    """Choose one output by name or index; the only one when nothing is wanted. Raises `OutputUnavailable`."""
    names = ", ".join([*(repr(output.name) for output in outputs), *([f"or {unlisted}"] if unlisted else [])]) or "none"
    if wanted is None:
        if len(outputs) == 1:
            return outputs[0]
        raise OutputUnavailable(f"run {run.run_id} has {len(outputs)} outputs, name one: {names}")
    named = [output for output in outputs if str(wanted) in (output.name, output.location)]
    if len(named) == 1:
        return named[0]
    index = int(wanted) if str(wanted).lstrip("-").isdecimal() else None
    if not named and index is not None and -len(outputs) <= index < len(outputs):
        return outputs[index]
    reason = f"has {len(named)} outputs named" if named else "has no output"
    raise OutputUnavailable(f"run {run.run_id} {reason} {wanted!r}; its outputs: {names}")

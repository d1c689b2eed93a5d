"""What a flow may ask its driver for. Values only: the drivers in `client` do the work.

A flow yields one of these and is sent the result:

* `Request`  -> `Response`; `NotSent` or `NoAnswer` is thrown into the flow when the network fails
* `Sleep`    -> None, after that many seconds
* `Rest`     -> None, after that many seconds, or later where a list call shows that nothing has changed
* `Now`      -> the time in seconds since 1970
* `Shared`   -> the value of a flow that all who ask for it at the same time share
* `Secret`   -> None; the driver has masked the value in the logs
* `Note`     -> None; the driver has logged the sentence
* `Call`     -> what a coroutine function gives; only a driver in an event loop can ask it
* `Chunk`    -> None; a part of a result, handed to whoever reads the stream
* `AtEnd`    -> None; the driver of a worker runs another flow when this one has ended, however it ends
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar, cast

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.documents import (
    MAX_ANSWER,
    SAFE_DIGITS,
    control_document,
    exact_document,
    exact_number,
)
from airflow_workflow_provider.protocol.text import clean_text

__all__ = [
    "SAFE_DIGITS",
    "AtEnd",
    "BadAnswer",
    "Call",
    "Chunk",
    "Flow",
    "NoAnswer",
    "NotSent",
    "Note",
    "Now",
    "Request",
    "Response",
    "Rest",
    "RunList",
    "Secret",
    "Shared",
    "Shown",
    "Sleep",
    "T",
    "TooLarge",
    "TransportError",
    "exact_number",
    "intercept",
    "value_of",
]
T = TypeVar("T")
Flow = Generator[Any, Any, T]


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Request:
    """One HTTP request, complete but for its credentials.

    ``json`` is sent as a JSON body, ``form`` as a URL-encoded one, ``files`` (field to file name and bytes; without a
    file name a plain field) as a multipart one. ``sign`` is a `requests` auth object for
    schemes that sign the finished request. ``stream`` asks for the body as a file object (workers only).
    ``timeout`` (seconds) overrides the connection's. An ``urgent`` one is sent even to a server that counts as down.
    A ``lasting`` one may be sent again as it is, since its credentials do not change; ``made`` is what the driver has
    made of it the first time. ``signed_for`` is the address of the API whose credentials the request carries: the
    client sends it to no other origin. A ``foreign`` one goes without credentials to an address that a server gave.
    ``starts`` marks the request that starts a run, ``exact`` one whose answer holds the rows of a table.
    Nothing depends on an ``optional`` one: its failure says nothing about the server's health.
    """

    method: str
    url: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    sign: Any = None
    stream: bool = False
    timeout: float | None = None
    urgent: bool = False
    lasting: bool = False
    made: Any = None
    signed_for: str = ""
    foreign: bool = False
    starts: bool = False
    optional: bool = False
    exact: bool = False
    files: Mapping[str, tuple[str | None, bytes]] | None = None

    def with_headers(self, **headers: str) -> Request:
        """Give the same request with these headers added."""
        return self.changed(headers={**self.headers, **headers})

    def changed(self, **fields: Any) -> Request:
        """Give a copy with these fields changed; `dataclasses.replace` costs eight times as much, at every poll."""
        made = object.__new__(Request)
        for name in self.__slots__:
            object.__setattr__(made, name, fields[name] if name in fields else getattr(self, name))
        if "made" not in fields:
            object.__setattr__(made, "made", None)
        return made

    def __str__(self) -> str:
        # The query is left out, and so is all the rest: they can hold a credential.
        return f"{self.method} {self.url.partition('?')[0]}"

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Response:
    """One HTTP answer; header names are lower case. ``raw`` is the body's file object when it was streamed.

    ``parsed`` is the JSON document, in a tuple of its own, where the driver has read a large body already, and
    ``unreadable`` the reason why it could not.
    ``native`` says whether a parser in another language may read the body: in the triggerer, which all teams share,
    a fault of such a parser would end everybody's triggers.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    raw: BinaryIO | None = None
    parsed: tuple[Any, ...] = field(default=(), repr=False)
    unreadable: str = ""
    native: bool = True

    def text(self, limit: int = MAX_ANSWER) -> str:
        """Give the body as clean text, or its first ``limit`` bytes. What is not UTF-8 is shown as well as it goes."""
        return clean_text(self.body[:limit].decode("utf-8-sig", errors="replace"))

    def json(self, *, exact: bool = False) -> Any:
        """Parse the body as JSON; raises ValueError, also for a document that is nested too deeply or too large.

        Its texts are clean, see `clean_text`. ``exact`` is for the rows of a table, which are data: their texts stay
        as they are, and a number that a float would change becomes a Decimal.
        """
        if self.unreadable:
            raise ValueError(self.unreadable)
        if self.parsed:
            return self.parsed[0]
        return exact_document(self.body) if exact else control_document(self.body)

    def json_or_none(self) -> Any:
        """Parse the body as JSON where it is some: error bodies may be anything."""
        try:
            return self.json()
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Shown:
    """What a list call shows of the runs that somebody waits for: those that go on, and those to be looked at now.

    A run in neither is not shown. ``rows`` counts what was read, ``requests`` what it took; ``is_whole`` is false where
    the rest of the list was not worth reading.
    """

    going: Collection[str]
    over: Collection[str]
    rows: int
    requests: int = 1
    is_whole: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class RunList:
    """A list call that answers for many runs: those of a workflow, under one connection.

    ``read`` makes its flow, given the workflow and the ids that somebody waits for. `NotSupported`, raised there, says
    that there is no such list. Everybody who waits holds one of these, so it is small.
    """

    workflow: str
    read: Callable[[str, Collection[str]], Flow[Shown]]

    def ask(self, wanted: Collection[str]) -> Flow[Shown]:
        """Give the flow that finds these runs in the list."""
        return self.read(self.workflow, wanted)


@dataclass(frozen=True, slots=True)
class Rest(Sleep):
    """Wait until a run is to be looked at: after ``seconds``, unless a list call has shown by then that it goes on.

    ``interval`` (seconds) is how often that list is to be asked for, ``longest`` the wait that nothing prolongs. A
    driver that shares no list calls merely sleeps.
    """

    run_id: str
    run_list: RunList
    interval: float
    longest: float | None = None


@dataclass(frozen=True, slots=True)
class Now:
    """Ask for the time."""


@dataclass(frozen=True, eq=False)
class Shared:
    """Run a flow once for all who ask under the same key at the same time (a log-in, a list call)."""

    key: Any
    flow: Callable[[], Flow[Any]]


@dataclass(frozen=True)
class Secret:
    """Mask this value wherever the process logs."""

    value: str = field(repr=False)


@dataclass(frozen=True)
class Note:
    """Log one sentence for the user."""

    text: str
    level: str = "info"


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """Call a coroutine function and await it."""

    function: Callable[[], Awaitable[Any]]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Hand out a part of a result."""

    data: Any


@dataclass(frozen=True, eq=False)
class AtEnd:
    """Run a flow when the flow that asks has ended: by its last step, by an error, or because its reader has stopped.

    What the flow ``make()`` raises is a warning in the log. Only a worker's driver knows it.
    """

    make: Callable[[], Flow[None]]


class TransportError(Exception):
    """The network failed; thrown into the flow that asked for the request."""


class NotSent(TransportError):
    """The request did not reach the server: no such host, connection refused, TLS refused.

    ``retry_after`` (seconds) is set where nothing was tried, since the server is to be left alone for so long.
    """

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class NoAnswer(TransportError):
    """The request may have reached the server, and no whole answer came back."""


class BadAnswer(NoAnswer):
    """The request reached the server, and its answer cannot be read: it is too large or breaks the protocol."""


class TooLarge(BadAnswer):
    """The request reached the server, and its answer is above the limit of the connection."""


def intercept(
    flow: Flow[T],
    on_effect: Callable[[Any], Flow[Any]],
    thrown: tuple[type[Exception], ...] = (TransportError, WorkflowError),
) -> Flow[T]:
    """Drive a flow inside another one: ``on_effect`` answers each of its effects.

    ``on_effect`` is a flow of its own; it may yield the effect, or another one, and return the reply. An error of one
    of the types ``thrown`` that it raises is thrown into the flow.
    """
    reply: Any = None
    error: Exception | None = None
    try:
        while True:
            effect = flow.throw(error) if error else flow.send(reply)
            reply = error = None
            try:
                reply = yield from on_effect(effect)
            except thrown as failure:
                error = failure
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        flow.close()


def value_of(flow: Flow[T]) -> T:
    """Give the value of a flow that leaves no effect to a driver, since all of them are intercepted."""
    try:
        effect = next(flow)
    except StopIteration as end:
        return cast("T", end.value)
    raise TypeError(f"a flow yielded {effect!r}, and there is no driver")

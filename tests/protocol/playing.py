"""Playing a flow by hand: the test is the driver, so there is no network and no waiting."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.effects import (
    AtEnd,
    Chunk,
    Flow,
    Note,
    Now,
    Request,
    Response,
    Secret,
    Shared,
    Sleep,
    TransportError,
)

EPOCH = 1_790_000_000.0  # some moment in 2026
Answer = Response | TransportError


def answer(status: int = 200, body: Any = None, **headers: str) -> Response:
    """An HTTP answer; a body that is neither bytes nor text is sent as JSON. ``retry_after`` is ``retry-after``."""
    if isinstance(body, str):
        body = body.encode()
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


@dataclass
class Player:
    """Plays flows: requests get the answers in turn (the last one for ever), time passes by sleeping only."""

    answers: list[Answer] = field(default_factory=list)
    answer_to: Callable[[Request], Answer] | None = None
    now: float = EPOCH
    requests: list[Request] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    chunks: list[Any] = field(default_factory=list)

    def play(self, flow: Flow[Any]) -> Any:
        """Drive a flow to its end; give its value or raise what it raises."""
        reply: Any = None
        error: Exception | None = None
        ends: list[Callable[[], Flow[Any]]] = []
        try:
            while True:
                effect = flow.throw(error) if error else flow.send(reply)
                reply = error = None
                if isinstance(effect, AtEnd):
                    ends.append(effect.make)
                    continue
                try:
                    reply = self.perform(effect)
                except (TransportError, WorkflowError) as failure:
                    error = failure
        except StopIteration as end:
            return end.value
        finally:
            for make in ends:
                self.play(make())

    def perform(self, effect: Any) -> Any:
        """Do what a flow asks for."""
        match effect:
            case Request():
                return self.sent(effect)
            case Sleep(seconds=seconds):
                self.sleeps.append(seconds)
                self.now += seconds
            case Now():
                return self.now
            case Shared(flow=make):
                return self.play(make())
            case Secret(value=value):
                self.secrets.append(value)
            case Note(text=text):
                self.notes.append(text)
            case Chunk(data=data):
                self.chunks.append(data)
            case _:
                raise AssertionError(f"{effect!r} is no effect")
        return None

    def sent(self, request: Request) -> Response:
        """Answer one request."""
        assert len(self.requests) < 10_000, "the flow asks for ever"
        self.requests.append(request)
        if self.answer_to:
            given = self.answer_to(request)
        else:
            assert self.answers, f"no answer is left for {request}"
            given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, TransportError):
            raise given
        return given

    @property
    def asked(self) -> list[str]:
        """The requests in short: ``GET /path``, whatever the host."""
        return [f"{request.method} /{request.url.split('/', 3)[-1]}" for request in self.requests]


def play(flow: Flow[Any], answers: Iterable[Answer] = (), **more: Any) -> Any:
    """Play one flow with these answers and give its value."""
    return Player(list(answers), **more).play(flow)


def by_path(table: Mapping[str, Answer]) -> Callable[[Request], Answer]:
    """Answer a request by the first key that its URL contains."""

    def chosen(request: Request) -> Answer:
        return next(given for part, given in table.items() if part in request.url)

    return chosen

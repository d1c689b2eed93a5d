"""Faults on demand: what the network and a server under stress do to a request."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_type_hints

from .settings import fits, spelled

KINDS = {
    "status": "answer with status, headers and body instead of processing",
    "html": "answer with an HTML error page (503 unless status is given) instead of processing",
    "reset": "reset the connection instead of processing",
    "lost": "process, then reset the connection instead of answering",
    "slow": "wait `seconds`, then process",
    "late": "process, wait `seconds`, then answer",
    "truncate": "process, answer with half of the body and close",
}
STATUS = {"status": 500, "html": 503}
HTML = "<html><head><title>{status}</title></head><body><h1>{status} Service Unavailable</h1><hr>proxy</body></html>"


class BadFault(ValueError):
    """A fault that cannot be: unknown kind or key, a bad regular expression, a missing system."""


@dataclass
class Fault:
    """One planned fault; ``times`` None means without end, ``after`` lets that many matching requests pass first."""

    system: str
    kind: str
    method: str | None = None
    path: str | None = None
    status: int | None = None
    headers: dict[str, str | int] = field(default_factory=dict)
    body: Any = None
    content_type: str | None = None
    seconds: float = 0.0
    times: int | None = 1
    after: int = 0
    probability: float = 1.0
    id: int = 0
    fired: int = 0

    def matches(self, system: str, method: str, path: str) -> bool:
        """Whether a request (its path below the mount) is one of those that this fault waits for."""
        return (
            self.times != 0
            and self.system == system
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or re.search(self.path, path) is not None)
        )

    def answer(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of the kinds that answer instead of processing."""
        status = self.status if self.status is not None else STATUS[self.kind]
        if self.kind == "html" and self.body is None:
            body, content_type = HTML.format(status=status), "text/html; charset=utf-8"
        elif isinstance(self.body, str):
            body, content_type = self.body, "text/html" if self.kind == "html" else "text/plain; charset=utf-8"
        else:
            body = "" if self.body is None else json.dumps(self.body)
            content_type = "application/json"
        data = body.encode()
        headers = {"content-type": self.content_type or content_type, "content-length": str(len(data))}
        headers |= {name.lower(): str(value) for name, value in self.headers.items()}
        return status, [(name.encode(), value.encode("latin-1")) for name, value in headers.items()], data


class Faults:
    """The planned faults in the order in which they were asked for; the oldest that is due strikes."""

    def __init__(self, systems: list[str]) -> None:
        self.systems = systems
        self.clear()

    def clear(self) -> None:
        """Forget all; the random numbers for ``probability`` start again, so a test always sees the same series."""
        self.planned: list[Fault] = []
        self.numbers = itertools.count(1)
        self.dice = random.Random(0)  # noqa: S311 - reproducible, not secret

    def plan(self, wanted: Mapping[str, Any]) -> Fault:
        """Add a fault from its JSON form; raises :class:`BadFault`."""
        check(wanted, self.systems)
        fault = Fault(**(dict(wanted) | {"id": next(self.numbers), "fired": 0}))
        self.planned.append(fault)
        return fault

    def strike(self, system: str, method: str, path: str) -> Fault | None:
        """The fault that this request meets, if any; counts it."""
        for fault in self.planned:
            if not fault.matches(system, method, path):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if fault.probability < 1 and self.dice.random() >= fault.probability:
                continue
            fault.fired += 1
            fault.times = fault.times if fault.times is None else fault.times - 1
            return fault
        return None

    def to_json(self) -> list[dict[str, Any]]:
        """All faults with what is left of them."""
        return [asdict(fault) for fault in self.planned]


def check(wanted: Mapping[str, Any], systems: list[str]) -> None:
    """Name what is wrong with a fault's JSON form."""
    known = set(Fault.__dataclass_fields__) - {"id", "fired"}
    if unknown := sorted(set(wanted) - known):
        raise BadFault(f"Unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    if wanted.get("system") not in systems:
        raise BadFault(f"'system' must be one of {', '.join(systems)}")
    if wanted.get("kind") not in list(KINDS):
        raise BadFault(f"'kind' must be one of {', '.join(KINDS)}")
    hints = get_type_hints(Fault)
    for name, value in wanted.items():
        if not fits(value, hints[name]):
            raise BadFault(f"{name!r} takes {spelled(hints[name])}, not {value!r}")
    try:
        re.compile(wanted.get("path") or "")
    except re.error as error:
        raise BadFault(f"'path' is no regular expression: {error}") from error

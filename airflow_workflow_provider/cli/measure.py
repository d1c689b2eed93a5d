"""Measures a flow while a driver runs it: addresses, answer times and the difference of the clocks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Any

from airflow_workflow_provider.protocol.effects import Flow, Request, Response, Shared, T, intercept


@dataclass
class Seen:
    """What was asked and answered: the first URL, the seconds of each answer, and the difference of the clocks."""

    url: str = ""
    seconds: list[float] = field(default_factory=list)
    skew: float | None = None
    """Seconds by which the server's clock is ahead of ours; servers tell whole seconds."""

    def answered(self, response: Response, began: float) -> None:
        """Note one answer."""
        now = time.time()
        self.seconds.append(now - began)
        told = _date(response.headers)
        if told is not None:
            # The server wrote its second somewhere between the question and the answer.
            self.skew = max(told - now, 0.0) or min(told + 1 - began, 0.0)

    @property
    def typical(self) -> float | None:
        """The median time of an answer, in seconds."""
        return median(self.seconds) if self.seconds else None


def observed(flow: Flow[T], seen: Seen) -> Flow[T]:
    """Pass everything on to the driver, and note requests and answers, those of a log-in too."""

    def noted(effect: Any) -> Flow[Any]:
        if isinstance(effect, Shared):
            effect = Shared(effect.key, _inner(effect, seen))
        if isinstance(effect, Request):
            seen.url = seen.url or effect.url
        began = time.time()
        reply = yield effect
        if isinstance(reply, Response):
            seen.answered(reply, began)
        return reply

    return intercept(flow, noted, (Exception,))


def _inner(effect: Shared, seen: Seen) -> Any:
    return lambda: observed(effect.flow(), seen)


def _date(headers: Mapping[str, str]) -> float | None:
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None

"""Drives flows on a worker, with `requests`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import requests
from requests import exceptions as failures
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError as Urllib3Error

from airflow_workflow_provider.client.answers import (
    BROKEN,
    AnswerBody,
    Body,
    failure_text,
    hide_secrets,
    without_proxy_secrets,
)
from airflow_workflow_provider.client.request_builder import check_address, check_peer, prepared
from airflow_workflow_provider.client.tls import bundle_of, checked, state_of
from airflow_workflow_provider.client.worker_session import Exchange, exchanging, session
from airflow_workflow_provider.exceptions import TaskStopped, WorkflowError
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import (
    AtEnd,
    BadAnswer,
    Chunk,
    Flow,
    NoAnswer,
    Note,
    NotSent,
    Now,
    Request,
    Response,
    Secret,
    Shared,
    Sleep,
    T,
    TransportError,
)
from airflow_workflow_provider.protocol.redact import redacted
from airflow_workflow_provider.protocol.retry import step
from airflow_workflow_provider.protocol.text import cut_text, one_line
from airflow_workflow_provider.protocol.times import server_lag

log = logging.getLogger(__name__)
NAP = 0.5  # seconds; a sleeping worker notices within this time that it was told to stop
CHUNK = 64 * 1024  # bytes that are read at once
WHOLE = 1.5  # of the time-out: how long a request may take from its first byte to the last of its answer
NOTE_LENGTH = 2000  # characters of a sentence in the log


class WorkerClient:
    """Sends the requests of flows one after the other, over one kept session.

    ``mask`` hides a value in the task log. ``secrets`` gives the credentials that are removed from sentences for the
    log. ``stop`` makes the flow that is running end in `TaskStopped`; it only sets a flag, so a signal handler may
    call it.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        mask: Callable[[str], None] = lambda secret: None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
        logger: logging.Logger | Any = log,
        secrets: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._transport, self._proxy_secrets = transport, transport.secrets
        self._mask, self._sleep, self.now, self._log, self._secrets = mask, sleep, now, logger, secrets
        self._stopped = False
        self._noted: set[str] = set()
        self._authorities = state_of(bundle_of(transport))
        self._dated: tuple[Mapping[str, str], float] | None = None  # headers, and when they arrived
        self.session = session(transport)

    @property
    def server_lag(self) -> float | None:
        """How many seconds the server's clock is behind this one's, by its last answer; below 0 where it is ahead.

        None where no answer had a date.
        """
        return server_lag(*self._dated) if self._dated else None

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end and give its value."""
        chunks = self._drive(flow)
        try:
            while True:
                next(chunks)
        except StopIteration as end:
            return cast("T", end.value)

    def stream(self, flow: Flow[Any]) -> Iterator[Any]:
        """Drive a flow and give its chunks as they come; the next one is fetched while one is used.

        That happens in a thread: no other flow should be driven before the last chunk, or `close` of the iterator.
        """
        yield from prefetch(self._drive(flow), 0)

    def stop(self) -> None:
        """Make the running flow end soon."""
        self._stopped = True

    def close(self) -> None:
        """Close the session's sockets."""
        self.session.close()

    def _drive(self, flow: Flow[T]) -> Generator[Any, None, T]:
        reply: Any = None
        error: TransportError | WorkflowError | None = None
        ends: list[Callable[[], Flow[None]]] = []
        try:
            while True:
                effect = step(flow, reply, error)
                reply = error = None
                if isinstance(effect, AtEnd):
                    ends.append(effect.make)
                    continue
                if isinstance(effect, Chunk):
                    yield effect.data
                    effect = None  # what was given out must not stay while the next one is made
                    continue
                try:
                    reply = self._perform(effect)
                except (TransportError, WorkflowError) as failure:  # a shared flow may raise the latter
                    error = failure
        except StopIteration as end:
            return cast("T", end.value)
        except Exception as failure:
            hide_secrets(failure, self._secrets())
            raise
        finally:
            flow.close()
            for make in reversed(ends):
                self._clean_up(make())

    def _clean_up(self, flow: Flow[None]) -> None:
        """Run what a flow has left for its end, also in a task that was told to stop; a failure is a warning."""
        stopped, self._stopped = self._stopped, False
        try:
            self.run(flow)
        except (WorkflowError, TransportError) as error:
            self._note(f"Cleaning up failed: {error}", "warning")
        finally:
            self._stopped = stopped or self._stopped

    def _perform(self, effect: Any) -> Any:
        match effect:
            case Request():
                return self._send(effect)
            case Sleep(seconds=seconds):
                return self._wait(seconds)
            case Now():
                return self.now()
            case Shared(flow=make):
                return self.run(make())
            case Secret(value=value):
                return self._mask(value)
            case Note(text=text, level=level):
                return self._note(text, level)
        raise TypeError(f"a flow yielded {effect!r}, which is no effect")

    def _note(self, text: str, level: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            getattr(self._log, level)("%s", shown(text, self._secrets()))

    def _wait(self, seconds: float) -> None:
        end = self.now() + seconds
        while not self._stopped and (left := end - self.now()) > 0:
            self._sleep(min(left, NAP))
        if self._stopped:
            raise TaskStopped("the task was told to stop while it waited")

    def _send(self, request: Request) -> Response:
        timeout = request.timeout or self._transport.timeout
        check_address(request, request.url, self._transport)  # before it is signed
        made = prepared(request)
        url = str(made.url)
        if url != request.url:
            check_address(request, url, self._transport)
        self._follow_authorities()
        settings = self._settings(request)
        proxy = select_proxy(url, settings["proxies"])
        peer = partial(check_peer, urlsplit(url).hostname or "", transport=self._transport)
        exchange = Exchange(timeout * WHOLE, peer if request.foreign and not proxy else None)
        try:
            with exchanging(exchange):
                return self._exchanged(request, made, timeout, settings, proxy, exchange)
        except (WorkflowError, TransportError):
            raise
        except (failures.RequestException, Urllib3Error, OSError) as error:
            failure: TransportError = (NoAnswer if exchange.was_sent else NotSent)(failure_text(error, timeout))
        except BROKEN as error:
            failure = (BadAnswer if exchange.was_sent else NotSent)(failure_text(error, timeout))
        raise failure  # here and not above: the chain of exceptions would show the whole address

    def _exchanged(
        self,
        request: Request,
        made: requests.PreparedRequest,
        timeout: float,
        settings: Any,
        proxy: str | None,
        exchange: Exchange,
    ) -> Response:
        answer = self.session.send(made, timeout=timeout, allow_redirects=False, **settings)
        if request.stream and answer.ok:
            exchange.deadline = None  # a result may take as long as its bytes keep coming
            body = Body(answer)
            return Response(answer.status_code, body.headers, raw=cast("BinaryIO", body))
        headers = {name.lower(): value for name, value in answer.headers.items()}
        with answer:
            if answer.status_code == 407 and proxy:
                raise NotSent("the proxy refused its credentials: HTTP 407")
            if "date" in headers and not request.foreign:
                self._dated = {"date": headers["date"]}, self.now()
            content = AnswerBody(headers, self._transport.worker_limit)
            for chunk in answer.raw.stream(CHUNK, decode_content=False):
                for _ in content.feed(chunk):
                    pass
        value = content.value()
        value = without_proxy_secrets(answer.status_code, value, self._proxy_secrets)
        return Response(answer.status_code, headers, value)

    def _follow_authorities(self) -> None:
        """Close the kept connections where the CA file was replaced: they were made with the old authorities."""
        state = state_of(bundle_of(self._transport))
        if state != self._authorities:
            self._authorities = state
            checked(self._transport)
            self.session.close()

    def _settings(self, request: Request) -> Any:
        return self.session.merge_environment_settings(
            request.url, dict(self._transport.proxies), True, self._transport.verify, None
        )


def shown(text: str, secrets: Iterable[str]) -> str:
    """Give a sentence for the log: on one line, clean, without credentials, and not too long."""
    return cut_text(one_line(redacted(text, secrets)), NOTE_LENGTH)

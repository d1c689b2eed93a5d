"""Drives flows on a worker, with `requests`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any, BinaryIO, cast

import requests
from requests import exceptions as failures
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError as Urllib3Error

from airflow_workflow_provider.client.body import Body, described, never_sent
from airflow_workflow_provider.client.prepare import prepared
from airflow_workflow_provider.client.tls import checked
from airflow_workflow_provider.exceptions import TaskStopped, WorkflowError
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import (
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

log = logging.getLogger(__name__)
_NAP = 0.5  # seconds; a sleeping worker notices within this time that it was told to stop


class WorkerClient:
    """Sends the requests of flows one after the other, over one kept session.

    ``mask`` hides a value in the task log. ``stop`` makes the flow that is running end in `TaskStopped`; it only
    sets a flag, so a signal handler may call it.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        mask: Callable[[str], None] = lambda secret: None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
        logger: logging.Logger | Any = log,
    ) -> None:
        self._transport = transport
        self._mask, self._sleep, self.now, self._log = mask, sleep, now, logger
        self._stopped = False
        self._noted: set[str] = set()
        self.session = session(transport)

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end and give its value."""
        chunks = self._drive(flow)
        try:
            while True:
                next(chunks)
        except StopIteration as end:
            return cast("T", end.value)

    def stream(self, flow: Flow[Any]) -> Iterator[Any]:
        """Drive a flow and hand out its chunks as they come; the next one is fetched while one is used.

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
        try:
            while True:
                effect = flow.throw(error) if error else flow.send(reply)
                reply = error = None
                if isinstance(effect, Chunk):
                    yield effect.data
                    effect = None  # what was handed out must not stay while the next one is made
                    continue
                try:
                    reply = self._perform(effect)
                except (TransportError, WorkflowError) as failure:  # a shared flow may raise the latter
                    error = failure
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            flow.close()

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
                if text not in self._noted:
                    self._noted.add(text)
                    getattr(self._log, level)("%s", text)
                return None
        raise TypeError(f"a flow yielded {effect!r}, which is no effect")

    def _wait(self, seconds: float) -> None:
        end = self.now() + seconds
        while not self._stopped and (left := end - self.now()) > 0:
            self._sleep(min(left, _NAP))
        if self._stopped:
            raise TaskStopped("the task was told to stop while it waited")

    def _send(self, request: Request) -> Response:
        made = prepared(request)
        timeout = request.timeout or self._transport.timeout
        try:
            answer = self.session.send(made, timeout=timeout, allow_redirects=False, **self._settings(request))
            if request.stream and answer.ok:
                body = Body(answer)
                return Response(answer.status_code, body.headers, raw=cast("BinaryIO", body))
            headers = {name.lower(): value for name, value in answer.headers.items()}
            with answer:
                # In one piece: `answer.content` puts it together from pieces of 10 KB, at several times the cost.
                return Response(answer.status_code, headers, answer.raw.read(decode_content=True))
        except (failures.RequestException, Urllib3Error, ValueError, OSError) as error:
            raise (NotSent if never_sent(error) else NoAnswer)(described(error)) from error

    def _settings(self, request: Request) -> Any:
        return self.session.merge_environment_settings(
            request.url, dict(self._transport.proxies), True, self._transport.verify, None
        )


def session(transport: Transport) -> requests.Session:
    """Make a session that never retries on its own and keeps no cookies, as the triggerer's does."""
    made = requests.Session()
    made.mount("http://", HTTPAdapter(max_retries=0))
    made.mount("https://", HTTPAdapter(max_retries=0))
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    made.verify = checked(transport)
    made.proxies.update(transport.proxies)
    return made

"""Drives flows in the triggerer's event loop, with one aiohttp session for all waiters of a connection."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ctypes import CDLL
from dataclasses import replace
from functools import cache, partial
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from airflow_workflow_provider.client.answers import (
    BROKEN,
    AnswerBody,
    failure_text,
    hide_secrets,
    without_proxy_secrets,
)
from airflow_workflow_provider.client.list_poller import ListPollers, Meter
from airflow_workflow_provider.client.request_builder import Maker, check_peer
from airflow_workflow_provider.client.request_limiter import MAX_IN_FLIGHT, RequestLimiter, Server
from airflow_workflow_provider.client.start_throttle import Sleepers
from airflow_workflow_provider.client.tls import bundle_of, state_of, tls_context
from airflow_workflow_provider.client.worker import WHOLE, shown
from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.documents import BEGINNING, MAX_SHARED_ANSWER, TooMuchError, large_document
from airflow_workflow_provider.protocol.effects import (
    BadAnswer,
    Call,
    Flow,
    NoAnswer,
    Note,
    NotSent,
    Now,
    Request,
    Response,
    Rest,
    Secret,
    Shared,
    Sleep,
    T,
    TooLarge,
    TransportError,
)
from airflow_workflow_provider.protocol.retry import is_transient, retry_after_seconds, step
from airflow_workflow_provider.protocol.times import from_epoch

log = logging.getLogger(__name__)
MAX_SOCKETS = MAX_IN_FLIGHT  # to one host, however many runs wait
LARGE = 128 * 1024  # bytes of an answer that are parsed in a thread
MAPPED = 1 << 20  # bytes of a block of memory that the C library is to give back as soon as it is free
M_MMAP_THRESHOLD = -3  # of glibc's <malloc.h>
BUFFER = 1 << 15  # bytes of an answer that are read ahead
LARGE_SECONDS, LARGE_WAIT = 15.0, 60.0  # for the rest of a large answer, and until it may be read
AUTHORITIES = 5.0  # seconds after which the CA file is looked at again
KEEP_ALIVE = 330.0  # seconds; above any poll interval, or every poll would open a connection
_DNS_TTL = 300  # seconds
NOTES = 500  # sentences that are remembered, so that none is logged twice in a row


class TriggererClient:
    """Sends the requests of any number of flows at once; opened by ``async with``, or by `open` and `close`."""

    def __init__(
        self,
        transport: Transport,
        *,
        mask: Callable[[str], Coroutine[Any, Any, None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
        now: Callable[[], float] = time.time,
        logger: logging.Logger | Any = log,
        meter: Meter | None = None,
        secrets: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._transport, self._proxy_secrets = transport, transport.secrets
        self.meter = meter or Meter()
        self._secrets = secrets
        self._mask, self._sleep, self._now, self._log = mask, sleep or Sleepers().pause, now, logger
        self._noted: set[str] = set()
        self._shared: dict[Any, asyncio.Task[Any]] = {}
        self._servers: dict[str, Server] = {}
        self._pollers = ListPollers(self.run, self._note, self.meter)
        self._maker = Maker(transport)
        self._ssl: Any = True
        self._authorities: Any = None
        self._checked_at = 0.0
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session; nothing is connected yet."""
        await self._follow_authorities()
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=MAX_SOCKETS,
            keepalive_timeout=KEEP_ALIVE,
            ttl_dns_cache=_DNS_TTL,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # it would have no limit
            read_bufsize=BUFFER,
            # The environment's proxies are looked up below, as `requests` does it. Left to itself aiohttp would also
            # read netrc for every request, which requests' sent-as-prepared requests never do.
            trust_env=False,
        )
        # aiohttp sends a GET or DELETE a second time when a connection breaks. Whether and when to repeat is for the
        # flows to say, and a signed request must not go out twice. There is no public switch.
        self._session._retry_connection = False  # noqa: SLF001  # see above; a test tells when it is gone

    async def close(self) -> None:
        """Close the session's sockets."""
        for task in self._shared.values():
            task.cancel()
        self._pollers.close()
        if self._session:
            await self._session.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def run(self, flow: Flow[T], *, urgent: bool = False) -> T:
        """Drive a flow to its end and give its value.

        An urgent one is sent even to a server that counts as down: a cancel has no second chance.
        """
        reply: Any = None
        error: TransportError | WorkflowError | None = None
        watched: str | None = None
        try:
            while True:
                effect = step(flow, reply, error)
                reply = error = None
                if type(effect) is Now:
                    reply = self._now()
                    continue
                try:
                    if type(effect) is Request:  # what waits or polls goes the short way
                        reply = await self._send(effect, urgent or effect.urgent)
                    elif type(effect) is Rest:
                        if watched is None:
                            watched = effect.run_list.workflow
                            self._pollers.join(watched)
                        await self._rest(effect)
                    else:
                        reply = await self._perform(effect, urgent)
                except (TransportError, WorkflowError) as failure:  # a shared flow may raise the latter
                    error = failure
        except StopIteration as end:
            return cast("T", end.value)
        except Exception as failure:
            hide_secrets(failure, self._secrets())
            raise
        finally:
            flow.close()
            if watched is not None:
                self._pollers.leave(watched)

    async def _perform(self, effect: Any, urgent: bool) -> Any:
        match effect:
            case Sleep(seconds=seconds):
                return await self._sleep(seconds)
            case Shared(key=key, flow=make):
                return await self._once(key, make, urgent)
            case Secret(value=value):
                return await self._mask(value) if self._mask else None
            case Note(text=text, level=level):
                return self._note(text, level)
            case Call(function=function):
                return await function()
        raise TypeError(f"a flow yielded {effect!r}, which is no effect here")

    def _note(self, text: str, level: str = "warning") -> None:
        if text not in self._noted:
            self._noted = {text} if len(self._noted) >= NOTES else self._noted | {text}
            getattr(self._log, level)("%s", shown(text, self._secrets()))

    def _rest(self, rest: Rest) -> Awaitable[None]:
        """Wait, with all others whose runs the same list call shows."""
        # A plain function: thousands wait here, and a coroutine more for each would be a tenth of what they weigh.
        group = self._pollers.taking(rest)
        return group.park(rest) if group else self._sleep(rest.seconds)

    async def _once(self, key: Any, make: Callable[[], Flow[Any]], urgent: bool) -> Any:
        """Let all who ask at the same time wait for one flow; one of them being cancelled does not end it."""
        task = self._shared.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self.run(make(), urgent=urgent))
            self._shared[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: Any, task: asyncio.Task[Any]) -> None:
        if self._shared.get(key) is task:
            del self._shared[key]
        if not task.cancelled():
            task.exception()  # marks it as seen when every waiter has gone

    async def _send(self, request: Request, urgent: bool) -> Response:
        """Send unless the server counts as down. Servers are told apart: results and tokens may lie elsewhere."""
        server = self._server(request.url)
        lane = server.lane
        if not lane.entered():
            self._refuse_while_down(server, urgent, server.breaker.left)
            await lane.enter(urgent=urgent)
        try:
            return await self._in_turn(request, server, urgent)
        finally:
            lane.leave()

    async def _in_turn(self, request: Request, server: Server, urgent: bool) -> Response:
        breaker = server.breaker
        self._refuse_while_down(server, urgent, breaker.wait)  # also what was queued before the server went down
        known, closed_until = breaker.failures, breaker.closed_until
        self.meter.polls += 1
        try:
            response = await self._sent(request, server)
        except TransportError:
            self.meter.retries += 1
            if not request.optional:
                breaker.failed(self._now(), None, known)
            raise
        if is_transient(response.status):
            now = self._now()
            asked = retry_after_seconds(response.headers.get("retry-after"), from_epoch(now))
            self.meter.retries += 1
            if not request.optional:
                breaker.failed(now, asked, known)
        else:
            breaker.answered(closed_until)
        return response

    def _refuse_while_down(self, server: Server, urgent: bool, wait: Callable[[float], float]) -> None:
        breaker = server.breaker
        if (breaker.failures or breaker.closed_until) and not urgent and (left := wait(self._now())):
            raise NotSent(
                f"requests to the server pause for another {left:.0f} s, after {breaker.failures} failures in a row",
                left,
            )

    async def _sent(self, request: Request, server: Server) -> Response:
        if not self._session:
            raise RuntimeError("the client is not open")
        if self._session.closed:  # the last who used it has left, while this one waited for its turn
            raise NotSent("the client was closed")
        made = self._maker.made(request)  # signed when it is its turn
        if request.foreign and not server.proxy:
            await self._check_peers(made.url)
        if asyncio.get_running_loop().time() - self._checked_at > AUTHORITIES:
            await self._follow_authorities()
        timeout = request.timeout or self._transport.timeout
        failure: TransportError
        try:
            async with self._session.request(
                made.method,
                URL(made.url, encoded=True),  # as it was encoded and perhaps signed: yarl would quote it again
                data=made.body,
                headers=made.headers,
                allow_redirects=False,
                proxy=server.proxy,
                ssl=self._ssl,
                timeout=self._timeout(timeout),
            ) as answer:
                if answer.status == 407 and server.proxy:
                    raise NotSent("the proxy refused its credentials: HTTP 407")
                return await self._answered(request, answer)
        except (WorkflowError, TransportError):
            raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError) as error:
            failure = NotSent(failure_text(error, timeout))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failure = NoAnswer(failure_text(error, timeout))
        except BROKEN as error:
            failure = BadAnswer(failure_text(error, timeout))
        raise failure  # here and not above: the chain of exceptions would show the whole address

    async def _answered(self, request: Request, answer: aiohttp.ClientResponse) -> Response:
        headers = answer.headers
        length = headers.get("Content-Length", "")
        if length.isdecimal() and len(length) < 6 and "Content-Encoding" not in headers:
            body = await answer.read()  # most answers are small and say so
        else:
            content = AnswerBody(headers, self._transport.triggerer_limit)
            rest = await _collect(answer, content, iter(()), LARGE)
            if rest is not None:
                return await self._large_answer(request, answer, content, rest)
            body = content.value()
        if self._proxy_secrets:
            body = without_proxy_secrets(answer.status, body, self._proxy_secrets)
        return Response(answer.status, headers, body, native=False)

    async def _large_answer(
        self, request: Request, answer: aiohttp.ClientResponse, content: AnswerBody, rest: Iterator[int]
    ) -> Response:
        """Read and parse the rest of a large answer: one at a time in this process, the connections in turn."""
        lane = _large_answers().lane(self._transport.conn_id)
        async with asyncio.timeout(LARGE_WAIT):
            if not lane.entered():
                await lane.enter()
        try:
            async with asyncio.timeout(LARGE_SECONDS):
                await _collect(answer, content, rest, None)
            bodies = [content.taken()]  # only the thread that parses it holds it
            response = await opened(
                answer.status, answer.headers, bodies, exact=request.exact, limit=self._transport.triggerer_limit
            )
        finally:
            lane.leave()
        if answer.status >= 400:
            body = without_proxy_secrets(answer.status, response.body, self._proxy_secrets)
            response = replace(response, body=body)
        return response

    async def _check_peers(self, url: str) -> None:
        """Resolve the host of a result before anything is sent to it."""
        host = URL(url).host or ""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            found, failure = [], failure_text(error)
        if not found:
            raise NotSent(failure)
        for *_, address in found:
            check_peer(host, str(address[0]), self._transport)

    async def _follow_authorities(self) -> None:
        """Read the CA file again where it was replaced; connections that the old one vouched for are not used again."""
        self._checked_at = asyncio.get_running_loop().time()
        state = state_of(bundle_of(self._transport))
        if state != self._authorities:
            self._ssl = await tls_context(self._transport)
            self._authorities = state

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        # One timer for a request costs less than one for each read. It is the later one: no connection is no answer.
        if seconds not in self._timeouts:
            self._timeouts[seconds] = aiohttp.ClientTimeout(total=seconds * WHOLE, sock_connect=seconds)
        return self._timeouts[seconds]

    def _server(self, url: str) -> Server:
        """Give the server of a URL, with the proxy that leads to it: the connection's, else the environment's."""
        origin = "/".join(url.split("/", 3)[:3])
        found = self._servers.get(origin)
        return found or self._servers.setdefault(origin, Server.of(url, origin, self._transport))


async def _collect(
    answer: aiohttp.ClientResponse, content: AnswerBody, pieces: Iterator[int], limit: int | None
) -> Iterator[int] | None:
    """Collect an answer to its end, or until it has more than ``limit`` bytes; then give what is still to be taken."""
    while True:
        for size in pieces:
            if limit is not None and size > limit:
                return pieces
            if size > LARGE:
                await asyncio.sleep(0)
        chunk = await answer.content.readany()
        if not chunk:
            return None
        pieces = content.feed(chunk)


_large: WeakKeyDictionary[asyncio.AbstractEventLoop, RequestLimiter] = WeakKeyDictionary()


def _large_answers() -> RequestLimiter:
    """Give the one place for a large answer in the running loop."""
    loop = asyncio.get_running_loop()
    found = _large.get(loop)
    return found or _large.setdefault(loop, RequestLimiter(total=1, each=1, certain=0))


_parsing: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@cache
def _parser() -> ThreadPoolExecutor:
    """Give the one thread that parses: what each of several threads frees, the process would keep for it."""
    _give_memory_back()
    return ThreadPoolExecutor(1, "airflow-workflow-parser")


def _give_memory_back() -> None:
    """Have the C library return large blocks when they are free; left to itself, glibc soon keeps them for later."""
    with suppress(AttributeError, OSError, TypeError):  # other C libraries have no such switch
        CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED)


async def opened(
    status: int,
    headers: Mapping[str, str],
    bodies: list[bytes],
    *,
    exact: bool = False,
    limit: int = MAX_SHARED_ANSWER,
) -> Response:
    """Parse a large body in a thread, one at a time, so that the loop goes on meanwhile."""
    lock = _parsing.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    beginning = bodies[0][:BEGINNING]
    async with lock:
        try:
            parse = partial(large_document, bodies, exact=exact, limit=limit)
            body, document = await asyncio.get_running_loop().run_in_executor(_parser(), parse)
        except TooMuchError as error:
            raise TooLarge(str(error)) from None
        except ValueError as error:
            return Response(status, headers, beginning, unreadable=str(error)[:200] or "not JSON", native=False)
    return Response(status, headers, body, parsed=(document,), native=False)

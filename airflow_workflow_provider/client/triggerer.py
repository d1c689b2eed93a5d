"""Drives flows in the triggerer's event loop, with one aiohttp session for all waiters of a connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Self, cast
from urllib.parse import urlsplit

import aiohttp
from requests.utils import get_environ_proxies, select_proxy

from airflow_workflow_provider.client.breaker import Breaker
from airflow_workflow_provider.client.prepare import prepared
from airflow_workflow_provider.client.tls import tls_context
from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import (
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
from airflow_workflow_provider.protocol.retry import is_transient, retry_after_seconds
from airflow_workflow_provider.protocol.times import from_epoch

log = logging.getLogger(__name__)
MAX_SOCKETS = 16  # to one host, however many runs wait
KEEP_ALIVE = 330.0  # seconds; above any sensible poll interval, or every poll would open a connection
_DNS_TTL = 300  # seconds


class TriggererClient:
    """Sends the requests of any number of flows at once. It is opened by ``async with``, or by `open` and `close`."""

    def __init__(
        self,
        transport: Transport,
        *,
        mask: Callable[[str], Coroutine[Any, Any, None]] | None = None,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
        logger: logging.Logger | Any = log,
    ) -> None:
        self._transport = transport
        self._mask, self._sleep, self._now, self._log = mask, sleep, now, logger
        self._noted: set[str] = set()
        self._shared: dict[Any, asyncio.Task[Any]] = {}
        self._proxies: dict[str, str | None] = {}
        self._breakers: dict[str, Breaker] = {}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session; nothing is connected yet."""
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=MAX_SOCKETS,
            keepalive_timeout=KEEP_ALIVE,
            ttl_dns_cache=_DNS_TTL,
            ssl=await tls_context(self._transport),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            auto_decompress=True,
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
        try:
            while True:
                effect = flow.throw(error) if error else flow.send(reply)
                reply = error = None
                try:
                    reply = await self._perform(effect, urgent)
                except (TransportError, WorkflowError) as failure:  # a shared flow may raise the latter
                    error = failure
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            flow.close()

    async def _perform(self, effect: Any, urgent: bool) -> Any:
        match effect:
            case Request():
                return await self._send(effect, urgent)
            case Sleep(seconds=seconds):
                return await self._sleep(seconds)
            case Now():
                return self._now()
            case Shared(key=key, flow=make):
                return await self._once(key, make, urgent)
            case Secret(value=value):
                return await self._mask(value) if self._mask else None
            case Note(text=text, level=level):
                if text not in self._noted:
                    self._noted.add(text)
                    getattr(self._log, level)("%s", text)
                return None
        raise TypeError(f"a flow yielded {effect!r}, which is no effect here")

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
        breaker = self._breakers.setdefault(urlsplit(request.url).netloc, Breaker())
        if not urgent and (pause := breaker.wait(self._now())):
            raise NotSent(
                f"the server is not asked for another {pause:.0f} s, after {breaker.failures} failures in a row"
            )
        known = breaker.failures
        try:
            response = await self._sent(request)
        except TransportError:
            breaker.failed(self._now(), None, known)
            raise
        if is_transient(response.status):
            now = self._now()
            asked = retry_after_seconds(response.headers.get("retry-after"), from_epoch(now))
            breaker.failed(now, asked, known)
        else:
            breaker.answered()
        return response

    async def _sent(self, request: Request) -> Response:
        if self._session is None:
            raise RuntimeError("the client is not open")
        made = prepared(request)
        seconds = request.timeout or self._transport.timeout
        proxy = self._proxy(str(made.url))
        try:
            async with self._session.request(
                str(made.method),
                _as_is(str(made.url)),
                data=made.body,
                headers=dict(made.headers),
                allow_redirects=False,
                proxy=proxy,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds),
            ) as answer:
                body = await answer.read()
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, headers, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError) as error:
            raise NotSent(_described(error)) from error
        except (TimeoutError, aiohttp.ClientError, ValueError, OSError) as error:
            raise NoAnswer(_described(error)) from error

    def _proxy(self, url: str) -> str | None:
        """Give the proxy for a URL: the connection's, else the environment's, once per server."""
        place = urlsplit(url)
        server = f"{place.scheme}://{place.netloc}"
        if server not in self._proxies:
            proxies = {**get_environ_proxies(url), **self._transport.proxies}
            self._proxies[server] = select_proxy(url, proxies)
        return self._proxies[server]


def _as_is(url: str) -> Any:
    """Keep the URL as it was encoded (and perhaps signed): yarl would quote it anew."""
    from yarl import URL

    return URL(url, encoded=True)


def _described(error: BaseException) -> str:
    """Name a network failure without its URL, which can hold a credential."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}: HTTP {error.status} {error.message}"
    text = str(getattr(error, "os_error", None) or error)
    return f"{type(error).__name__}: {'' if '://' in text else text[:200]}".rstrip(": ")

"""The `requests` sessions of a worker: they know whether a request was sent, have a deadline for each, and check peers.

`requests` and urllib3 limit the time between two bytes only, so a server that sends a byte now and then would hold a
worker for days. Nor do they tell whether a request had been sent when it failed, on which depends whether a start may
be sent again.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from io import BufferedReader
from typing import Any, Protocol, cast

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_workflow_provider.client.tls import bundle_of, checked, state_of
from airflow_workflow_provider.protocol.connection import Transport, origin_of
from airflow_workflow_provider.protocol.effects import Flow, Request, T
from airflow_workflow_provider.protocol.system import WorkflowSystem


class Exchange:
    """One request and its answer.

    ``deadline`` (monotonic seconds) is for the whole of it, None where a result is streamed. ``was_sent`` is set as
    soon as a byte of the request may have left. ``check_peer`` is called with the address that was connected to.
    """

    def __init__(self, seconds: float | None, check_peer: Callable[[str], None] | None = None) -> None:
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.was_sent = False
        self.check_peer = check_peer

    def left(self) -> float | None:
        """Give the seconds that are left, None for no limit; raises `TimeoutError`."""
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole answer took too long")
        return left


_current = threading.local()


@contextmanager
def exchanging(exchange: Exchange) -> Iterator[Exchange]:
    """Make this the exchange of the running thread."""
    outer = _exchange()
    _current.exchange = exchange
    try:
        yield exchange
    finally:
        _current.exchange = outer


def _exchange() -> Exchange | None:
    return getattr(_current, "exchange", None)


class _Reader(socket.SocketIO):
    """Reads an answer from a socket; each read waits no longer than the exchange has left."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        super().__init__(sock, "r")
        self._socket, self._exchange, self._timeout = sock, exchange, sock.gettimeout()

    def readinto(self, buffer: Any) -> int | None:
        """Read some bytes."""
        left = self._exchange.left()
        if left is not None:
            self._socket.settimeout(left if self._timeout is None else min(left, self._timeout))
        try:
            return super().readinto(buffer)
        finally:
            if left is not None and self._socket.fileno() >= 0:
                self._socket.settimeout(self._timeout)


class _Source:
    """Stands for the socket where `http.client` makes a file of it."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock, self._exchange = sock, exchange

    def makefile(self, *mode: Any) -> BufferedReader:
        """Give the file that the answer is read from; the socket counts it as its own `makefile` does."""
        self._sock._io_refs += 1  # type: ignore[attr-defined]  # noqa: SLF001  # what socket.makefile does
        return BufferedReader(_Reader(self._sock, self._exchange))


class _Tracked:
    """What both kinds of connections do besides."""

    _is_connecting = False

    def connect(self) -> None:
        """Connect, through a proxy perhaps; what is sent meanwhile is not yet the request."""
        self._is_connecting = True
        try:
            super().connect()  # type: ignore[misc]  # a connection has it
        finally:
            self._is_connecting = False

    def send(self, data: Any) -> None:
        """Send a part of the request."""
        if getattr(self, "sock", None) is None:
            self.connect()
        exchange = _exchange()
        if exchange and not self._is_connecting:
            exchange.was_sent = True
        super().send(data)  # type: ignore[misc]  # a connection has it

    def _new_conn(self) -> socket.socket:
        made = cast("socket.socket", super()._new_conn())  # type: ignore[misc]  # a connection has it
        exchange = _exchange()
        if exchange and exchange.check_peer:
            try:
                exchange.check_peer(str(made.getpeername()[0]))
            except BaseException:
                made.close()
                raise
        return made

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> Any:
        """Make the answer, which is read within the deadline."""
        from http.client import HTTPResponse

        exchange = _exchange()
        return HTTPResponse(cast("Any", _Source(sock, exchange)) if exchange else sock, *args, **kwargs)


class _Connection(_Tracked, HTTPConnection):  # type: ignore[misc]  # its response_class is a function
    """A connection without TLS."""


class _TlsConnection(_Tracked, HTTPSConnection):  # type: ignore[misc]  # its response_class is a function
    """A connection with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Makes the connections of this module, also through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


class _HideQueries(logging.Filter):
    """Leaves out of urllib3's lines about our requests what can hold a credential.

    That is the query of an address, and what a server sent: an exception about broken headers quotes them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the line; it is never left out."""
        if _exchange() is not None and isinstance(record.args, tuple):
            record.args = tuple(_without_data(arg) for arg in record.args)
            record.exc_info = record.exc_text = None
        return True


def _without_data(value: Any) -> Any:
    if isinstance(value, BaseException):
        return type(value).__name__
    return value.partition("?")[0] if isinstance(value, str) and "?" in value else value


_HIDE_QUERIES = _HideQueries()


def session(transport: Transport) -> requests.Session:
    """Make a session that never retries on its own and keeps no cookies, as the triggerer's does."""
    made = requests.Session()
    equip(made, transport)
    return made


def equip(made: requests.Session, transport: Transport) -> None:
    """Give a session the connection's TLS and proxy settings and the connections of this module."""
    made.mount("http://", _Adapter(max_retries=0))
    made.mount("https://", _Adapter(max_retries=0))
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    made.verify = checked(transport)
    made.proxies.update(transport.proxies)
    for name in ("urllib3.connectionpool", "urllib3.connection"):
        logger = logging.getLogger(name)
        if _HIDE_QUERIES not in logger.filters:
            logger.addFilter(_HIDE_QUERIES)


# A session for calls that the hook has no method for


class Driver(Protocol):
    """A client that drives flows."""

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end and give its value."""


class FlowAuth(AuthBase):
    """Runs the system's own auth flow for each request to a server that the connection names; no other is signed."""

    def __init__(self, system: WorkflowSystem, client: Driver) -> None:
        self.system, self.client = system, client
        self.added: set[str] = set()  # the headers that hold credentials

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request."""
        if origin_of(str(prepared.url)) not in self.system.transport.origins:
            return prepared
        before = dict(prepared.headers)
        request = Request(str(prepared.method), str(prepared.url))
        authorized = self.client.run(self.system.auth.authorize(request))
        prepared.headers.update(authorized.headers)
        if authorized.url != request.url or authorized.params:
            prepared.prepare_url(authorized.url, dict(authorized.params or {}))
        signed = authorized.sign(prepared) if authorized.sign else prepared
        self.added |= {name for name, value in signed.headers.items() if before.get(name) != value}
        return signed


class SignedSession(requests.Session):
    """Signs requests to the connection's own servers. Elsewhere, and after a redirect, none has credentials."""

    def __init__(self, system: WorkflowSystem, client: Driver) -> None:
        super().__init__()
        self._transport = system.transport
        self._flow_auth = FlowAuth(system, client)
        self._authorities = state_of(bundle_of(self._transport))
        equip(self, self._transport)
        self.auth = self._flow_auth

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take the credentials away at a redirect to another server; sign for the same one again."""
        for name in self._flow_auth.added:
            prepared_request.headers.pop(name, None)
        self._flow_auth(prepared_request)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Use the connection's ``verify``, which `requests` would replace by an environment's CA file."""
        chosen = self.verify if verify is None else verify
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        # True leaves the choice to the environment, as in both drivers.
        return settings if chosen is True else {**settings, "verify": chosen}

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send within the connection's time-out, unless there is another one."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._transport.timeout
        authorities = state_of(bundle_of(self._transport))
        if authorities != self._authorities:  # a connection that an authority of before has vouched for is closed
            self._authorities = authorities
            self.close()
        with exchanging(Exchange(None)):
            return super().send(request, **kwargs)


def signed_session(system: WorkflowSystem, client: Driver) -> requests.Session:
    """Make a session of its own, with the connection's TLS and proxy settings."""
    return SignedSession(system, client)

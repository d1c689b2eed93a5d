"""Running the sandbox: in the foreground for people, in a thread for tests."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn

from . import control
from .app import TRANSPORT, Sandbox
from .systems import systems

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

T = TypeVar("T")
KEEP_ALIVE = 75  # seconds; longer than a test's pauses, so that an idle connection does not end by chance
START_LIMIT = 15  # seconds


class TransportInScope:
    """Gives the app its connection's transport, so that a fault can break it."""

    app: ASGIApp

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wrap the app for this one connection."""
        super().connection_made(transport)  # type: ignore[misc]  # of the protocol that it is mixed into
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


def http_protocol() -> type[asyncio.Protocol]:
    """The HTTP protocol of uvicorn with the transport in the scope; the fast parser where it is installed."""
    name, parser = ("HttpToolsProtocol", "httptools") if find_spec("httptools") else ("H11Protocol", "h11")
    base = getattr(import_module(f"uvicorn.protocols.http.{parser}_impl"), name)
    return type("SandboxProtocol", (TransportInScope, base), {})


def uvicorn_server(app: Sandbox) -> uvicorn.Server:
    """A quiet server that stops within about a second, whatever requests are still open."""
    config = uvicorn.Config(
        app,
        http=http_protocol(),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


async def serving(app: Sandbox, server: uvicorn.Server, bound: socket.socket) -> None:
    """Serve until told to stop, then leave no thread at work: one could hold up the end of the process."""
    try:
        await server.serve(sockets=[bound])
    finally:
        app.stop()


def listening(host: str, port: int) -> socket.socket:
    """A bound socket; ``OSError`` when the port is taken or the address is none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it every answer waits 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except OSError:
        bound.close()
        raise
    return bound


def base_url(host: str, port: int) -> str:
    """The URL under which a server on that address is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class RunningSandbox:
    """A sandbox in this process; each method acts on the server's own loop and returns plain values."""

    def __init__(self, app: Sandbox, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.app, self.url, self.loop = app, url, loop

    def connections(self) -> dict[str, dict[str, Any]]:
        """Airflow connections by conn_id."""
        found = [system.connections(self.url) for system in self.app.systems.values()]
        return {conn_id: dict(connection) for one in found for conn_id, connection in one.items()}

    def fault(self, **wanted: Any) -> dict[str, Any]:
        """Plan a fault (keys as of ``POST /_sandbox/faults``); returns it with its id."""
        return self.call(lambda: dict(vars(self.app.faults.plan(wanted))))

    def faults(self) -> list[dict[str, Any]]:
        """All faults with what is left of them."""
        return self.call(self.app.faults.to_json)

    def clear_faults(self) -> None:
        """Forget all faults."""
        self.call(self.app.faults.clear)

    def settings(self, system: str, **changes: Any) -> dict[str, Any]:
        """Change switches of a system, if any are given; returns them all."""
        settings = self.app.systems[system].settings
        self.call(lambda: settings.update(changes))
        return settings.to_json()

    def requests(self, system: str | None = None) -> list[dict[str, Any]]:
        """The journal of one system or of all."""
        return self.call(lambda: self.app.journal.to_json(system))

    def clear_requests(self, system: str | None = None) -> None:
        """Forget the requests of one system or of all."""
        self.call(lambda: self.app.journal.clear(system))

    def runs(self, system: str | None = None) -> list[dict[str, Any]]:
        """The runs of one system or of all, oldest first."""
        return self.call(lambda: control.runs(self.app, system))

    def figures(self, system: str) -> dict[str, Any]:
        """What a system has counted since the last reset, such as the scans of CARTO's tables."""
        return self.call(lambda: dict(self.app.systems[system].figures()))

    def reset(self) -> None:
        """Back to the state after the start."""
        self.call(self.app.reset)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the server's loop and wait for what it returns."""

        async def on_loop() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(on_loop(), self.loop).result(START_LIMIT)


@contextmanager
def run_sandbox(host: str = "127.0.0.1", port: int = 0) -> Iterator[RunningSandbox]:
    """Serve every system from a thread, on a free loopback port unless one is given, until the block ends."""
    app, loop = Sandbox(systems(), (host,)), asyncio.new_event_loop()
    server, bound = uvicorn_server(app), listening(host, port)
    thread = threading.Thread(target=serve_on, args=(loop, serving(app, server, bound)), name="sandbox", daemon=True)
    thread.start()
    try:
        wait_until_started(server, thread)
        yield RunningSandbox(app, base_url(*bound.getsockname()[:2]), loop)
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


def serve_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Run the server on its loop and leave nothing behind when it ends."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work)


def wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Wait until the server answers; ``RuntimeError`` when it does not come up."""
    deadline = time.monotonic() + START_LIMIT
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("The sandbox did not start")
        time.sleep(0.002)

"""The sandbox as one ASGI app: mounts the systems, plays the faults, keeps the journal."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .control import control
from .faults import Fault, Faults
from .journal import Entry, Journal
from .system import System

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRANSPORT = "sandbox.transport"


class Sandbox:
    """All systems behind one port, with the control API under ``/_sandbox``."""

    def __init__(self, systems: Sequence[System], hosts: Collection[str] | None = ()) -> None:
        """Serve these systems.

        :param hosts: names under which the sandbox is reached, beside addresses and ``localhost``; None allows any.
        """
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self.systems = {system.key: system for system in systems}
        self.faults = Faults(list(self.systems))
        self.journal = Journal()
        self.control = control(self)
        mounts = [(prefix, system.key, app) for system in systems for prefix, app in system.mounts().items()]
        # The longest prefix wins, so that one system may live below another's.
        self.mounts = sorted(mounts, key=lambda mount: -len(mount[0]))

    def reset(self) -> None:
        """Back to the state after the start: no runs, no faults, no journal, settings at their defaults."""
        self.faults.clear()
        self.journal.clear()
        for system in self.systems.values():
            system.settings.restore()
            system.reset()

    def stop(self) -> None:
        """Break off whatever still runs."""
        for system in self.systems.values():
            system.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the control API or to the system that owns its path."""
        if scope["type"] != "http":
            return
        if reason := foreign(scope, self.hosts):
            await body_of(receive)
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": reason.encode()})
            return
        path = scope["path"]
        for prefix, key, app in self.mounts:
            if path == prefix or path.startswith(prefix + "/"):
                await self.serve(key, app, below(scope, prefix), receive, send)
                return
        await self.control(scope, receive, send)

    async def serve(self, key: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of a system, as the fault that it meets will have it."""
        path = scope["path"][len(scope["root_path"]) :] or "/"
        entry = self.journal.open(key, scope["method"], path, scope["query_string"])
        fault = self.faults.strike(key, scope["method"], path)
        entry.fault = fault.kind if fault else None
        sender = recorded(send, entry)
        if fault is None:
            await app(scope, receive, sender)
        else:
            await PLAYS[fault.kind](fault, app, scope, receive, sender)


def foreign(scope: Scope, hosts: frozenset[str] | None) -> str:
    """Say why a request is refused that a web page may have sent; empty text for one that is served.

    A page can make a browser call this machine: under a name of its own that leads here (DNS rebinding), or by a form
    (request forgery). The first shows in ``Host``, the second in ``Origin``.
    """
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
        same = origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return "The sandbox does not understand the header Host or Origin."
    if not same:
        return f"The sandbox does not serve web pages of another origin ({origin!r})."
    if hosts is not None and not is_address(name) and name not in hosts:
        return f"The sandbox is not served under the name {name!r}; start it with --allow-host for that."
    return ""


def is_address(name: str) -> bool:
    """True for an IP address, the names of this machine, and a name without a dot: a page cannot make these its own.

    A name without a dot is one of the local network, such as that of a container.
    """
    if name.endswith(".localhost") or (name.isascii() and name.replace("-", "").isalnum()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def below(scope: Scope, prefix: str) -> Scope:
    """The scope as a mounted app sees it."""
    return {**scope, "root_path": scope.get("root_path", "") + prefix}


def recorded(send: Send, entry: Entry) -> Send:
    """A ``send`` that notes the status in the journal."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            entry.status = message["status"]
        await send(message)

    return sender


async def play_answer(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """``status`` and ``html``: the system never sees the request."""
    await body_of(receive)
    status, headers, body = fault.answer()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def play_reset(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """``reset``: the connection breaks before the request is processed."""
    await body_of(receive)
    await break_off(scope, receive)


async def play_lost(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """``lost``: the request counts, the answer never arrives."""
    await collected(app, scope, receive)
    await break_off(scope, receive)


async def play_slow(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """``slow``: wait, then process. The request is read before, so it counts even if its client has gone by then."""
    body = await body_of(receive)
    await asyncio.sleep(fault.seconds)
    await app(scope, replayed(body, receive), send)


async def play_late(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """``late``: process at once, answer after a while."""
    start, body = await collected(app, scope, receive)
    await asyncio.sleep(fault.seconds)
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def play_truncate(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """``truncate``: the headers promise more than the body holds; the connection is closed in order."""
    start, body = await collected(app, scope, receive)
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    scope[TRANSPORT].close()
    await disconnected(receive)


PLAYS = {
    "status": play_answer,
    "html": play_answer,
    "reset": play_reset,
    "lost": play_lost,
    "slow": play_slow,
    "late": play_late,
    "truncate": play_truncate,
}


async def collected(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[dict[str, Any], bytes]:
    """The whole answer of an app, kept from the client."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return dict(messages[0]), b"".join(message.get("body", b"") for message in messages[1:])


async def break_off(scope: Scope, receive: Receive) -> None:
    """Reset the connection: with lingering off, closing sends a real RST instead of an orderly end."""
    transport = scope[TRANSPORT]
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await disconnected(receive)


async def disconnected(receive: Receive) -> None:
    """Wait until the server knows that the connection is gone, or it would try to answer."""
    while (await receive())["type"] != "http.disconnect":
        pass


def replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body which was read already, then what really comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiver() -> Message:
        return waiting.pop() if waiting else await receive()

    return receiver


async def body_of(receive: Receive) -> bytes:
    """Read the request's body to its end, as an orderly server does before it answers."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body

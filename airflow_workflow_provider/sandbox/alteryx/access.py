"""The way in: who calls, on which kind of server, and what that server can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import denied, no_route
from .oauth1 import SignedRequest, Verifier
from .oauth2 import FORM, Tokens
from .settings import AlteryxSettings, World
from .users import USERS, User

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

# What came and went with which version (first, last), by https://help.alteryx.com and community.alteryx.com.
SINCE: dict[str, tuple[str, str]] = {
    "oauth1": ("", "2021.4"),
    "webapi": ("2021.4", "9999"),
    "v3": ("2022.1", "9999"),
    "v3 for all": ("2023.1", "9999"),
    "messages": ("2024.2", "9999"),
    "cancel": ("2025.1", "9999"),
    "job list": ("2025.2", "9999"),
}


class Tolerant:
    """Lets an app see one slash where a client sent two, and none at the end; the raw path stays for signatures."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the tidied path."""
        root = scope["root_path"]
        path = re.sub("/{2,}", "/", scope["path"][len(root) :]).rstrip("/") or "/"
        await self.app({**scope, "path": root + path}, receive, send)


@dataclass
class Access:
    """The check that every handler begins with."""

    settings: AlteryxSettings
    tokens: Tokens
    verifier: Verifier
    world: World

    def has(self, feature: str) -> bool:
        """Whether the server behind this mount has a feature."""
        first, last = SINCE[feature]
        return first <= self.settings.version(self.world) <= last

    async def user(self, request: Request, *, v3: bool = False) -> User:
        """Who calls; raises 401, or 404 where a server of that version has no such API."""
        if not self.has("oauth1" if self.world == "gallery" else "webapi") or (v3 and not self.has("v3")):
            raise no_route(str(request.url))
        user = await self.signer(request) if self.world == "gallery" else self.bearer(request)
        if user.role == "Viewer" or (v3 and not user.curator and not self.has("v3 for all")):
            raise denied()
        return user

    async def signer(self, request: Request) -> User:
        """The owner of the key that signed the request."""
        return USERS[self.verifier.consumer_key(await self.signed(request))]

    def bearer(self, request: Request) -> User:
        """The owner of the request's token."""
        return self.tokens.user(request.headers.get("authorization", ""))

    async def signed(self, request: Request) -> SignedRequest:
        """The request as it was signed: its raw path under the address that the server believes to have."""
        path = request.scope["raw_path"].decode("ascii")
        address = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
        if self.settings.base_address:
            address, path = self.settings.base_address.rstrip("/"), path[len(request.scope["root_path"]) :]
        is_form = request.headers.get("content-type", "").startswith(FORM)
        form = (await request.body()).decode("latin-1") if is_form else ""
        query = request.scope["query_string"].decode("latin-1")
        return SignedRequest(request.method, address + path, query, request.headers.get("authorization", ""), form)

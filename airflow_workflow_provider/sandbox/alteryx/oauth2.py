"""OAuth 2 client credentials, as the web API since 2021.4 demands them."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from .errors import denied
from .settings import AlteryxSettings
from .users import USERS, User

if TYPE_CHECKING:
    from starlette.requests import Request

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Token:
    """An access token's owner and end."""

    user: User
    expires_at: float
    generation: int


@dataclass
class Tokens:
    """The tokens that were granted, and the endpoint that grants more; there are no scopes and no refresh tokens."""

    settings: AlteryxSettings
    clock: Callable[[], float] = time.monotonic
    known: dict[str, Token] = field(default_factory=dict)

    def user(self, authorization: str) -> User:
        """Whose token an ``Authorization`` header carries; raises a 401."""
        scheme, _, value = authorization.partition(" ")
        token = self.known.get(value.strip()) if scheme.lower() == "bearer" else None
        if token is None or token.expires_at <= self.clock() or token.generation < self.settings.token_generation:
            raise denied()
        return token.user

    async def grant(self, request: Request) -> Response:
        """``POST /oauth2/token``: key and secret by Basic or in the form."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            return refusal("invalid_request")
        fields = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        if fields.get("grant_type") != "client_credentials":
            return refusal("unsupported_grant_type")
        given = basic(request.headers.get("authorization", ""))
        user = self.owner(*(given or (fields.get("client_id", ""), fields.get("client_secret", ""))))
        return self.granted(user) if user else refusal("invalid_client")

    def owner(self, key: str, secret: str) -> User | None:
        """The user of a key pair, if it is right; keys of a Private Studio are none of these."""
        user = USERS.get(key)
        if user is None or self.settings.keys_revoked:
            return None
        return user if hmac.compare_digest(user.secret.encode(), secret.encode()) else None

    def granted(self, user: User) -> Response:
        """A new token."""
        value, seconds = secrets.token_urlsafe(48), self.settings.token_seconds
        self.known[value] = Token(user, self.clock() + seconds, self.settings.token_generation)
        body: dict[str, str | int] = {"access_token": value, "token_type": self.settings.token_type}
        if self.settings.expires_in:
            # inferred: a whole number of seconds, and whether it is 3599 or 3600.
            body["expires_in"] = round(seconds)
        return JSONResponse(body, headers={"cache-control": "no-store"})


def basic(authorization: str) -> tuple[str, str] | None:
    """Key and secret of a Basic header."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return key, secret


def refusal(error: str) -> Response:
    """400 in the style of OWIN's authorisation server (inferred)."""
    return JSONResponse({"error": error}, status_code=400)

"""Credentials of a declared system: where they are in the connection, and how a request carries them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import Auth, HeaderAuth, NoAuth, SignAuth, Token, TokenAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Request, Response
from airflow_workflow_provider.protocol.oauth1 import OAuth1 as Signer
from airflow_workflow_provider.protocol.oauth2 import client_credentials
from airflow_workflow_provider.protocol.policy import Asked

LOGIN, PASSWORD = "{login}", "{password}"  # placeholders in the body of a log-in


class RestAuth(Protocol):
    """Makes the auth object of a connection."""

    @property
    def fields(self) -> str:
        """The fields of the connection that hold the credentials, for errors."""

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Give the auth object and the secrets that must not be shown; ``api`` is the host, without credentials."""


def _secret(values: ConnectionValues, name: str) -> str:
    """Give a secret from the field ``login`` or ``password``, or from the extras."""
    value = {"login": values.login, "password": values.password}.get(name)
    return values.header_secret(name, value if value is not None else values.text(name))


@dataclass(frozen=True)
class Anonymous:
    """The API takes no credentials."""

    fields: str = "field 'host'"

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Give requests as they are."""
        return NoAuth(), ()


@dataclass(frozen=True)
class Header:
    """A secret in a header, such as ``X-Api-Key``. ``field`` is ``password``, ``login``, or the name of an extra."""

    name: str
    field: str = "password"
    prefix: str = ""
    is_optional: bool = False

    @property
    def fields(self) -> str:
        """The field that holds the secret."""
        return f"field {self.field!r}"

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Add the header to every request; nothing where the field is empty and may be."""
        given = {"login": values.login, "password": values.password}.get(self.field) or values.text(self.field)
        if self.is_optional and not given.strip():
            return NoAuth(), ()
        secret = _secret(values, self.field)
        return HeaderAuth(self.name, f"{self.prefix}{secret}"), (secret,)


def Bearer(field: str = "password", *, is_optional: bool = False) -> Header:  # noqa: N802  # it reads as the classes beside it
    """Send a token as RFC 6750 has it."""
    return Header("Authorization", field, "Bearer ", is_optional)


@dataclass(frozen=True)
class Basic:
    """User and password as RFC 7617 has it, from the fields ``login`` and ``password``."""

    fields: str = "fields 'login' and 'password'"

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Add the header to every request."""
        login, password = values.secret("login", values.login), values.secret("password", values.password)
        pair = base64.b64encode(f"{login}:{password}".encode()).decode()
        return HeaderAuth("Authorization", f"Basic {pair}"), (password, pair)


@dataclass(frozen=True)
class OAuth2:
    """OAuth 2 client credentials (RFC 6749 section 4.4) from the fields ``login`` and ``password``.

    ``path`` is the token endpoint below the base URL; ``more`` are further fields of its form, such as an audience.
    ``url_field`` names an extra of the connection that holds the endpoint's whole address, for one at another server.
    ``lifetime`` (seconds) counts where the answer has none.
    """

    path: str = "/oauth/token"
    more: Mapping[str, str] = field(default_factory=dict)
    lifetime: float = 3_600.0
    fields: str = "fields 'login' and 'password'"
    url_field: str = ""

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Fetch a token when there is none, and again shortly before its end."""
        login, secret = values.secret("login", values.login), values.secret("password", values.password)
        form = {"grant_type": "client_credentials", "client_id": login, "client_secret": secret, **self.more}
        address = values.text(self.url_field) if self.url_field else ""
        url = values.checked_url(self.url_field, address) if address else api.url(self.path)
        place = self.url_field if address else "host"
        request, caller = Request("POST", url, form=form), replace(api, secrets=(secret,))
        return client_credentials(caller, request, lifetime=self.lifetime, early=60.0, field=place), (secret,)


@dataclass(frozen=True)
class OAuth1:
    """One-legged OAuth 1.0a with HMAC-SHA1: the key in ``login``, its secret in ``password``."""

    fields: str = "fields 'login' and 'password'"

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Sign every attempt with a nonce of its own."""
        key, secret = values.secret("login", values.login), values.secret("password", values.password)
        signer = Signer(key, secret)
        return SignAuth(lambda: signer), (secret,)


@dataclass(frozen=True)
class LogIn:
    """A log-in that answers a bearer token: JSON with ``{login}`` and ``{password}``, the token under ``token``.

    ``lifetime`` is in seconds; a token is also fetched again when the server refuses it. With ``is_optional`` a
    connection without a password sends no credentials, and one without a login sends its password as the token.
    """

    path: str
    body: Mapping[str, str] = field(default_factory=lambda: {"username": LOGIN, "password": PASSWORD})
    token: str = "access_token"  # noqa: S105  # the name of a field
    lifetime: float | None = None
    is_optional: bool = False
    fields: str = "fields 'login' and 'password'"

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Log in when there is no token."""
        if self.is_optional and not (values.login.strip() and values.password.strip()):
            return Bearer(is_optional=True).make(values, api)
        login, password = values.secret("login", values.login), values.secret("password", values.password)
        known = {LOGIN: login, PASSWORD: password}
        body = {name: known.get(value, value) for name, value in self.body.items()}
        request = Request("POST", api.url(self.path), json=body)

        def fetch() -> Flow[Token]:
            document: Any = yield from api.read(request, "logging in", Asked.TOKEN)
            token = document.get(self.token) if isinstance(document, Mapping) else None
            if not isinstance(token, str) or not token:
                raise api.unreadable(request, Response(200), "logging in", f"the answer has no {self.token}")
            return Token(token, self.lifetime)

        return TokenAuth(fetch), (password,)

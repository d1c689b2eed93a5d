"""Credentials of a declared system: where they are in the connection, and how a request carries them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import Auth, HeaderAuth, NoAuth, QueryAuth, SignAuth, Token, TokenAuth
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow, Request, Response
from airflow_workflow_provider.protocol.oauth1 import OAuth1 as Signer
from airflow_workflow_provider.protocol.oauth2 import client_credentials, seconds_of_answer
from airflow_workflow_provider.protocol.places import Place, found, shown, wrong_place
from airflow_workflow_provider.protocol.policy import Asked

LOGIN, PASSWORD = "{login}", "{password}"  # placeholders in the body of a log-in
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


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


def _wrong_texts(credentials: Any, *names: str) -> Iterator[str]:
    """Say which fields of a declaration are no text; each sentence begins with the field."""
    for name in names:
        value = getattr(credentials, name)
        if not isinstance(value, str) or not value.isprintable():
            yield f"{name}: expected a text, not {value!r}"


def _wrong_path(name: str, path: Any) -> Iterator[str]:
    if not isinstance(path, str) or not path.startswith("/"):
        yield f"{name}: {path!r} does not begin with a slash"
    elif "{" in path or "?" in path or " " in path:
        yield f"{name}: {path!r} holds a placeholder, a query or a blank"


def _wrong_header(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not _HEADER.fullmatch(value):
        yield f"{name}: {value!r} is no name of a header"


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

    def mistakes(self) -> Iterator[str]:
        """Say what is wrong with the declaration."""
        yield from _wrong_header("name", self.name)
        yield from _wrong_texts(self, "field", "prefix")


@dataclass(frozen=True)
class QueryKey:
    """A secret among the parameters of the query, such as ``?api_key=…``, for an API that takes it nowhere else.

    Servers and proxies write addresses into their logs, so prefer a header. ``field`` is as in `Header`.
    """

    name: str
    field: str = "password"

    @property
    def fields(self) -> str:
        """The field that holds the secret."""
        return f"field {self.field!r}"

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Add the parameter to every request."""
        secret = _secret(values, self.field)
        return QueryAuth(self.name, secret), (secret,)

    def mistakes(self) -> Iterator[str]:
        """Say what is wrong with the declaration."""
        yield from (reason for reason in _wrong_texts(self, "name", "field"))
        if not self.name:
            yield "name: is empty; expected the name of a parameter"


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

    def mistakes(self) -> Iterator[str]:
        """Say what is wrong with the declaration."""
        yield from _wrong_path("path", self.path)
        yield from _wrong_texts(self, "url_field")
        if not isinstance(self.more, Mapping):
            yield f"more: expected a mapping, not {type(self.more).__name__}"
        if isinstance(self.lifetime, bool) or not isinstance(self.lifetime, (int, float)) or self.lifetime <= 0:
            yield f"lifetime: expected seconds above 0, not {self.lifetime!r}"


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
    """A log-in that answers a token. ``body`` holds ``{login}`` and ``{password}``, and is sent as JSON or as a form.

    ``token`` is the place of the token in the answer. The token is sent in ``header`` behind ``prefix``. ``lifetime``
    is its life in seconds, or the place of that number in the answer; a token is also fetched again when the server
    refuses it. With ``is_optional`` a connection without a password sends no credentials, and one without a login sends
    its password as the token.
    """

    path: str
    body: Mapping[str, str] = field(default_factory=lambda: {"username": LOGIN, "password": PASSWORD})
    token: Place = "access_token"  # noqa: S105  # the place of a field
    lifetime: float | Place | None = None
    is_optional: bool = False
    fields: str = "fields 'login' and 'password'"
    header: str = "Authorization"
    prefix: str = "Bearer "
    is_form: bool = False

    def make(self, values: ConnectionValues, api: Api) -> tuple[Auth, tuple[str, ...]]:
        """Log in when there is no token."""
        if self.is_optional and not (values.login.strip() and values.password.strip()):
            return Header(self.header, "password", self.prefix, is_optional=True).make(values, api)
        known = {PASSWORD: values.secret("password", values.password)}
        if any(value == LOGIN for value in self.body.values()):
            known[LOGIN] = values.secret("login", values.login)
        body = {name: known.get(value, value) for name, value in self.body.items()}
        url = api.url(self.path)
        request = Request("POST", url, form=body) if self.is_form else Request("POST", url, json=body)

        def fetch() -> Flow[Token]:
            document: Any = yield from api.read(request, "logging in", Asked.TOKEN)
            token = found(document, self.token)
            if not isinstance(token, str) or not token:
                raise api.unreadable(request, Response(200), "logging in", f"the answer has no {shown(self.token)}")
            lifetime = self.lifetime
            if isinstance(lifetime, str) or callable(lifetime):
                return Token(token, seconds_of_answer(found(document, lifetime), None))
            return Token(token, lifetime)

        def applied(request: Request, token: str) -> Request:
            return request.with_headers(**{self.header: f"{self.prefix}{token}"})

        return TokenAuth(fetch, applied), (known[PASSWORD],)

    def mistakes(self) -> Iterator[str]:
        """Say what is wrong with the declaration."""
        yield from _wrong_path("path", self.path)
        if not isinstance(self.body, Mapping):
            yield f"body: expected a mapping, not {type(self.body).__name__}"
        elif PASSWORD not in self.body.values():
            yield f"body: {PASSWORD!r} is nowhere, so nothing says who logs in"
        yield from (f"token: {reason}" for reason in wrong_place(self.token))
        yield from _wrong_header("header", self.header)
        yield from _wrong_texts(self, "prefix")
        if isinstance(self.lifetime, str) or callable(self.lifetime):
            yield from (f"lifetime: {reason}" for reason in wrong_place(self.lifetime))
            if isinstance(self.lifetime, str) and self.lifetime.replace(".", "").isdecimal():
                yield f"lifetime: expected seconds, or the place of a number in the answer, not {self.lifetime!r}"
        elif self.lifetime is not None and (
            isinstance(self.lifetime, bool) or not isinstance(self.lifetime, (int, float)) or self.lifetime <= 0
        ):
            yield f"lifetime: expected seconds above 0, not {self.lifetime!r}"

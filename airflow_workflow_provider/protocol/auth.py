"""Credentials, as flows: how a request gets them, and what to do when they are refused.

Auth objects take plain values and do no I/O. An object is shared by all flows of one connection in a process,
so a token is fetched once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from airflow_workflow_provider.exceptions import ProtocolError
from airflow_workflow_provider.protocol.effects import Flow, Now, Request, Secret, Shared
from airflow_workflow_provider.protocol.redact import redacted

__all__ = ["Auth", "HeaderAuth", "NoAuth", "QueryAuth", "SignAuth", "Token", "TokenAuth", "bearer", "redacted"]

SHORTEST_USE = 5.0  # seconds that a token is used at least, whatever the server says of its life


class Auth(Protocol):
    """Adds credentials to requests. ``minted`` are secrets that it got at run time."""

    @property
    def minted(self) -> tuple[str, ...]:
        """Give the tokens in use, for removing them from texts."""

    def authorize(self, request: Request) -> Flow[Request]:
        """Give the request with its credentials; may log in first."""

    def refused(self, request: Request) -> Flow[bool]:
        """The server refused this authorized request (401). True if other credentials can be had now."""


@dataclass(frozen=True)
class NoAuth:
    """Sends requests as they are: to token endpoints, and to other hosts that must not see a credential."""

    minted: ClassVar[tuple[str, ...]] = ()

    def authorize(self, request: Request) -> Flow[Request]:
        """Give the request as it is."""
        return request
        yield

    def refused(self, request: Request) -> Flow[bool]:
        """There is nothing to renew."""
        return False
        yield


@dataclass(frozen=True)
class HeaderAuth:
    """A constant secret in a header, such as an API key."""

    header: str
    value: str = field(repr=False)
    _alone: Mapping[str, str] = field(init=False, repr=False)
    minted: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_alone", {self.header: self.value})  # the headers of most, shared by all

    def authorize(self, request: Request) -> Flow[Request]:
        """Add the header."""
        headers = {**request.headers, **self._alone} if request.headers else self._alone
        return request.changed(headers=headers, lasting=True)
        yield

    def refused(self, request: Request) -> Flow[bool]:
        """A constant stays refused."""
        return False
        yield


@dataclass(frozen=True)
class QueryAuth:
    """A constant secret among the parameters of the query, for an API that takes it nowhere else."""

    param: str
    value: str = field(repr=False)
    minted: ClassVar[tuple[str, ...]] = ()

    def authorize(self, request: Request) -> Flow[Request]:
        """Add the parameter."""
        return request.changed(params={**(request.params or {}), self.param: self.value}, lasting=True)
        yield

    def refused(self, request: Request) -> Flow[bool]:
        """A constant stays refused."""
        return False
        yield


@dataclass(frozen=True)
class SignAuth:
    """A signature over the finished request, made for every attempt.

    ``make`` gives a `requests` auth object; it is called late, since importing the signing library costs.
    """

    make: Callable[[], Any] = field(repr=False)
    minted: ClassVar[tuple[str, ...]] = ()

    def authorize(self, request: Request) -> Flow[Request]:
        """Have the client sign the request when it prepares it."""
        return request.changed(sign=self.make(), lasting=True)
        yield

    def refused(self, request: Request) -> Flow[bool]:
        """A wrong key stays refused."""
        return False
        yield


@dataclass(frozen=True)
class Token:
    """What a log-in gives: a value, and the seconds it lives (None: until refused)."""

    value: str = field(repr=False)
    lifetime: float | None = None


def bearer(request: Request, token: str) -> Request:
    """Add a token as RFC 6750 has it."""
    return request.with_headers(Authorization=f"Bearer {token}")


@dataclass(eq=False)
class TokenAuth:
    """A token that calls of its own fetch: OAuth 2 client credentials, or a log-in.

    ``fetch`` is the flow that logs in. ``apply`` puts the token into a request. The token is cached, renewed
    ``early`` seconds before its end, and once more when the server refuses it.
    """

    fetch: Callable[[], Flow[Token]]
    apply: Callable[[Request, str], Request] = lambda request, token: request.with_headers(
        Authorization=f"Bearer {token}"
    )
    early: float = 60.0
    _token: str = field(default="", init=False, repr=False)
    _renew_at: float = field(default=0.0, init=False)
    minted: tuple[str, ...] = field(default=(), init=False, repr=False)

    def authorize(self, request: Request) -> Flow[Request]:
        """Add the token; fetch it first if there is none that lasts."""
        now = yield Now()
        if not self._token or now >= self._renew_at:
            yield Shared(self, self._renew)
        return self.apply(request, self._token)

    def refused(self, request: Request) -> Flow[bool]:
        """Forget the token that was refused; another flow may have renewed it since then."""
        if self._token and self.apply(request, self._token).headers == request.headers:
            self._token = ""
        return True
        yield

    def _renew(self) -> Flow[None]:
        token = yield from self.fetch()
        value = token.value.replace("\t", " ")
        if not (value.isascii() and value.isprintable() and value.strip()):
            raise ProtocolError(
                "The token that the server gives cannot be sent: it is blank, or holds characters that no header takes."
                "\n  while: fetching a token"
            )
        now = yield Now()
        yield Secret(token.value)
        self.minted = (*self.minted[-2:], token.value)  # an answer to the token before may still come
        lifetime = float("inf") if token.lifetime is None else token.lifetime
        # A token that lives shorter than ``early`` is still used for half its life, and none is fetched for each poll:
        # one that ends before is refused, and fetched again then.
        self._renew_at = now + max(lifetime - self.early, lifetime / 2, SHORTEST_USE)
        self._token = token.value

"""OAuth 2 client credentials (RFC 6749 section 4.4), as a flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import Token, TokenAuth
from airflow_workflow_provider.protocol.effects import Flow, Request, Response
from airflow_workflow_provider.protocol.policy import Asked

T = TypeVar("T")
_DOING = "fetching an OAuth token"


def client_credentials(api: Api, request: Request, *, lifetime: float, early: float, field: str = "host") -> TokenAuth:
    """Make the auth that fetches a token with ``request``, which carries the client's id and secret.

    ``lifetime`` (seconds) counts where the answer has no ``expires_in``; a token is renewed ``early`` seconds
    before its end. ``field`` is the connection's that holds the address.
    """
    api.fields, api.place = "fields 'login' and 'password'", f"field {field!r}"

    def fetch() -> Flow[Token]:
        answer = yield from api.read(request, _DOING, Asked.TOKEN)
        token = answer.get("access_token") if isinstance(answer, Mapping) else None
        if not isinstance(token, str) or not token:
            raise api.unreadable(request, Response(200), _DOING, "The answer has no access_token")
        return Token(token, seconds_of_answer(answer.get("expires_in"), lifetime))

    return TokenAuth(fetch, early=early)


def seconds_of_answer(value: object, default: T) -> float | T:
    """Read the life of a token, which some servers send as text."""
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return default
    return seconds if 0 < seconds < float("inf") else default

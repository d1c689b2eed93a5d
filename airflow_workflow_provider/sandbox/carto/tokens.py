"""Who may do what: API access tokens with grants, and OAuth tokens for machines."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from .catalog import CONNECTIONS, WORKFLOWS
from .dialect import Call, Statement
from .errors import not_granted, token_missing, token_refused
from .settings import CartoSettings

if TYPE_CHECKING:
    from starlette.requests import Request

TOKEN = "sandbox-carto-token"  # noqa: S105 - obviously fake, as all below
RUN_TOKEN = "sandbox-carto-run-token"  # noqa: S105
READ_TOKEN = "sandbox-carto-read-token"  # noqa: S105
EXPIRED_TOKEN = "sandbox-carto-expired-token"  # noqa: S105
CLIENT_ID, CLIENT_SECRET = "sandbox-carto-client", "sandbox-carto-client-secret"
AUDIENCE = "carto-cloud-native-api"
ANYTHING = (("*", "*"),)

RUN_GRANTS = (
    *((workflow.connection, workflow.procedure) for workflow in WORKFLOWS),
    # What the procedures read must be granted too; their out tables are not.
    ("carto_dw", "carto-demo-data.demo_tables.*"),
)
READ_GRANTS = tuple((one.name, one.full_name("wfproc_*_out_*")) for one in CONNECTIONS.values())


@dataclass(frozen=True)
class Token:
    """A token and its grants: pairs of connection name and source, both with ``*`` for any."""

    grants: tuple[tuple[str, str], ...] = ANYTHING
    expires_at: float | None = None

    def allows(self, connection: str, statement: Call | Statement) -> bool:
        """Whether every object of a statement is granted; without ``*`` even ``SELECT 1`` is not.

        inferred: how CARTO compares; that a run token may not read the out table is what its documentation implies.
        """
        sources = [source for name, source in self.grants if name in ("*", connection)]
        if "*" in sources:
            return True
        wanted = (statement.procedure,) if isinstance(statement, Call) else statement.tables
        reads = isinstance(statement, Call) or statement.reads
        return reads and bool(wanted) and all(any(covers(source, one) for source in sources) for one in wanted)


def covers(source: str, name: str) -> bool:
    """Whether a granted source covers an object, without regard to case."""
    return fnmatchcase(name.upper(), source.upper())


@dataclass
class Tokens:
    """The tokens that are valid now, and the endpoint that makes more of them."""

    settings: CartoSettings
    clock: Callable[[], float] = time.monotonic
    known: dict[str, Token] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Only the fixed tokens are left."""
        self.known = {
            TOKEN: Token(),
            RUN_TOKEN: Token(RUN_GRANTS),
            READ_TOKEN: Token(READ_GRANTS),
            EXPIRED_TOKEN: Token(expires_at=self.clock() - 1),
        }

    def of(self, request: Request) -> Token:
        """The token of a request, from its header or, with GET, its URL; raises a 401."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not value.strip():
            value = request.query_params.get("access_token", "") if request.method == "GET" else ""
        if not value.strip():
            raise token_missing()
        token = self.known.get(value.strip())
        if token is None or value.strip() in self.settings.revoked_tokens:
            raise token_refused()
        if token.expires_at is not None and token.expires_at <= self.clock():
            raise token_refused("Token expired")
        return token

    async def grant(self, request: Request) -> Response:
        """``POST /oauth/token``: client credentials, as a form or as JSON."""
        fields = credentials(await request.body())
        if fields.get("grant_type") != "client_credentials":
            return refusal(400, "unsupported_grant_type", "Unsupported grant type")
        if (fields.get("client_id"), fields.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return refusal(401, "access_denied", "Unauthorized")
        if fields.get("audience") != AUDIENCE:
            return refusal(403, "access_denied", "Service not enabled within domain")
        value, seconds = f"sandbox-carto-oauth-{secrets.token_hex(16)}", self.settings.token_seconds
        self.known[value] = Token(expires_at=self.clock() + seconds)
        return JSONResponse(
            {"access_token": value, "scope": "", "expires_in": round(seconds), "token_type": "Bearer"},
            headers={"cache-control": "no-store"},
        )


def credentials(body: bytes) -> dict[str, str]:
    """The fields of a token request; nothing when it is neither JSON nor a form."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        return dict(parse_qsl(text))
    return found if isinstance(found, dict) else {}


def refusal(status: int, error: str, description: str) -> Response:
    """Auth0's form of an error (inferred)."""
    return JSONResponse({"error": error, "error_description": description}, status_code=status)


def permit(token: Token, connection: str, statement: Call | Statement) -> None:
    """Raise a 403 for what a token's grants do not cover."""
    if not token.allows(connection, statement):
        raise not_granted()

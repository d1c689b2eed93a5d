"""Log-in and log-out, and what can be asked about the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse, Response

from airflow_workflow_provider.sandbox.system import now

from . import answers, presenters
from .catalog import USERS
from .rails import Call, Endpoint, nested
from .sessions import Browser, Session, Sessions, refused_fields

if TYPE_CHECKING:
    from .settings import ChorusSettings

VERSION = "6.3.0.0.5410-4ef43d3c9\n"
NO_CHORUS_USER = "User authenticated with LDAP but is not a Chorus user"
LOGIN_FAILURES: dict[str, tuple[int, dict[str, Any]]] = {
    "ldap_no_user": (401, {"fields": {"base": {"GENERIC": {"message": NO_CHORUS_USER}}}}),
    "ldap_unreachable": (400, {"message": "Could not connect to the LDAP server"}),  # inferred text
    "license_expired": (503, {"service": "LICENSE_EXPIRED"}),
}


class Account:
    """The handlers."""

    def __init__(self, settings: ChorusSettings, sessions: Sessions) -> None:
        self.settings, self.sessions = settings, sessions

    def open_endpoints(self) -> list[Endpoint]:
        """What can be asked without a session."""
        return [
            ("POST", "/sessions", self.log_in),
            ("DELETE", "/sessions", self.log_out),
            ("GET", "/status", self.status),
            ("GET", "/VERSION", self.version),
        ]

    def endpoints(self) -> list[Endpoint]:
        """What wants a session."""
        return [("GET", "/sessions", self.current), ("GET", "/license", self.license)]

    async def log_in(self, call: Call) -> Response:
        """``POST /api/sessions``: username and password, alone or below ``session``."""
        if self.settings.login_failure:
            status, content = LOGIN_FAILURES[self.settings.login_failure]
            raise answers.errors(status, **content)
        given = {name: nested(call.params, "session", name) for name in ("username", "password")}
        if wrong := refused_fields(given):
            raise answers.errors(401, fields=wrong)
        session = self.sessions.begin(USERS[str(given["username"])])
        call.browser = self.sessions.keep(call.browser or Browser())
        call.browser.session_id = session.id
        return answers.one(shown(session), 201)

    async def log_out(self, call: Call) -> Response:
        """``DELETE /api/sessions``, also for who is not logged in; answers the next token against forgery."""
        self.sessions.end(call.session)
        call.browser = self.sessions.keep(Browser())
        return answers.RailsJson({"csrf_token": call.browser.csrf_token})

    async def current(self, call: Call) -> Response:
        """``GET /api/sessions``."""
        assert call.session is not None
        return answers.one(shown(call.session))

    async def status(self, call: Call) -> Response:
        """``GET /api/status``: without an envelope."""
        content = {"user_count_exceeded": False, "updated_at": presenters.stamp(now()), "status": "Chorus is running"}
        return answers.RailsJson(content)

    async def version(self, call: Call) -> Response:
        """``GET /api/VERSION``: plain text."""
        return PlainTextResponse(VERSION)

    async def license(self, call: Call) -> Response:
        """``GET /api/license``; which keys there are besides those of the switches is partly inferred."""
        content = {
            "expired": False,
            "expires": "2099-12-31",
            "level": "triple",
            "vendor": "alpine",
            "organization_uuid": "o-sandbox",
            "workflow_enabled": self.settings.workflow_enabled,
            "is_enabled_api": self.settings.api_enabled,
            "limit_api": not self.settings.api_enabled,
            "is_enabled_jobs": self.settings.jobs_enabled,
            "limit_jobs": not self.settings.jobs_enabled,
            "version": VERSION.strip(),
            "complete_json": True,
        }
        return answers.one(content)


def shown(session: Session) -> dict[str, object]:
    """A session as its owner sees it."""
    return {"session_id": session.id, "user": presenters.user(session.user), "complete_json": True}

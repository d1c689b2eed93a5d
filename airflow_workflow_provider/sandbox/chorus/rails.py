"""The way of a request through the Rails side: redirect, CSRF, log-in, handler, headers."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from . import answers
from .catalog import User, Workspace
from .sessions import Browser, Session, Sessions
from .settings import ChorusSettings

if TYPE_CHECKING:
    from starlette.requests import Request

SSL_PORT = 8443


@dataclass
class Call:
    """A request that has been let in: its parameters wherever they stood, and who asks."""

    request: Request
    params: dict[str, Any]
    browser: Browser | None
    session: Session | None

    @property
    def user(self) -> User:
        """Who asks; only behind the log-in."""
        assert self.session is not None
        return self.session.user

    def id(self, name: str) -> int:
        """A record's id in the path; what is no number belongs to no record."""
        return answers.whole(self.request.path_params[name], 0)


Handler = Callable[[Call], Awaitable[Response]]
Endpoint = tuple[str, str, Handler]


class Rails:
    """Lets requests in, and turns refusals into answers."""

    def __init__(self, settings: ChorusSettings, sessions: Sessions) -> None:
        self.settings, self.sessions = settings, sessions

    def routes(self, endpoints: Sequence[Endpoint], *, login: bool = True) -> list[Route]:
        """Routes for endpoints; each is served below ``/api`` and at the root, which older clients use."""
        return [
            Route(prefix + path, self.entrance(handler, login=login), methods=[method])
            for method, path, handler in endpoints
            for prefix in ("/api", "")
        ]

    def entrance(self, handler: Handler, *, login: bool) -> Callable[[Request], Awaitable[Response]]:
        """A handler behind everything that comes before it."""

        async def answer(request: Request) -> Response:
            began = time.perf_counter()
            response = redirect(request) if self.settings.redirect_http else await self.passed(request, handler, login)
            return answers.dressed(response, time.perf_counter() - began)

        return answer

    async def passed(self, request: Request, handler: Handler, login: bool) -> Response:
        """The answer of a handler, or the refusal before or in it."""
        call = await self.call(request)
        try:
            self.verify(call)
            if login and call.session is None:
                raise answers.head(401)
            # The endpoints of the session itself do not make it last longer.
            if call.session and not request.url.path.endswith("/sessions"):
                self.sessions.touch(call.session)
            response = await handler(call)
        except answers.Refused as refusal:
            response = refusal.response
        if call.browser:
            response.set_cookie(self.settings.cookie_name, call.browser.cookie, httponly=True, samesite=None)
        return response

    async def call(self, request: Request) -> Call:
        """Who asks for what: a parameter ``session_id`` counts before the cookie, even a wrong or empty one."""
        params = await body_of(request) | dict(request.query_params)
        browser = self.sessions.browser(request.cookies.get(self.settings.cookie_name))
        session_id = params.get("session_id", browser.session_id if browser else None)
        if "session_id" not in params and self.settings.token_on_rails:
            session_id = request.headers.get("x-token", session_id)
        return Call(request, params, browser, self.sessions.valid(None if session_id is None else str(session_id)))

    def verify(self, call: Call) -> None:
        """Refuse a forged request: with a cookie alone, whatever is not a GET needs the cookie's token."""
        request = call.request
        if request.method in ("GET", "HEAD") or not self.settings.csrf or "session_id" in call.params:
            return
        if self.settings.token_on_rails and "x-token" in request.headers:
            return
        given = request.headers.get("x-csrf-token") or call.params.get("authenticity_token")
        if call.browser is None or given != call.browser.csrf_token:
            raise answers.head(403)


async def body_of(request: Request) -> dict[str, Any]:
    """The parameters in a body, as a form or as JSON; nothing when it is neither."""
    content_type, body = request.headers.get("content-type", ""), await request.body()
    if "json" in content_type:
        try:
            found = json.loads(body or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
    if "form-urlencoded" in content_type:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return {}


def redirect(request: Request) -> Response:
    """What the http port answers when there is an https port."""
    return RedirectResponse(str(request.url.replace(scheme="https", port=SSL_PORT)), status_code=302)


def nested(params: dict[str, Any], model: str, name: str) -> Any:
    """A parameter that may stand alone, as ``model[name]`` or inside an object, as Rails' wrapped parameters may."""
    inside = params.get(model)
    if isinstance(inside, dict) and name in inside:
        return inside[name]
    return params.get(f"{model}[{name}]", params.get(name))


def may_look(user: User, workspace: Workspace) -> None:
    """Refuse who may not see a workspace."""
    if not workspace.public and user.id not in workspace.members:
        raise answers.forbidden()


def may_edit(user: User, workspace: Workspace) -> None:
    """Refuse who is no member of a workspace."""
    if user.id not in workspace.members:
        raise answers.forbidden()

"""The two apps of the sandbox's Alteryx Server: the web API and the Gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .access import Access, Tolerant
from .errors import ApiError, no_method, no_route, v1_body
from .jobs import Jobs
from .oauth1 import Verifier
from .oauth2 import Tokens
from .settings import AlteryxSettings, World
from .users import USERS
from .v1 import V1
from .v3 import V3

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

# inferred: the Gallery is a web page for people wherever it is not its API.
PAGE = "<!DOCTYPE html><html><head><title>Alteryx Server (sandbox)</title></head><body>Sign in</body></html>"


class Server:
    """Jobs, tokens and nonces, and the paths in front of them."""

    def __init__(self, settings: AlteryxSettings) -> None:
        self.settings = settings
        self.jobs = Jobs(settings)
        self.tokens = Tokens(settings)
        self.verifier = Verifier(settings, {user.key: user.secret for user in USERS.values()})

    def reset(self) -> None:
        """No jobs, no tokens, no nonces."""
        self.jobs.clear()
        self.tokens.known.clear()
        self.verifier.forget()

    def access(self, world: World) -> Access:
        """The check for one of the two worlds."""
        return Access(self.settings, self.tokens, self.verifier, world)

    def webapi(self) -> ASGIApp:
        """``/webapi``: V1, V2 and V3 with OAuth 2."""
        access = self.access("webapi")

        async def grant(request: Request) -> Response:
            if not access.has("webapi"):
                raise no_route(str(request.url))
            return await self.tokens.grant(request)

        v1, v3 = V1(self.settings, self.jobs, access), V3(self.settings, self.jobs, access)
        return self.app([Route("/oauth2/token", grant, methods=["POST"]), *v1.routes(), *v3.routes()])

    def gallery(self) -> ASGIApp:
        """``/gallery``: V1 with OAuth 1.0a below ``/api``, else the page for people."""
        v1 = V1(self.settings, self.jobs, self.access("gallery"))
        return self.app([*v1.routes("/api"), Route("/api/{path:path}", strayed), Route("/{path:path}", page)])

    def app(self, routes: list[Route]) -> ASGIApp:
        """An app that takes any number of slashes and writes its own errors."""
        handlers = {ApiError: self.refused, HTTPException: self.strayed}
        app = Starlette(routes=routes, exception_handlers=handlers)
        return Tolerant(app)

    async def strayed(self, request: Request, error: Exception) -> Response:
        """No such path or method."""
        is_405 = isinstance(error, HTTPException) and error.status_code == 405
        return await self.refused(request, no_method(request.method) if is_405 else no_route(str(request.url)))

    async def refused(self, request: Request, error: Exception) -> Response:
        """An error in the form of the path's generation."""
        if not isinstance(error, ApiError):
            raise error
        if error.body is not None:
            return JSONResponse(error.body, status_code=error.status)
        if "/v3/" not in request.url.path:
            return JSONResponse(v1_body(error.status, error.message), status_code=error.status)
        if self.settings.v3_error_body == "empty":
            return Response(status_code=error.status)
        return JSONResponse({"message": error.message}, status_code=error.status)


async def strayed(request: Request) -> Response:
    """A path of the Gallery's API that does not exist."""
    raise HTTPException(404)


async def page(request: Request) -> Response:
    """The Gallery's page."""
    return HTMLResponse(PAGE)

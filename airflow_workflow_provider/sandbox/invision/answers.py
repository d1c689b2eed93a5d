"""The errors of InVision and Flow, and who may ask what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, RedirectResponse, Response

from .settings import InvisionSettings

if TYPE_CHECKING:
    from starlette.requests import Request

TITLES = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 415: "Unsupported Media Type"}
LOGIN_PATH = "/account/login"
LOGIN = "<!DOCTYPE html>\n<html><head><title>Sign in to your account</title></head><body><form></form></body></html>\n"
IIS = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">\r\n'
    "<HTML><HEAD><TITLE>{title}</TITLE></HEAD>\r\n<BODY><h2>{title}</h2>\r\n<hr><p>HTTP Error {status}.</p>\r\n"
    "</BODY></HTML>\r\n"
)


class Refused(Exception):
    """A request ends with this answer instead of its own."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def problem(status: int, detail: str | None = None) -> Refused:
    """What ASP.NET says by itself (inferred)."""
    content: dict[str, object] = {"title": TITLES[status], "status": status}
    if detail:
        content["detail"] = detail
    return Refused(JSONResponse(content, status, media_type="application/problem+json; charset=utf-8"))


def error(settings: InvisionSettings, status: int) -> Refused:
    """An error of InVision: 500 is the only one that is documented, its empty body is inferred."""
    return problem(status) if settings.error_style == "precise" else Refused(Response(status_code=500))


def iis(status: int, title: str) -> Response:
    """A page of the web server itself."""
    return Response(IIS.format(title=title, status=status), status, media_type="text/html")


def key_of(request: Request, settings: InvisionSettings) -> str | None:
    """The key of a request; that header and query at once are refused is documented for Flow, inferred for InVision."""
    header, query = request.headers.get("x-api-key"), request.query_params.get("api_key")
    if header is not None and query is not None:
        raise (
            problem(settings.both_keys_status)
            if settings.both_keys_status in TITLES
            else Refused(Response(status_code=settings.both_keys_status))
        )
    return header or query


def admit(request: Request, settings: InvisionSettings, key: str) -> None:
    """Let in who has the key of this area; keys of other areas open nothing here (inferred)."""
    given = key_of(request, settings)
    if given is not None and given.lower() == key:
        return
    if settings.login_redirect == "refused" or (settings.login_redirect == "missing" and given is None):
        raise Refused(login(request))
    raise error(settings, 401)


def login(request: Request) -> Response:
    """The way to the log-in page."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}{LOGIN_PATH}?ReturnUrl=%2F", status_code=302)

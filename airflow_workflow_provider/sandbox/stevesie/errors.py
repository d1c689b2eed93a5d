"""The errors of Stevesie's API.

inferred: all of them. The one known form is the older API's ``{"errors": [{"<field>": "…"}]}``, and that a body may be
no JSON at all (https://github.com/Stevesie/stevesie-py).
"""

from __future__ import annotations

from starlette.responses import JSONResponse, PlainTextResponse, Response


class ApiError(Exception):
    """An answer that is an error: HTTP status, the field it is about, text, further headers."""

    def __init__(self, status: int, field: str, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.field, self.text, self.headers = status, field, text, headers


def error_answer(error: ApiError, style: str) -> Response:
    """The answer, as JSON or as plain text."""
    if style == "text":
        return PlainTextResponse(error.text, error.status, error.headers)
    return JSONResponse({"errors": [{error.field: error.text}]}, error.status, error.headers)


def access_denied() -> ApiError:
    """No token or a wrong one; the words are those of the vendor's older client."""
    return ApiError(401, "token", "Access Denied - Check your token or the resource URL")


def unknown(what: str, status: int) -> ApiError:
    """No such thing, or none of this account's."""
    return ApiError(404, what, "Not found") if status == 404 else access_denied()


def bad(field: str, text: str) -> ApiError:
    """A field of a body is refused."""
    return ApiError(400, field, text)

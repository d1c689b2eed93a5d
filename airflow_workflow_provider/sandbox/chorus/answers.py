"""The answers of the Rails side: envelopes, errors and their headers."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

HEADERS = {
    "x-frame-options": "SAMEORIGIN",
    "x-xss-protection": "1; mode=block",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
# inferred: that Rails' standard pages are served is the reading of the source, their exact text is not known.
PAGE = "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
TITLES = {
    404: "The page you were looking for doesn't exist (404)",
    500: "We're sorry, but something went wrong (500)",
}
# nginx' own page; that the engine is behind it is known, its text inferred.
BAD_GATEWAY = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n"
PER_PAGE = 50


class Refused(Exception):
    """A request ends with this answer instead of its own."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class RailsJson(JSONResponse):
    """JSON as Rails labels it."""

    media_type = "application/json; charset=utf-8"


def one(value: Any, status: int = 200) -> Response:
    """An object in its envelope."""
    return RailsJson({"response": value}, status_code=status)


def page(values: Sequence[Any], params: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """The values of the wanted page, and the pagination, whose ``total`` is the number of pages."""
    number, size = max(1, whole(params.get("page"), 1)), max(0, whole(params.get("per_page"), PER_PAGE))
    total = max(1, math.ceil(len(values) / size)) if size else None
    pagination = {"page": number, "per_page": size, "records": len(values), "total": total}
    return values[(number - 1) * size : number * size], pagination


def several(values: Sequence[Any], pagination: Mapping[str, Any]) -> Response:
    """A list in its envelope."""
    return RailsJson({"response": values, "pagination": pagination})


def whole(value: Any, default: int) -> int:
    """A number out of a parameter; what is none counts as absent (inferred)."""
    text = str(value)
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() else default


def errors(status: int, **content: Any) -> Refused:
    """An error in its envelope."""
    return Refused(RailsJson({"errors": content}, status_code=status))


def fields(**content: Any) -> Refused:
    """A validation that failed."""
    return errors(422, fields=content)


def not_found() -> Refused:
    """No such record."""
    return errors(404, record="NOT_FOUND")


def forbidden() -> Refused:
    """The user may not; the answer says nothing about what it is."""
    return errors(403, model_data={})


def head(status: int) -> Refused:
    """An answer without content, which Rails gives a body of one space."""
    return Refused(Response(" ", status, headers={"content-type": "text/html"}))


def failed() -> Refused:
    """Rails' page for an unexpected error."""
    return Refused(html(500))


def html(status: int) -> Response:
    """Rails' page for a status."""
    return Response(PAGE.format(title=TITLES[status]), status, media_type="text/html")


def dressed(response: Response, seconds: float) -> Response:
    """An answer with the headers that Rails puts on each."""
    response.headers.update(HEADERS | {"x-request-id": str(uuid.uuid4()), "x-runtime": f"{seconds:.6f}"})
    return response

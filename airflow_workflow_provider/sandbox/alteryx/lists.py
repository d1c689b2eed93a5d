"""The lists of V1 and V3: their filters, their order and their pages, as the query asks for them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from .answers import PRIORITY_NUMBERS
from .errors import invalid

if TYPE_CHECKING:
    from starlette.requests import Request

T = TypeVar("T")
# The filters of a workflow's jobs, by the states that they stand for (inferred; the words are the Swagger's).
STATUS_FILTER = {"Complete": {"success"}, "Error": {"error"}, "Running": {"running"}, "Queued": {"queued"}}
RESULT_FILTER = {"Success": {"success"}, "Error": {"error"}, "Warning": set[str]()}
SORT_KEYS = {
    "CreateDate": lambda job: job.created_at,
    "AppName": lambda job: job.app.name,
    "CompletionDateTime": lambda job: job.ended_at or job.created_at,
    "Priority": lambda job: PRIORITY_NUMBERS[job.wanted.priority],
    "Status": lambda job: job.state,
}
# inferred: the size of a page when none is asked for.
PAGE = 100


def paged(request: Request, found: list[T]) -> list[T]:
    """A part of a list by ``offset`` and ``limit``; without a limit all of it (the real cap is not known)."""
    offset, limit = number(request, "offset", 0), number(request, "limit", len(found))
    return found[offset : offset + limit]


def number(request: Request, name: str, default: int) -> int:
    """A query parameter that counts something."""
    given = request.query_params.get(name) or str(default)
    if not given.isascii() or not given.isdigit():
        raise invalid(name, f"The value '{given}' is not valid.")
    return int(given)


def filtered(request: Request, name: str, states: dict[str, set[str]]) -> set[str]:
    """The states that a filter leaves."""
    asked = request.query_params.get(name)
    if not asked:
        return {"queued", "running", "success", "error", "cancelled"}
    if asked not in states:
        raise invalid(name, f"The value '{asked}' is not valid.")
    return states[asked]


def listed(request: Request, name: str) -> set[str]:
    """The values of a parameter that may be repeated or hold several with commas."""
    return {part for value in request.query_params.getlist(name) for part in value.split(",") if part}


def day(request: Request, name: str, default: date) -> date:
    """A date as yyyy-MM-dd."""
    given = request.query_params.get(name)
    try:
        return date.fromisoformat(given) if given else default
    except ValueError as error:
        raise invalid(name, f"The value '{given}' is not valid.") from error


def pagination(total: int, offset: int, limit: int) -> dict[str, Any]:
    """The numbers of a page."""
    size = max(limit, 1)
    pages, current = -(-total // size), offset // size + 1
    return {
        "currentPage": current,
        "pageSize": limit,
        "totalItems": total,
        "totalPages": pages,
        "hasNextPage": offset + limit < total,
        "hasPreviousPage": offset > 0,
    }

"""Reading what a caller asks of a run: V1's, V2's and V3's bodies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .errors import ApiError, invalid
from .jobs import Wanted
from .settings import World
from .users import CREDENTIALS

if TYPE_CHECKING:
    from starlette.requests import Request

PRIORITIES = ("Default", "Low", "Medium", "High", "Critical")
# With OAuth 1 a priority is a number, as text.
NUMBERED = {"0": "Low", "1": "Medium", "2": "High", "3": "Critical"}


async def wanted(request: Request, world: World, *, worker: bool, credential: bool) -> Wanted:
    """What the body asks for; ``worker`` and ``credential`` tell whether this path knows these fields.

    An empty body is a run with the default answers; unknown fields are ignored (inferred for V3). Raises a 400 or 415.
    """
    body = await json_object(request)
    return Wanted(
        questions(body.get("questions")),
        priority(body.get("priority"), world),
        text(body, "workerTag") if worker else "",
        credential_of(body) if credential else "",
    )


async def json_object(request: Request) -> dict[str, Any]:
    """The body; what is neither empty nor a JSON object is refused (codes are ASP.NET's, inferred)."""
    raw = await request.body()
    if not raw.strip():
        return {}
    if "json" not in request.headers.get("content-type", "").lower():
        message = "The request entity's media type is not supported for this resource."
        raise ApiError(415, message, {"message": message})
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise invalid("", f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("", "The body must be a JSON object.")
    return body


def questions(given: Any) -> list[tuple[str, str | None]]:
    """Name and answer of each question; numbers and booleans become text as .NET reads them (inferred)."""
    if given is None:
        return []
    listed = given if isinstance(given, list) else [given]
    if any(not isinstance(one, dict) or not isinstance(one.get("name"), str) for one in listed) or listed != given:
        raise invalid("questions", "Questions must be a list of objects with name and value.")
    return [(one["name"], answer(one.get("value"))) for one in given]


def answer(value: Any) -> str | None:
    """One answer."""
    if isinstance(value, dict | list):
        raise invalid("questions", "A value must be text.")
    return value if value is None or isinstance(value, str) else json.dumps(value)


def priority(given: Any, world: World) -> str:
    """A priority by name."""
    if given is None:
        return "Default"
    if world == "gallery":
        name = NUMBERED.get(str(given)) if isinstance(given, str | int) and not isinstance(given, bool) else None
    else:
        name = given if given in PRIORITIES else None
    if name is None:
        raise invalid("priority", f"Error converting value {json.dumps(given)} to a priority.")
    return name


def text(body: dict[str, Any], name: str) -> str:
    """A field that is text, or absent."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(name, "The value must be text.")
    return value or ""


def credential_of(body: dict[str, Any]) -> str:
    """The credential to run with; that an unknown one is refused at once is inferred."""
    credential = text(body, "credentialId")
    if credential and credential not in CREDENTIALS:
        raise invalid("credentialId", "The credential does not exist.")
    return credential

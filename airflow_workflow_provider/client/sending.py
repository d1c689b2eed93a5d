"""The bytes of a request as aiohttp takes them, made at the least cost: a waiting run asks the same every time."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDict

from airflow_workflow_provider.client.prepare import prepared
from airflow_workflow_provider.protocol.effects import Request, Response

# An address that `requests` leaves exactly as it is: a test compares.
_PLAIN = re.compile(
    r"https?://[a-z0-9](?:[a-z0-9-]|\.(?=[a-z0-9]))*(?::[1-9][0-9]{0,3}|:[1-5][0-9]{4})?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?"
)
HEADER_SETS = 64
LARGE = 256 * 1024  # bytes of JSON that are worth a thread


@dataclass(frozen=True, slots=True)
class Made:
    """A request ready to be sent."""

    method: str
    url: str
    headers: CIMultiDict[str]
    body: Any = None


class Maker:
    """Makes the requests of one client, and keeps what it will be asked for again."""

    def __init__(self) -> None:
        self._headers: dict[Any, CIMultiDict[str]] = {}

    def made(self, request: Request) -> Made:
        """Give the request in its bytes, signed anew where it is to be signed."""
        made: Made | None = request.made
        if made is None:
            if request.json is not None or request.form is not None or request.stream:
                return _whole(request)
            if request.sign is not None and not hasattr(request.sign, "header"):
                return _whole(request)  # a signature that wants to see more than method and address
            plain = request.params is None and _PLAIN.fullmatch(request.url)
            made = self._plain(request) if plain else _whole(request.changed(sign=None))
            if request.lasting:
                # It goes with the request, and so with the run that it asks for.
                object.__setattr__(request, "made", made)
        if request.sign is None:
            return made
        headers = made.headers.copy()
        headers["Authorization"] = request.sign.header(made.method, made.url)
        return Made(made.method, made.url, headers)

    def _plain(self, request: Request) -> Made:
        """Make a request without preparing it: `requests` would only repeat what it did for another address."""
        key = (request.method, *request.headers.items())
        headers = self._headers.get(key)
        if headers is None:
            if len(self._headers) >= HEADER_SETS:  # tokens come and go
                self._headers.clear()
            headers = self._headers[key] = _whole(request.changed(sign=None)).headers
        return Made(request.method, request.url, headers)


def _whole(request: Request) -> Made:
    made = prepared(request)
    return Made(str(made.method), str(made.url), CIMultiDict(made.headers), made.body)


async def opened(response: Response) -> Response:
    """Read a large JSON body in a thread, so that the loop goes on meanwhile."""
    if len(response.body) < LARGE or "json" not in response.headers.get("content-type", "json"):
        return response
    try:
        document = await asyncio.to_thread(_parsed, response)
    except (ValueError, RecursionError):
        return response  # whoever reads it finds that out again
    return Response(response.status, response.headers, response.body, parsed=(document,))


def _parsed(response: Response) -> Any:
    # The parser is one long call that lets no other thread run. A function that it must call for every object does.
    return json.loads(response.text(), object_hook=_as_it_is)


def _as_it_is(document: dict[str, Any]) -> dict[str, Any]:
    return document


def described(error: BaseException) -> str:
    """Name a network failure without its URL, which can hold a credential."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}: HTTP {error.status} {error.message}"
    text = str(getattr(error, "os_error", None) or error)
    return f"{type(error).__name__}: {'' if '://' in text else text[:200]}".rstrip(": ")

"""Requests are built, encoded and signed once, by `requests`; both drivers send what it made."""

from __future__ import annotations

from typing import Any

import requests
from requests.exceptions import RequestException
from requests.structures import CaseInsensitiveDict

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.effects import Request

USER_AGENT = "airflow-workflow-provider"


def prepared(request: Request) -> requests.PreparedRequest:
    """Build the bytes of a request. A URL or header that cannot be sent raises `InvalidArgument`."""
    # A result is streamed as the server stores it; everything else may be compressed on the way.
    encoding = "identity" if request.stream else "gzip, deflate"
    common = {"Accept": "application/json", "Accept-Encoding": encoding, "User-Agent": USER_AGENT}
    headers: dict[str, Any] = {**common, **request.headers}
    if " " in request.url.partition("?")[0].partition("://")[2].partition("/")[0]:
        raise InvalidArgument(f"{request} cannot be sent: a host has no blanks")  # older requests would look it up
    try:
        made = requests.Request(
            request.method,
            request.url,
            params=dict(request.params) if request.params else None,
            headers=headers,
            json=request.json,
            data=dict(request.form) if request.form is not None else None,
            auth=request.sign,
        ).prepare()
    except (RequestException, ValueError) as error:
        raise InvalidArgument(f"{request} cannot be sent: {type(error).__name__}") from error
    # requests_oauthlib leaves bytes among the headers, which aiohttp does not take.
    made.headers = CaseInsensitiveDict({_text(name): _text(value) for name, value in made.headers.items()})
    return made


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

"""A streamed body as a file object, and what network failures of `requests` mean."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from requests import exceptions as failures
from urllib3 import exceptions as urllib3_errors

from airflow_workflow_provider.exceptions import ServerUnavailable
from airflow_workflow_provider.outputs.stream import Stream

if TYPE_CHECKING:
    import requests

# Packed in such a way, a body is handed on as it is on the wire; every other packing is undone here.
_HANDED_ON = frozenset({"", "identity", "gzip", "x-gzip"})
# What these say is true of the packed bytes alone.
_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "accept-ranges", "etag", "last-modified"})
_NEVER_SENT = (
    failures.InvalidURL,
    failures.InvalidSchema,
    failures.MissingSchema,
    failures.InvalidHeader,
    UnicodeEncodeError,
    urllib3_errors.NewConnectionError,
    urllib3_errors.ConnectTimeoutError,
    ssl.SSLCertVerificationError,
)
# A proxy that refused, or a server that does not speak TLS: the hand-shake comes before the request.
_NEVER_SENT_WORDS = ("Tunnel connection failed", "WRONG_VERSION_NUMBER")


class Body(Stream):
    """The bytes of an answer; one that breaks off or is shorter than announced raises `ServerUnavailable`.

    ``headers`` (names in lower case) are those that are true of these bytes: gzip comes packed, as it is on the wire.
    ``checks_length`` says that a body which breaks off is noticed.
    """

    def __init__(self, answer: requests.Response) -> None:
        self._answer = answer
        headers = {name.lower(): value for name, value in answer.headers.items()}
        self._unpacks = headers.get("content-encoding", "").strip().lower() not in _HANDED_ON
        is_chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self.checks_length = is_chunked or headers.get("content-length", "").strip().isdecimal()
        left_out = _OF_THE_WIRE if self._unpacks else frozenset()
        self.headers = {name: value for name, value in headers.items() if name not in left_out}

    def take(self, size: int) -> bytes:
        """Give the next bytes."""
        try:
            return self._answer.raw.read(size, decode_content=self._unpacks)
        except (urllib3_errors.HTTPError, OSError, ValueError) as error:
            raise ServerUnavailable(f"the result broke off while it was read: {described(error)}") from error

    def close(self) -> None:
        """Give the connection back; one that was not read to its end is closed."""
        if not self.closed:
            self._answer.close()
        super().close()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down to what really happened; `requests` and urllib3 wrap it in several layers."""
    cause: BaseException | None = error
    for _ in range(8):
        if not isinstance(cause, BaseException):
            return
        yield cause
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__


def never_sent(error: BaseException) -> bool:
    """True when it is certain that the request did not reach the server: no connection to it was made."""
    return any(
        isinstance(cause, _NEVER_SENT) or any(words in str(cause) for words in _NEVER_SENT_WORDS)
        for cause in _causes(error)
    )


def described(error: BaseException) -> str:
    """Name a network failure without its URL, which can hold a credential."""
    *_, last = _causes(error)
    text = str(last)
    if "(Caused by" in text or "://" in text or "?" in text:
        text = type(last).__name__
    return f"{type(error).__name__}: {text.rpartition('>: ')[2][:200]}"

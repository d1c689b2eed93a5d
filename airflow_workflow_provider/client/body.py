"""A streamed body as a file object, and what network failures of `requests` mean."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from requests import exceptions as failures
from urllib3 import exceptions as urllib3_errors

from airflow_workflow_provider.exceptions import ServerUnavailable

if TYPE_CHECKING:
    import requests

_BUFFER = 1 << 20  # bytes; small reads cost more than the network here
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


class Body(io.RawIOBase):
    """The decoded bytes of an answer; one that breaks off or is shorter than announced raises `ServerUnavailable`."""

    def __init__(self, answer: requests.Response) -> None:
        self._answer = answer

    @classmethod
    def of(cls, answer: requests.Response) -> BinaryIO:
        """Wrap an answer that was asked for with ``stream=True``."""
        return cast("BinaryIO", io.BufferedReader(cls(answer), _BUFFER))

    def readable(self) -> bool:
        """A body can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io's stub wants the C buffer type
        """Read at most as many bytes as the buffer holds; 0 at the end."""
        try:
            data = self._answer.raw.read(len(buffer), decode_content=True)
        except (urllib3_errors.HTTPError, OSError, ValueError) as error:
            raise ServerUnavailable(f"the result broke off while it was read: {described(error)}") from error
        buffer[: len(data)] = data
        return len(data)

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

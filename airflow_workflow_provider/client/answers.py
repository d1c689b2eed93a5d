"""Reading an answer within bounds of size, and telling what a network failure means without showing an address."""

from __future__ import annotations

import socket
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException
from io import BytesIO
from typing import TYPE_CHECKING

from airflow_workflow_provider.exceptions import ServerUnavailable
from airflow_workflow_provider.outputs.stream import Stream
from airflow_workflow_provider.protocol.documents import looks_like_json
from airflow_workflow_provider.protocol.effects import BadAnswer, NoAnswer, TooLarge
from airflow_workflow_provider.protocol.redact import redacted, without_whole
from airflow_workflow_provider.protocol.retry import UNEXPECTED
from airflow_workflow_provider.protocol.text import one_line

if TYPE_CHECKING:
    import requests

PIECE = 1 << 17  # bytes that are decompressed at once
MAX_MEMBERS = 100  # of a gzip body; each costs time, however little it holds
ERROR_BYTES = 64 * 1024  # of the body of an error in which the passwords of proxies are looked for
_PLAIN = frozenset({"", "identity"})
_GZIP = frozenset({"gzip", "x-gzip"})
# A streamed body with such an encoding is passed on as it is on the wire; every other encoding is undone here.
_PASSED_ON = _PLAIN | _GZIP
# What these headers say is true of the compressed bytes alone.
_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "accept-ranges", "etag", "last-modified"})
# What the HTTP libraries raise for an answer that breaks the protocol, an overlong chunk size for instance.
_CUT_SHORT = frozenset({"IncompleteRead", "ContentLengthError", "TransferEncodingError", "ClientPayloadError"})
BROKEN = (HTTPException, *UNEXPECTED)


class AnswerBody:
    """Collects the bytes of a control answer; more than ``limit`` of them, decompressed, raise `TooLarge`."""

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        self._limit, self._size, self._members = limit, 0, 0
        self._buffer = BytesIO()
        self._encoding = _encoding(headers)
        self._unpack: zlib._Decompress | None = None
        if self._encoding not in (*_PLAIN, *_GZIP, "deflate"):
            raise BadAnswer("its encoding was not asked for and cannot be read")
        length = headers.get("content-length", "")
        if self._encoding in _PLAIN and length.isascii() and length.isdecimal() and len(length) < 30:
            self._count(int(length), is_promise=True)

    def feed(self, chunk: bytes) -> Iterator[int]:
        """Take the next bytes from the wire; gives the size so far after each piece, so that others have their turn."""
        if self._encoding in _PLAIN:
            self._add(chunk)
            del chunk  # many may wait here for their turn
            yield self._size
            return
        while chunk:
            if self._unpack is None:
                self._members += 1
                if self._members > MAX_MEMBERS:
                    raise BadAnswer(f"it has more than {MAX_MEMBERS} compressed parts")
                self._unpack = self._unpacker(chunk)
            try:
                self._add(self._unpack.decompress(chunk, PIECE))
            except zlib.error:
                raise BadAnswer("it cannot be decompressed") from None
            yield self._size
            if self._unpack.eof:
                chunk, self._unpack = self._unpack.unused_data.lstrip(b"\0"), None
            else:
                chunk = self._unpack.unconsumed_tail

    def value(self) -> bytes:
        """Give the whole body; raises `NoAnswer` where it broke off."""
        if self._unpack is not None:
            raise NoAnswer("the connection broke off before the end of the answer")
        return self._buffer.getvalue()

    def taken(self) -> bytes:
        """As `value`, and hold the body no longer."""
        body, self._buffer = self.value(), BytesIO()
        return body

    def _add(self, data: bytes) -> None:
        self._count(len(data))
        self._buffer.write(data)

    def _count(self, size: int, *, is_promise: bool = False) -> None:
        if self._size + size > self._limit:
            self._buffer, self._unpack = BytesIO(), None  # the error's traceback holds this object
            raise TooLarge(
                f"it has more than {self._limit} bytes (a larger limit can be set with max_answer_bytes in the extra)"
            )
        if not is_promise:
            self._size += size

    def _unpacker(self, chunk: bytes) -> zlib._Decompress:
        if self._encoding in _GZIP:
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        # "deflate" is zlib's format (RFC 9110 section 8.4.1.2), and some servers send it without zlib's header.
        is_zlib = chunk[0] & 0x0F == 8 and (len(chunk) < 2 or (chunk[0] * 256 + chunk[1]) % 31 == 0)
        return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def hide_secrets(error: BaseException, secrets: Iterable[str]) -> None:
    """Remove whole credentials from the texts of an error and of its causes, before it leaves a client.

    The errors of `Api` have none. This is for what a system raises by itself: it may repeat an answer.
    """
    known = tuple(secrets)
    found: dict[int, BaseException] = {}
    following: list[BaseException | None] = [error] if known else []
    while following:
        one = following.pop()
        if one is None or id(one) in found:
            continue
        found[id(one)] = one
        following += [one.__cause__, one.__context__]
        one.args = tuple(without_whole(part, known) if isinstance(part, str) else part for part in one.args)
        if notes := getattr(one, "__notes__", None):
            one.__notes__ = [without_whole(note, known) for note in notes]


def without_proxy_secrets(status: int, body: bytes, secrets: tuple[str, ...]) -> bytes:
    """Remove the passwords of proxies from an error and from a page, which a proxy may have written."""
    if not secrets or (status < 400 and looks_like_json(body)):
        return body
    return redacted(body[:ERROR_BYTES].decode("utf-8", "replace"), secrets).encode()


def _encoding(headers: Mapping[str, str]) -> str:
    return headers.get("content-encoding", "").strip().lower()


class Body(Stream):
    """The bytes of a streamed answer; one that breaks off or is shorter than announced raises `ServerUnavailable`.

    ``headers`` (names in lower case) are those that are true of these bytes: gzip comes as it is on the wire.
    ``checks_length`` says that a body which breaks off is noticed.
    """

    def __init__(self, answer: requests.Response) -> None:
        self._answer = answer
        headers = {name.lower(): value for name, value in answer.headers.items()}
        self._unpacks = _encoding(headers) not in _PASSED_ON
        is_chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self.checks_length = is_chunked or headers.get("content-length", "").strip().isdecimal()
        left_out = _OF_THE_WIRE if self._unpacks else frozenset()
        self.headers = {name: value for name, value in headers.items() if name not in left_out}

    def take(self, size: int) -> bytes:
        """Give the next bytes."""
        from urllib3.exceptions import HTTPError

        try:
            return self._answer.raw.read(size, decode_content=self._unpacks)
        except (HTTPError, OSError, *BROKEN) as error:
            what = failure_text(error)
        raise ServerUnavailable(f"The result broke off while it was read: {what}.")

    def close(self) -> None:
        """Give the connection back; one that was not read to its end is closed."""
        if not self.closed:
            self._answer.close()
        super().close()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down to what really happened; the HTTP libraries wrap it in several layers."""
    cause: BaseException | None = error
    for _ in range(8):
        if not isinstance(cause, BaseException):
            return
        yield cause
        inner = getattr(cause, "certificate_error", None) or getattr(cause, "os_error", None)
        inner = inner or getattr(cause, "reason", None)
        inner = inner or (cause.args[0] if cause.args else None)
        inner = next((part for part in cause.args if isinstance(part, BaseException)), inner)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__


def failure_text(error: BaseException, timeout: float | None = None) -> str:
    """Describe a network failure in fixed words or those of the operating system, never in those of a server.

    An error of a library can hold an address with a credential, or what a server sent.
    """
    causes = list(_causes(error))
    told = [text for cause in reversed(causes) for text in (_told(cause),) if text]
    if told:
        return told[0]
    if any(_is_timeout(cause) for cause in causes):
        limit = "in time" if timeout is None else f"within {timeout:g} s, the field 'timeout' of the connection"
        return f"no answer {limit}"
    for cause in reversed(causes):
        if isinstance(cause, (ConnectionResetError, BrokenPipeError)) or "Disconnected" in type(cause).__name__:
            return "the connection broke off"
        if type(cause).__name__ in _CUT_SHORT:
            return "the connection broke off before the end of the answer"
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            return f"{cause.strerror} ({type(cause).__name__})"
    return f"the answer breaks the protocol ({type(causes[-1]).__name__})"


def _told(cause: BaseException) -> str:
    """Tell what certainly is the cause, before anything was sent; else nothing."""
    match cause:
        case ssl.SSLCertVerificationError():
            reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", "")
            text = f"its certificate is not trusted: {one_line(str(reason))}"
        case ssl.SSLError() if not _is_timeout(cause):
            text = f"the TLS handshake failed: {getattr(cause, 'reason', '') or type(cause).__name__}"
        case socket.gaierror():
            text = f"the host name cannot be resolved: {cause.strerror}"
        case ConnectionRefusedError():
            text = "Connection refused"
        case OSError() if str(cause).startswith("Tunnel connection failed: "):
            text = f"the proxy refused the connection: HTTP {str(cause)[26:29]}"
        case _:
            text = ""
    return text


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) or "Timeout" in type(error).__name__ or "timed out" in str(error)[:200]

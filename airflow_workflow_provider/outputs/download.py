"""A file from its server, whole: a download that breaks off goes on where it was, or is an error, never a short file.

The bytes are those on the wire, so a file that the server packs (``Content-Encoding: gzip``) is resumed as well;
`gzipped` unpacks it above.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, cast

from airflow_workflow_provider.exceptions import OutputUnavailable, RequestRejected, ServerUnavailable
from airflow_workflow_provider.outputs.gzipped import crc32
from airflow_workflow_provider.outputs.raw import Client
from airflow_workflow_provider.outputs.stream import PIECE, Stream
from airflow_workflow_provider.protocol.effects import Flow, Note, Request, Response, Sleep, T, intercept
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.protocol.retry import RETRY, persist

_PROGRESS = 8 << 20  # bytes; a download that got so far between two breaks has its tries again
_MOST_BREAKS = 100
_SIZE = re.compile(r"[0-9]{1,18}")  # Python reads no number of more than 4,300 digits, and no file is so long
_PLACE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{0,18}/([0-9]{1,18}|\*)")  # RFC 9110 section 14.4


@dataclass(frozen=True)
class _File:
    """What an answer tells about the file. ``validator`` names its version; without one a part cannot be asked for."""

    size: int | None
    encoding: str
    validator: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> _File:
        """Read the headers of an answer that holds the whole file."""
        size = headers.get("content-length", "").strip()
        return cls(int(size) if _SIZE.fullmatch(size) else None, _encoding(headers), _validator(headers))


class Download(Stream):
    """The bytes of a file source. After a break it asks again, at most some times in a row and with pauses.

    It asks for the rest alone where the version of the file is known (a strong ETag, or a Last-Modified that is one).
    Otherwise, and where the server sends the whole file again, what was given already is skipped and compared by
    its checksum: another file raises `OutputUnavailable`. A file that stays away raises `ServerUnavailable`.
    """

    def __init__(self, source: FileSource, client: Client) -> None:
        self._source, self._client = source, client
        self._at = self._checksum = self._failures = self._breaks = self._last_break = 0
        self._body: BinaryIO = io.BytesIO()
        self._headers: Mapping[str, str] = {}
        self._is_sized = True
        self._file = self._opened({})

    @property
    def encoding(self) -> str:
        """The compression of the bytes: ``gzip``, or none."""
        return self._file.encoding

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the first answer; names in lower case."""
        return self._headers

    @property
    def is_sized(self) -> bool:
        """True if a file that breaks off is noticed: its length is known, or its end is marked."""
        return self._is_sized or self._file.encoding == "gzip"

    def take(self, size: int) -> bytes:
        """Give the next bytes, whatever it takes."""
        while True:
            try:
                data = self._body.read(size)
                self._check_end(data, size)
            except ServerUnavailable as error:
                self._go_on(error)
                continue
            self._at += len(data)
            self._checksum = crc32(data, self._checksum)
            return data

    def _check_end(self, data: bytes, size: int) -> None:
        if not data and size and self._at < (self._file.size or 0):
            raise ServerUnavailable(f"the result ended after {self._at} of {self._file.size} bytes")

    def close(self) -> None:
        """Give the connection back."""
        if not self.closed:
            self._body.close()
        super().close()

    def _go_on(self, error: ServerUnavailable) -> None:
        """Ask again until bytes come from where they ended."""
        while True:
            self._count(error)
            self._client.run(_pause(RETRY.delay(self._failures, error.retry_after), self._at))
            try:
                self._reopen()
            except ServerUnavailable as again:
                error = again
            else:
                return

    def _count(self, error: ServerUnavailable) -> None:
        self._body.close()
        if self._at >= self._last_break + _PROGRESS:
            self._failures = 0
        self._last_break = self._at
        self._failures += 1
        self._breaks += 1
        if self._failures >= RETRY.attempts or self._breaks >= _MOST_BREAKS:
            raise error
        if (error.retry_after or 0) > RETRY.longest:
            raise error

    def _reopen(self) -> None:
        if self._at and self._file.validator and self._rest():
            return
        self._file = self._opened({}, again=True)
        self._skip()

    def _rest(self) -> bool:
        """Ask for the rest; False where the whole file is to be asked for."""
        headers = {"Range": f"bytes={self._at}-", "If-Range": self._file.validator}
        try:
            response = self._send(headers)
        except RequestRejected as error:
            if error.status != 416:
                raise
            return False
        self._body = _body(response)
        if response.status != 206:
            self._file = self._same_encoding(_File.of(response.headers))
            self._skip()
            return True
        return self._fits(response.headers)

    def _fits(self, headers: Mapping[str, str]) -> bool:
        place = _PLACE.fullmatch(headers.get("content-range", "").strip())
        version = _validator(headers)
        fits = (
            place is not None
            and int(place[1]) == self._at
            and (place[2] == "*" or self._file.size in (None, int(place[2])))
            and version in ("", self._file.validator)
            and _encoding(headers) == self._file.encoding
        )
        if not fits:
            self._body.close()
        return fits

    def _skip(self) -> None:
        """Leave out what was given already; raises `OutputUnavailable` where it is not the same."""
        left, checksum = self._at, 0
        while left and (data := self._body.read(min(left, PIECE))):
            left -= len(data)
            checksum = crc32(data, checksum)
        if left or checksum != self._checksum:
            raise OutputUnavailable(
                f"the result broke off after {self._at} bytes, and the server now sends another file; read it from "
                "its beginning"
            )

    def _opened(self, headers: Mapping[str, str], *, again: bool = False) -> _File:
        response = self._send(headers)
        self._body = _body(response)
        file = _File.of(response.headers)
        if again:
            return self._same_encoding(file)
        chunked = "chunked" in response.headers.get("transfer-encoding", "")
        self._headers = response.headers
        self._is_sized = file.size is not None or chunked or not response.headers
        if getattr(response.raw, "checks_length", False):
            self._is_sized = True
        if file.size is None and response.raw is not None and not chunked:
            self._client.run(
                _note("The server does not send the length of the file, so a truncated file may not be noticed")
            )
        return file

    def _same_encoding(self, file: _File) -> _File:
        if self._at and file.encoding != self._file.encoding:
            self._body.close()
            raise OutputUnavailable(
                f"the result broke off after {self._at} bytes, and the server now compresses it differently"
            )
        return file

    def _send(self, headers: Mapping[str, str]) -> Response:
        return cast("Response", self._client.run(persist(lambda: _with_headers(self._source.flow(), headers))))


def _body(response: Response) -> BinaryIO:
    return response.raw or io.BytesIO(response.body)


def _encoding(headers: Mapping[str, str]) -> str:
    word = headers.get("content-encoding", "").strip().lower().removeprefix("x-")
    return "" if word == "identity" else word


def _validator(headers: Mapping[str, str]) -> str:
    """Give what names the version of a file for certain (RFC 9110 section 8.8), else nothing."""
    if headers.get("accept-ranges", "").strip().lower() == "none":
        return ""
    if tag := headers.get("etag", "").strip():
        return "" if tag.startswith("W/") else tag
    changed = headers.get("last-modified", "").strip()
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(changed)
    except (TypeError, ValueError, OverflowError):
        return ""
    # A file that was changed in this very second may change again in it.
    return changed if age.total_seconds() >= 1 else ""


def _with_headers(flow: Flow[T], headers: Mapping[str, str]) -> Flow[T]:
    """Drive a flow, and add headers to the request that asks for the file itself."""

    def added(effect: Any) -> Flow[Any]:
        return (yield effect.with_headers(**headers) if isinstance(effect, Request) and effect.stream else effect)

    return intercept(flow, added, (Exception,))


def _pause(seconds: float, at: int) -> Flow[None]:
    yield Note(f"The download broke off after {at:,} bytes; it is resumed from there", "warning")
    yield Sleep(seconds)


def _note(text: str) -> Flow[None]:
    yield Note(text, "warning")

"""Text files as UTF-8: which encoding a file has, and its bytes in UTF-8 without a byte order mark."""

from __future__ import annotations

import codecs
from collections import Counter
from typing import BinaryIO, cast

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.head import peeked
from airflow_workflow_provider.outputs.stream import Stream

_HEAD = 1 << 12  # bytes
# The longest first: the mark of UTF-32 begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNS = [bytes([sign]) for sign in b'\n\r\t,;|" 0123456789']
_UTF16_SHARE = 8  # one byte in so many is zero at least, where UTF-16 has ASCII signs
_UTF8 = frozenset({"utf-8", "ascii", "utf-8-sig"})  # ASCII text is UTF-8 too
# https://encoding.spec.whatwg.org/#names-and-labels: what is declared as ISO 8859-1 is Windows-1252 in fact.
_DECLARED = {"iso8859-1": "cp1252", "ascii": "utf-8"}


def utf8(file: BinaryIO, *, encoding: str | None, declared: str, where: str) -> BinaryIO:
    """Give a text file in UTF-8 without a mark; closing it closes the file.

    ``encoding`` is what the user says, ``declared`` what the server says; the file's own mark counts more than that.
    The bytes of a file that is UTF-8 already are not checked here. Raises `OutputUnavailable`, also while it is read.
    """
    head, whole = peeked(file, _HEAD)
    name = encoding_of(head, encoding=encoding, declared=declared)
    if name in _UTF8 and not encoding and len(head) > 1 and _UTF16_SHARE * head.count(0) >= len(head):
        likely = _ordered(head, "utf-16")
        raise OutputUnavailable(
            f"{where}the file looks like UTF-16 without a byte order mark; csv_options={{'encoding': {likely!r}}} "
            "reads it so"
        )
    mark = next((mark for mark, its in _MARKS if its == name and head.startswith(mark)), b"")
    whole.read(len(mark))
    if name in _UTF8:
        return whole
    return cast("BinaryIO", _Decoded(whole, name, where))


def encoding_of(head: bytes, *, encoding: str | None = None, declared: str = "") -> str:
    """Give Python's name for a file's encoding, from its first bytes and from what is said about it."""
    given = _name(encoding or "")
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked is not None and not (given.startswith("utf-16") and marked.startswith("utf-32")):
        return marked  # a user who says UTF-16 knows of a zero character behind the mark
    told = _name(declared)
    name = given or _DECLARED.get(told, told) or "utf-8"
    if name in ("utf-16", "utf-32"):  # without a mark
        return _ordered(head, name)
    return "utf-8" if name in _UTF8 else name


def _ordered(head: bytes, name: str) -> str:
    """Find the byte order by the marks of punctuation that every table has. Raises `OutputUnavailable`."""
    size = int(name[-2:]) // 8
    zeros = b"\0" * (size - 1)
    units = Counter(head[start : start + size] for start in range(0, len(head) - size + 1, size))
    little, big = (
        sum(units[unit] for unit in made) for made in zip(*((m + zeros, zeros + m) for m in _SIGNS), strict=True)
    )
    if little == big:
        raise OutputUnavailable(
            f"the file has no byte order mark, and its byte order is not certain; csv_options={{'encoding': …}} says "
            f"whether it is '{name}-le' or '{name}-be'"
        )
    return f"{name}-le" if little > big else f"{name}-be"


def _name(encoding: str) -> str:
    try:
        found = codecs.lookup(encoding.strip().strip("\"'")) if encoding else None
    except (LookupError, ValueError):
        return ""  # a server may declare anything; the text is then checked as UTF-8
    return found.name if found is not None and is_text(found) else ""


def is_text(codec: codecs.CodecInfo) -> bool:
    """Say whether a codec decodes bytes to text; ``base64`` and ``rot13`` do not."""
    return getattr(codec, "_is_text_encoding", True) and codec.incrementaldecoder is not None


class _Decoded(Stream):
    """The text of a file in another encoding, as UTF-8."""

    def __init__(self, file: BinaryIO, encoding: str, where: str) -> None:
        self._file, self._encoding, self._where = file, encoding, where
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._lines, self._left, self._ended = 1, b"", False

    def take(self, size: int) -> bytes:
        """Read, decode and encode; none at the end."""
        while not self._left and not self._ended:
            data = self._file.read(max(size, 1 << 16))
            self._ended = not data
            try:
                text = self._decoder.decode(data, final=self._ended)
                self._left = text.encode()
            except UnicodeError as error:
                reason = getattr(error, "reason", str(error))
                raise OutputUnavailable(
                    f"{self._where}the file is not in the encoding {self._encoding!r}, near line {self._lines}: "
                    f"{reason}; csv_options={{'encoding': …}} names another encoding"
                ) from error
            self._lines += text.count("\n")
        data, self._left = self._left[:size], self._left[size:]
        return data

    def close(self) -> None:
        """Close the file as well."""
        if not self.closed:
            self._file.close()
        super().close()

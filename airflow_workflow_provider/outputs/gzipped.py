"""Gzip, packed and unpacked while it passes: by `isal`, where it is installed, several times as fast as by zlib."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.stream import PIECE, Stream

try:
    _library: Any = import_module("isal.isal_zlib")
except ImportError:
    _library = None

_PACKED = PIECE // 16  # bytes; it unpacks to a thousand times as much at most
MAGIC = b"\x1f\x8b"
_WBITS = 31  # zlib's word for gzip with its header and checksum
_FAST = 1  # of zlib's levels, six times as fast as the default, and files some 15 % bigger; isal's have other numbers
_FAST_ISAL = 2
_Z: Any = _library or zlib
crc32: Callable[[bytes, int], int] = _Z.crc32


class Checked:
    """Unpacks gzip piece by piece, and checks length and checksum of each member. Raises `OutputUnavailable`."""

    def __init__(self) -> None:
        self._member = _Z.decompressobj(_WBITS)
        self._begun = False

    def unpack(self, data: bytes) -> bytes:
        """Give what these bytes hold."""
        parts = []
        while data:
            if self._member.eof:
                if not data.strip(b"\0"):  # padding behind the last member
                    break
                self._member, self._begun = _Z.decompressobj(_WBITS), False
            try:
                parts.append(self._member.decompress(data))
            except (zlib.error, _Z.error) as error:
                raise OutputUnavailable(f"the file is damaged, its gzip cannot be read: {error}") from error
            self._begun = True
            data = self._member.unused_data
        return b"".join(parts)

    def end(self) -> None:
        """Check that nothing is missing."""
        if self._begun and not self._member.eof:
            raise OutputUnavailable("the file is damaged, its gzip data ends too early")


class Unpacked(Stream):
    """What a gzip file holds."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._checked = file, Checked()
        self._made = memoryview(b"")

    def take(self, size: int) -> bytes:
        """Unpack as much as is asked for."""
        while not len(self._made):
            data = self._file.read(_PACKED)
            if not data:
                self._checked.end()
                return b""
            self._made = memoryview(self._checked.unpack(data))
        data, self._made = bytes(self._made[:size]), self._made[size:]
        return data

    def close(self) -> None:
        """Close the packed file."""
        if not self.closed:
            self._file.close()
        super().close()


def unpacked_head(head: bytes) -> bytes:
    """Give what the first bytes of a gzip file hold."""
    return Checked().unpack(head)


def packer() -> Any:
    """Make what packs: ``compress(data)``, and ``flush()`` at the end. The same bytes are always packed alike."""
    return _Z.compressobj(_FAST if _Z is zlib else _FAST_ISAL, zlib.DEFLATED, _WBITS)

"""Looking at the first bytes of a stream before it is read."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

_BUFFER = 1 << 20  # bytes


def peeked(file: BinaryIO, size: int) -> tuple[bytes, BinaryIO]:
    """Give the first bytes (fewer only if the file is shorter), and the whole file again; closing it closes both."""
    parts, left = [], size
    while left and (data := file.read(left)):
        parts.append(data)
        left -= len(data)
    head = b"".join(parts)
    return head, cast("BinaryIO", io.BufferedReader(_Rejoined(head, file), _BUFFER))


class _Rejoined(io.RawIOBase):
    """A stream whose beginning was read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io's stub wants the C buffer type
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._rest.close()
        super().close()

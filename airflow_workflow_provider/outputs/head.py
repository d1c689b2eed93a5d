"""Looking at the first bytes of a stream before it is read."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from airflow_workflow_provider.outputs.stream import PIECE, Stream


def peeked(file: BinaryIO, size: int) -> tuple[bytes, BinaryIO]:
    """Give the first bytes (fewer only if the file is shorter), and the whole file again; closing it closes both."""
    parts, left = [], size
    while left and (data := file.read(left)):
        parts.append(data)
        left -= len(data)
    head = b"".join(parts)
    return head, with_head(head, file)


def with_head(head: bytes, rest: BinaryIO) -> BinaryIO:
    """Give a file whose first bytes were read; closing it closes the rest."""
    return cast("BinaryIO", _Rejoined(head, rest))


def buffered(file: BinaryIO) -> BinaryIO:
    """Give a stream to those who read it in small pieces or by lines; closing it closes both."""
    return cast("BinaryIO", io.BufferedReader(file, PIECE)) if isinstance(file, Stream) else file


class _Rejoined(Stream):
    """A stream whose beginning was read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def take(self, size: int) -> bytes:
        """Give the beginning first."""
        if not self._head:
            return self._rest.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data if len(data) == size else data + self._rest.read(size - len(data))

    def close(self) -> None:
        """Close the rest as well."""
        if not self.closed:
            self._rest.close()
        super().close()

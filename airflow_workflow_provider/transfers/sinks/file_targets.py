"""What a file is written into: it counts and hashes what passes, and packs it where that is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, BinaryIO

from airflow_workflow_provider.outputs.gzipped import packer

PIECE = 1 << 20  # bytes


class Target:
    """A file to write to, as far as Arrow and Python ask for one."""

    closed = False

    def write(self, data: Any) -> int:
        """Write bytes."""
        raise NotImplementedError

    def tell(self) -> int:
        """Give the bytes written so far."""
        raise NotImplementedError

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Write bytes, a megabyte or so at a time."""
        kept: list[bytes] = []
        size = 0
        for line in lines:
            kept.append(line)
            size += len(line)
            if size >= PIECE:
                self.write(b"".join(kept))
                kept, size = [], 0
        self.write(b"".join(kept))

    def writable(self) -> bool:
        """It is written to."""
        return True

    def readable(self) -> bool:
        """It is not read from."""
        return False

    def seekable(self) -> bool:
        """It goes forward only."""
        return False

    def flush(self) -> None:
        """Leave it to the storage when it writes."""

    def close(self) -> None:
        """Leave the file itself to its owner, who may have to take it back."""


class Tally(Target):
    """Counts and hashes what is written to a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0

    @property
    def sha256(self) -> str:
        """The hash of all that was written."""
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        """Write bytes."""
        self._hash.update(data)
        self._size += len(data)
        self._file.write(data)
        return len(data)

    def tell(self) -> int:
        """Give the bytes written so far."""
        return self._size


class Packing(Target):
    """Packs as gzip what is written to another target. `end` writes what is left.

    There is no name and no time in it: the same rows give the same bytes.
    """

    def __init__(self, target: Target) -> None:
        self._target, self._packer, self._size = target, packer(), 0

    def write(self, data: Any) -> int:
        """Write bytes."""
        self._size += len(data)
        if made := self._packer.compress(data):
            self._target.write(made)
        return len(data)

    def tell(self) -> int:
        """Give the bytes before they were packed."""
        return self._size

    def end(self) -> None:
        """Write the end of the gzip."""
        self._target.write(self._packer.flush())

"""A file that is read once, from its beginning to its end."""

from __future__ import annotations

import io
from abc import abstractmethod

PIECE = 1 << 20  # bytes; small reads cost more than the network here


class Stream(io.RawIOBase):
    """A file object whose subclass says how the next bytes are got."""

    @abstractmethod
    def take(self, size: int) -> bytes:
        """Give at most ``size`` bytes; none at the end."""

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Give at most ``size`` bytes, without copying them; the whole rest if that is negative."""
        return self.readall() if size is None or size < 0 else self.take(size)

    def readall(self) -> bytes:
        """Give the whole rest."""
        return b"".join(iter(lambda: self.take(PIECE), b""))

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io's stub wants the C buffer type
        """Read at most as many bytes as the buffer holds; 0 at the end."""
        data = self.take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

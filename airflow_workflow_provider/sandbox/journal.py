"""The log of requests that the sandbox keeps for tests and for the curious, without secrets."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .system import now, stamp

KEPT = 20_000
SECRET_PARAMETERS = {
    "access_token", "token", "api_key", "apikey", "key", "session_id", "password", "client_secret", "client_id",
    "code", "signature", "oauth_signature", "oauth_consumer_key", "oauth_token", "secret",
}  # fmt: skip


@dataclass
class Entry:
    """One request: ``path`` is below the system's mount, ``status`` None when no answer was sent."""

    system: str
    method: str
    path: str
    query: str
    at: str
    status: int | None = None
    fault: str | None = None


class Journal:
    """The latest requests; headers and bodies are never kept, secret query values are masked."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)

    def open(self, system: str, method: str, path: str, query: bytes) -> Entry:
        """Add a request as it comes in; its status is filled in as it is answered."""
        entry = Entry(system, method, path, masked(query.decode("latin-1")), stamp(now()) or "")
        self.entries.append(entry)
        return entry

    def clear(self, system: str | None = None) -> None:
        """Forget the requests of one system or of all."""
        kept = [entry for entry in self.entries if system not in (None, entry.system)]
        self.entries.clear()
        self.entries.extend(kept)

    def to_json(self, system: str | None = None) -> list[dict[str, Any]]:
        """The requests of one system or of all, oldest first."""
        return [asdict(entry) for entry in self.entries if system in (None, entry.system)]


def masked(query: str) -> str:
    """A query string with the values of secret parameters replaced; untouched when it holds none."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name.lower() in SECRET_PARAMETERS for name, _ in pairs):
        return query
    return urlencode([(name, "***" if name.lower() in SECRET_PARAMETERS else value) for name, value in pairs])

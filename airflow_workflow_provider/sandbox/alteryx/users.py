"""The people who hold API keys on the sandbox's Alteryx Server, and the credentials that jobs may run with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class User:
    """A user with the API Access Key and Secret of their profile page."""

    id: str
    name: str
    key: str
    secret: str
    role: Literal["Curator", "Artisan", "Viewer"]

    @property
    def curator(self) -> bool:
        """Whether the user administers the server."""
        return self.role == "Curator"


ARTISAN = User("5f0e2c0000000000000a0001", "Avery Artisan", "sandbox-alteryx-key", "sandbox-alteryx-secret", "Artisan")
CURATOR = User(
    "5f0e2c0000000000000a0002",
    "Casey Curator",
    "sandbox-alteryx-curator-key",
    "sandbox-alteryx-curator-secret",
    "Curator",
)
# V1 needs an Artisan or more; a token is granted all the same (inferred).
VIEWER = User(
    "5f0e2c0000000000000a0003", "Vic Viewer", "sandbox-alteryx-viewer-key", "sandbox-alteryx-viewer-secret", "Viewer"
)
USERS = {user.key: user for user in (ARTISAN, CURATOR, VIEWER)}

CREDENTIALS = {
    "5f0e2c0000000000000c0001": "SANDBOX\\reporting",
    "5f0e2c0000000000000c0002": "SANDBOX\\loading",
}

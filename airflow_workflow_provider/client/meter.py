"""What the triggerer's clients count; whoever makes a client may hand in a meter and report it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Meter:
    """Counts since the start, but for ``waiters``, which is how many wait now."""

    polls: int = 0
    retries: int = 0
    requests_saved: int = 0
    waiters: int = 0

"""Which try of which task this is: a retry of a load that was committed must not load again, a clear must."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Attempt:
    """A try of a task instance.

    ``key`` is the same for all retries of one series, and another one after a clear: that raises ``ti.max_tries``,
    a retry does not. ``is_retry`` is False for the very first try, which has nothing behind it. ``try_number`` tells
    the tries of a series from each other.
    """

    key: str
    is_retry: bool
    try_number: int = 1

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Attempt:
        """Read it from a task's context."""
        ti = context["ti"]
        names = ("dag_id", "run_id", "task_id", "map_index", "max_tries")
        identity = json.dumps([getattr(ti, name, None) for name in names], default=str)
        number = getattr(ti, "try_number", 1) or 1
        return cls(hashlib.sha256(identity.encode()).hexdigest()[:40], number > 1, number)

"""Durations as Airflow users write them."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument


def seconds_of(name: str, value: Any) -> float | None:
    """Give seconds from a number, a timedelta or text; None stays None. `InvalidArgument` names the argument."""
    if value is None:
        return None
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if isinstance(value, bool) or not isfinite(seconds) or seconds <= 0:
        raise InvalidArgument(f"{name}: expected seconds above 0, as a number or a timedelta, not {value!r}")
    return seconds

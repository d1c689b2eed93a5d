"""The poll state of runs whose result may come after their end. A DAG file imports it, so this imports nothing."""

from __future__ import annotations

OVER_SINCE = "over_since"
"""Since when an engine process is over while its stored results may still come: seconds since 1970."""
IDLE_SINCE = "idle_since"
"""Since when a workfile is idle while its result may still come: seconds since 1970."""
SEEN_RUNNING = "seen_running"
"""True once a poll has seen the workfile running."""

"""The messages of a job as its log.

A job's answer holds all its messages each time, without times. Whether they come while a job runs, and in which order,
is unverified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_workflow_provider.protocol.run_log import Cursor, LogLine, LogPage, unseen
from airflow_workflow_provider.systems.alteryx.jobs import messages

# A message's status: 1, 2 and 3 are documented; the others come from the engine's own list of them and are unverified:
# 5 and 6 are conversion errors of fields, 17 is a description of a connection as XML, 21 an error of the safe mode.
LEVELS: Mapping[Any, str] = {1: "info", 2: "warning", 3: "error", 5: "warning", 6: "warning", 17: "debug", 21: "error"}


def page(document: Mapping[str, Any], cursor: Cursor) -> LogPage:
    """Give the messages that are new."""
    return unseen([_line(row) for row in messages(document) if row.get("text")], cursor)


def _line(row: Mapping[str, Any]) -> LogLine:
    tool = row.get("toolId")
    place = f" (tool {tool})" if isinstance(tool, int) and tool >= 0 else ""  # -1 is the engine itself
    status = row.get("status")
    return LogLine(None, LEVELS.get(status, "info") if isinstance(status, int) else "info", f"{row['text']}{place}")

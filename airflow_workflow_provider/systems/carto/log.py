"""What a CARTO job shows of itself as its log: where it runs, and how its state changes. The API gives no other log."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.run_log import Cursor, LogLine, LogPage


def page(run: Run, cursor: Cursor) -> LogPage:
    """Give a line for what changed since the cursor."""
    known = cursor if isinstance(cursor, Mapping) else {}
    place = " in ".join(str(run.details[name]) for name in ("provider", "location") if run.details.get(name))
    lines = []
    if place and place != known.get("place"):
        lines.append(LogLine(None, "info", f"the job runs on {place}"))
    if run.state.value != known.get("state"):
        level = "error" if run.state is RunState.FAILED else "info"
        text = f"the job is {run.state}" if not run.state.is_terminal else f"the job has ended: {run.state}"
        lines.append(LogLine(run.ended_at, level, f"{text}{f': {run.message}' if run.message else ''}"))
    return LogPage(tuple(lines), {"state": run.state.value, "place": place or known.get("place") or ""})

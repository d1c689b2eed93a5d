"""How many results an execution has as its log: the API gives no other one."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import Cursor, LogLine, LogPage

RESULTS = "results"  # among a run's details


def page(run: Run, cursor: Cursor) -> LogPage:
    """Give a line where the number of results changed."""
    known = cursor if isinstance(cursor, Mapping) else {}
    count = run.details.get(RESULTS)
    if not isinstance(count, int) or count == known.get(RESULTS):
        return LogPage((), cursor)
    text = f"the execution has {count} result{'' if count == 1 else 's'}"
    return LogPage((LogLine(None, "info", text),), {RESULTS: count})

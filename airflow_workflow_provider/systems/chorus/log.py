"""What the engine says of a process as its log: the operator in progress, and the notes of the stored results.

The status names the operator that runs, with a message of it [api]. Each poll sees only the newest of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import Cursor, LogLine, LogPage
from airflow_workflow_provider.systems.chorus import answers

STATUS_TEXT = "status_text"  # among a run's details, while it runs
LONGEST = 1_000  # characters of it
_NODE = re.compile(r"processing node:\s*(?P<node>.+?)\s*(?:,\s*message:\s*(?P<message>.*))?$", re.DOTALL)
LEVELS: Mapping[str, str] = {"error": "error", "warn": "warning", "warning": "warning"}


def running_page(run: Run, cursor: Cursor) -> LogPage:
    """Give a line where the status of a running process is another one than before."""
    text = run.details.get(STATUS_TEXT)
    known = cursor if isinstance(cursor, Mapping) else {}
    if not isinstance(text, str) or not text.strip() or known.get("said") == _digest(text):
        return LogPage((), cursor, progress=_progress(known))
    found = _NODE.search(text)
    node = found["node"] if found else ""
    nodes = _number(known.get("nodes")) + (1 if node and node != known.get("node") else 0)
    after = {"said": _digest(text), "node": node or known.get("node") or "", "nodes": nodes}
    line = _line(node, found["message"] or "") if found else LogLine(None, "info", text.strip())
    return LogPage((line,), after, progress=_progress(after))


def results_page(results: Mapping[str, Any], cursor: Cursor) -> LogPage:
    """Give the notes of stored results, once: of the operators that failed, and of the tables."""
    known = cursor if isinstance(cursor, Mapping) else {}
    if known.get("results") is True or not results:
        return LogPage((), cursor)
    return LogPage(tuple(_notes(results)), {**known, "results": True})


def _notes(results: Mapping[str, Any]) -> Iterator[LogLine]:
    rows = results.get("logs")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and row.get("errMessage") not in (None, "", "null"):
            yield LogLine(None, "error", f"{row.get('nodeName') or 'operator'}: {row['errMessage']}")
    for output in answers.outputs_of(results):
        data = output.get("visualData")
        texts = data.get("errorMessages") if isinstance(data, Mapping) else None
        for text in texts if isinstance(texts, list) else ():
            yield LogLine(None, "info", f"{output.get('out_title') or output.get('out_id')}: {text}")


def _line(node: str, message: str) -> LogLine:
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):  # no JSON, or nested too deep
        told = None
    if not isinstance(told, Mapping):
        return LogLine(None, "info", f"{node}: {message.strip() or 'in progress'}")
    props = told.get("props")
    facts = [f"{name}={value}" for name, value in props.items()] if isinstance(props, Mapping) else []
    words = [str(told[name]) for name in ("message", "timeStamp") if told.get(name)]
    level = LEVELS.get(str(told.get("messageType") or "").lower(), "info")
    return LogLine(None, level, f"{node}: {', '.join([*words, *facts]) or 'in progress'}")


def _progress(known: Mapping[str, Any]) -> str | None:
    nodes = _number(known.get("nodes"))
    return f"node {nodes} ({known.get('node')})" if nodes else None


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=6).hexdigest()

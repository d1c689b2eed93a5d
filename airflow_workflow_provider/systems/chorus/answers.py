"""Reading Team Studio's answers: envelopes, error codes, and the engine's JSON inside JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.api import first_text
from airflow_workflow_provider.protocol.effects import Flow, Note, Response
from airflow_workflow_provider.protocol.model import Run, RunState

# The engine's states while a process runs, and the status of its stored results ([client], [api]); Job and workfile
# words ([src]): ``idle`` is no success, what it stands for is found out by `chorus.jobs` and `chorus.workfiles`.
STATES: Mapping[str, RunState] = {
    "enqueued": RunState.QUEUED,
    "started": RunState.RUNNING,
    "in_progress": RunState.RUNNING,
    "node_started": RunState.RUNNING,
    "node_finished": RunState.RUNNING,
    "running": RunState.RUNNING,
    "stopping": RunState.RUNNING,
    "success": RunState.SUCCEEDED,
    "failure": RunState.FAILED,
}
# Chorus answers some refusals with a body of one space [src].
_SPACES: Mapping[int, str] = {401: "not logged in", 403: "refused as forged"}


def response_of(document: Any) -> Mapping[str, Any]:
    """Give the object in Chorus's envelope, or an empty one."""
    body = document.get("response") if isinstance(document, Mapping) else None
    return body if isinstance(body, Mapping) else {}


def process_of(document: Any) -> Any:
    """Give the id of the process from the answer to a start; its spelling differs by version."""
    meta = document.get("meta") if isinstance(document, Mapping) else None
    return (meta.get("processId") or meta.get("processID")) if isinstance(meta, Mapping) else None


def stop_of(response: Response) -> str:
    """Give what the engine says to a stop: a sentence, or one in ``status`` [client]; empty where it says nothing."""
    value = response.json_or_none()
    if isinstance(value, Mapping):
        return first_text([value.get("status"), value.get("message"), value.get("error")]).strip()
    return sentence_of(response)


def status_of(response: Response) -> str:
    """Give the status in the answer to a call about a Job or a workfile, in lower case; empty where it has none."""
    return str(response_of(response.json_or_none()).get("status") or "").strip().lower()


def is_over(flow: Flow[Run], run: Run) -> Flow[bool]:
    """Say whether a run is over before its Job or workfile is stopped; one that cannot be read is taken for going."""
    try:
        seen = yield from flow
    except WorkflowError:
        return False
    if seen.state.is_terminal:
        yield Note(f"Run {run.run_id} was not cancelled: it had ended, and is {seen.state}")
    return seen.state.is_terminal


def rows_of(document: Any) -> list[Mapping[str, Any]]:
    """Give the list in Chorus's envelope."""
    rows = document.get("response") if isinstance(document, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def pages_of(document: Any) -> int:
    """Give the number of pages: ``total`` counts pages, not rows [src]."""
    pagination = document.get("pagination") if isinstance(document, Mapping) else None
    total = pagination.get("total") if isinstance(pagination, Mapping) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else 1


def results_of(document: Any) -> Mapping[str, Any]:
    """Give stored results: a JSON string that holds JSON [client]; an empty one when there are none (yet)."""
    value = document
    for _ in range(2):
        if isinstance(value, str) and value.strip():
            try:
                value = json.loads(value)
            except ValueError:
                return {}
    return value if isinstance(value, Mapping) else {}


def failures_of(results: Mapping[str, Any]) -> str:
    """Give the messages of the operators that failed; the text ``null`` stands for none."""
    rows = results.get("logs")
    logs = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    told = [
        f"{row.get('nodeName') or 'operator'}: {row['errMessage']}"
        for row in logs
        if row.get("errMessage") not in (None, "", "null")
    ]
    return "; ".join(told)


def outputs_of(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the results of the operators."""
    rows = results.get("outputs")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def sentence_of(response: Response) -> str:
    """Give an answer that is a sentence, and empty text for JSON, a page, and either of them cut off."""
    text = response.text().strip()
    value = response.json_or_none()
    if value is not None:
        return value.strip() if isinstance(value, str) else ""
    return "" if text[:1] in ("{", "[", "<") or text == "null" else text


def said(response: Response) -> str:
    """Read an error body: ``errors`` with codes by field, or plain text; a single space is an ended session."""
    if not response.text().strip():
        return _SPACES.get(response.status, "")
    body = response.json_or_none()
    errors = body.get("errors") if isinstance(body, Mapping) else None
    return "; ".join(_codes(errors)) if errors else ""


def _codes(value: Any, place: str = "") -> Iterator[str]:
    """Flatten ``{"fields": {"base": {"NOT_RUNNABLE": {}}}}`` into readable codes."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _codes(item, f"{place}.{name}".lstrip("."))
    else:
        tail = "" if value in ({}, None, "") else f" {value}"
        yield f"{place.removeprefix('fields.')}{tail}".strip()

"""Reading CARTO's answers: two dialects of a job's status, and a table name that may stand in several places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_workflow_provider.protocol.api import first_text
from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.times import time_or_none

# "The response contains a ``status`` object" [guide]; CARTO's MCP tools and samples show plain words instead.
# Which one /job answers is unverified, so both are read. ``done`` and its like are success only without an error.
STATES: Mapping[str, RunState] = {
    "pending": RunState.QUEUED,
    "queued": RunState.QUEUED,
    "created": RunState.QUEUED,
    "submitted": RunState.QUEUED,
    "scheduled": RunState.QUEUED,
    "running": RunState.RUNNING,
    "processing": RunState.RUNNING,
    "started": RunState.RUNNING,
    "in_progress": RunState.RUNNING,
    "success": RunState.SUCCEEDED,
    "succeeded": RunState.SUCCEEDED,
    "successful": RunState.SUCCEEDED,
    "done": RunState.SUCCEEDED,
    "completed": RunState.SUCCEEDED,
    "complete": RunState.SUCCEEDED,
    "finished": RunState.SUCCEEDED,
    "failure": RunState.FAILED,
    "failed": RunState.FAILED,
    "error": RunState.FAILED,
    "errored": RunState.FAILED,
    "cancelled": RunState.CANCELLED,
    "canceled": RunState.CANCELLED,
    "aborted": RunState.CANCELLED,
}

# Words that claim an end without saying which; an error beside them says that it was a bad one.
_MERELY_OVER = ("done", "completed", "complete", "finished")


def seen(run: Run, document: Any) -> Run:
    """Bring what an answer tells into the run; what it does not tell stays as it was."""
    document = _unwrapped(document)
    word, message = status(document)
    state = STATES.get(word, RunState.RUNNING if word else run.state)
    if message and word in _MERELY_OVER:
        state = RunState.CANCELLED if _reason(document) == "stopped" else RunState.FAILED
    ended_badly = state in (RunState.FAILED, RunState.CANCELLED)
    table = _find(document, "workflowOutputTableName")
    outputs = (Output(table.rpartition(".")[2].strip('`"'), "table", table, ("jsonl",)),) if table else run.outputs
    times, job = _mapping(document, "statistics"), _mapping(document, "jobMetadata")
    known = {"location": job.get("location"), "provider": job.get("providerId")}
    return replace(
        run,
        state=state,
        message=message if ended_badly else "",
        started_at=time_or_none(times.get("startTime") or times.get("creationTime")) or run.started_at,
        ended_at=time_or_none(times.get("endTime")) or run.ended_at,
        outputs=() if ended_badly else outputs,
        details={**run.details, **{name: str(value) for name, value in known.items() if value}},
    )


def said(response: Response) -> str:
    """Read an error body: ``error`` is text or a list of texts (https://github.com/CartoDB/carto-api-client)."""
    body = response.json_or_none()
    if not isinstance(body, Mapping):
        return ""
    text = first_text(body.get(name) for name in ("error_description", "error", "message"))
    hint = body.get("hint")
    return f"{text} ({hint})" if isinstance(hint, str) and hint else text


def job_id(document: Any) -> str:
    """Give the job's ``externalId``; the other names are unverified."""
    for name in ("externalId", "jobId", "job_id", "id"):
        value = document.get(name) if isinstance(document, Mapping) else None
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    nested = document.get("data") if isinstance(document, Mapping) else None
    return job_id(nested) if isinstance(nested, Mapping) else ""


def status(document: Any) -> tuple[str, str]:
    """Give the status word in lower case and the error's text, from either dialect."""
    document = _unwrapped(document)
    body = document if isinstance(document, Mapping) else {}
    told_status = body.get("status")
    place = told_status if isinstance(told_status, Mapping) else body
    raw = (told_status.get("state") or told_status.get("status")) if isinstance(told_status, Mapping) else told_status
    word = str(raw or "").strip().lower()
    told = _error_text(place)
    # A plain ``message`` may praise as well as blame, so it counts only where the word blames.
    if not told and STATES.get(word) in (RunState.FAILED, RunState.CANCELLED):
        told = first_text([place.get("message"), body.get("message")])
    return word, told


def _unwrapped(document: Any) -> Any:
    """Take a job out of ``{"status": 200, "data": …}``; that CARTO's MCP tools alone do so is unverified."""
    if not isinstance(document, Mapping) or isinstance(document.get("status"), (str, Mapping)):
        return document
    nested = document.get("data")
    return nested if isinstance(nested, Mapping) and "status" in nested else document


def _error_text(place: Mapping[str, Any]) -> str:
    for name in ("errorResult", "errors", "error"):
        value = place.get(name)
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, Mapping) and first:
            return first_text([first.get("message"), first.get("reason")]) or str(dict(first))
        if text := first_text([value]):
            return text
    return ""


def _reason(document: Any) -> str:
    error = _mapping(document, "errorResult")
    return str(error.get("reason") or "").lower()


def _find(document: Any, name: str, depth: int = 6) -> str:
    """Find a text by its key at any depth: where the answer holds it is unverified."""
    if not isinstance(document, Mapping) or not depth:
        return ""
    value = document.get(name)
    if isinstance(value, str) and value:
        return value
    return next((found for item in document.values() if (found := _find(item, name, depth - 1))), "")


def _mapping(document: Any, name: str) -> Mapping[str, Any]:
    body = document if isinstance(document, Mapping) else {}
    for place in (body, body.get("status")):
        value = place.get(name) if isinstance(place, Mapping) else None
        if isinstance(value, Mapping):
            return value
    return {}

"""Alteryx's jobs as JSON: what a start sends, and what a job's answer means.

V1 and V3 spell some fields differently, and a server may mix them: every reader here takes both spellings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from sys import intern
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.api import first_text
from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.parameters import Parameters, as_text, spelled
from airflow_workflow_provider.protocol.times import time_or_none

# Queued, Running and Completed are seen on the wire; the others stand in the server's Swagger page.
# Completed means that the job is over: whether it went well stands in ``disposition``.
STATES: Mapping[str, RunState] = {
    "created": RunState.QUEUED,
    "queued": RunState.QUEUED,
    "initializing": RunState.RUNNING,
    "running": RunState.RUNNING,
    "completed": RunState.SUCCEEDED,
    "complete": RunState.SUCCEEDED,
    "cancelled": RunState.CANCELLED,
    "canceled": RunState.CANCELLED,
    "error": RunState.FAILED,
}
# Success and Error are seen on the wire; what a cancelled job shows is unverified.
DISPOSITIONS: Mapping[str, RunState] = {
    "success": RunState.SUCCEEDED,
    "cancelled": RunState.CANCELLED,
    "canceled": RunState.CANCELLED,
}
GOING = frozenset(word for word, state in STATES.items() if not state.is_terminal)
PRIORITIES = ("Default", "Low", "Medium", "High", "Critical")  # V1 with OAuth 1 sends "0" for Low to "3" for Critical
ERROR_MESSAGE = 3  # a message's status: 1 information, 2 warning, 3 error
SHOWN = 20  # messages that an exception shows

# Which of a file's formats is read first, and how its bytes are read. Csv keeps text as it is; Yxdb keeps types.
FORMATS: Sequence[tuple[str, str]] = (("Csv", "csv"), ("Yxdb", "yxdb"))
RAW = "Raw"
EXTENSIONS: Mapping[str, str] = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".yxdb": "yxdb"}


def answers(parameters: Parameters) -> list[dict[str, str]]:
    """Give the answers to an app's questions: every value is text; None leaves a question to its default."""
    if not isinstance(parameters, Mapping):
        if parameters:
            raise InvalidArgument("query_parameters: Alteryx takes a mapping from question to answer")
        return []
    return [
        {"name": name, "value": _answer(spelled(value, key=f"query_parameters[{name!r}]", moment=_moment))}
        for name, value in parameters.items()
        if value is not None
    ]


def _answer(value: Any) -> str:
    """Spell an answer as text. A check box is answered with ``True`` or ``False``, as real servers show it."""
    return str(value) if isinstance(value, bool) else as_text(value)


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}"


def contract(questions: list[dict[str, str]], options: Mapping[str, Any], *, oauth1: bool) -> dict[str, Any]:
    """Make the body of a start. The worker tag in V1's is unverified."""
    body: dict[str, Any] = {"questions": questions}
    if options.get("priority") is not None:
        priority = _priority(options["priority"])
        if not oauth1:
            body["priority"] = PRIORITIES[priority]
        elif priority:
            body["priority"] = str(priority - 1)
    for option, field in (("worker_tag", "workerTag"), ("credential_id", "credentialId")):
        if options.get(option):
            body[field] = str(options[option])
    return body


def _priority(value: Any) -> int:
    words = [word.lower() for word in PRIORITIES]
    text = str(value).strip().lower()
    if text in words:
        return words.index(text)
    if text in ("0", "1", "2", "3"):  # V1's own numbers
        return int(text) + 1
    raise InvalidArgument(f"priority: expected one of {', '.join(PRIORITIES)}, not {value!r}")


def state_of(document: Mapping[str, Any]) -> RunState:
    """Read the state of a job; one that is over succeeded only if its disposition says so."""
    word = str(document.get("status") or "").strip().lower()
    state = STATES.get(word, RunState.RUNNING)
    if state is not RunState.SUCCEEDED:
        return state
    if "disposition" not in document:
        return state  # V3's lists lack it; whoever needs to know reads the job
    return DISPOSITIONS.get(str(document.get("disposition") or "").strip().lower(), RunState.FAILED)


def goes_on(row: Mapping[str, Any]) -> bool | None:
    """Tell from a row of a list whether a job goes on; None where it does not say."""
    word = row.get("status")
    return word.lower() in GOING if isinstance(word, str) and word else None


def seen(run: Run, document: Mapping[str, Any], files: list[dict[str, Any]]) -> Run:
    """Bring what a job's answer tells into the run. ``appId`` is null in V1, so the run keeps its own workflow."""
    state = state_of(document)
    told = messages(document)
    details: dict[str, Any] = {**run.details, "files": files} if files else {**run.details}
    for name in ("disposition", "priority", "workerTag"):
        word = document.get(name)
        if word not in (None, ""):
            details[name] = intern(word) if isinstance(word, str) else word  # thousands of jobs, a few words
    created = time_or_none(document.get("createDate") or document.get("createDateTime"))
    return replace(
        run,
        state=state,
        message=_failure(told) if state in (RunState.FAILED, RunState.CANCELLED) else "",
        started_at=created or run.started_at,
        outputs=run.outputs if state is RunState.SUCCEEDED else (),
        details=details,
    )


def messages(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give a job's messages; a single one may come as an object."""
    value = document.get("messages")
    rows = [value] if isinstance(value, Mapping) else value
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _failure(told: list[Mapping[str, Any]]) -> str:
    errors = [row for row in told if row.get("status") == ERROR_MESSAGE] or told
    lines = [f"{row.get('text')} (tool {row.get('toolId')})" for row in errors if row.get("text")]
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def files(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give a job's output files: id, name and the formats that the server offers."""
    rows = document.get("outputs")
    found = [row for row in rows if isinstance(row, Mapping) and row.get("id")] if isinstance(rows, list) else []
    return [
        {
            "id": str(row["id"]),
            "name": str(row.get("name") or row.get("fileName") or row["id"]),
            "formats": [str(word) for word in row.get("formats") or row.get("availableFormats") or ()],
        }
        for row in found
    ]


def best_format(offered: Sequence[str], name: str) -> tuple[str, str]:
    """Choose the format to ask for, in the server's spelling, and how to read it."""
    by_word = {word.lower(): word for word in offered}
    for word, kind in FORMATS:
        if word.lower() in by_word or not offered:
            return by_word.get(word.lower(), word), kind
    extension = next((kind for ending, kind in EXTENSIONS.items() if name.lower().endswith(ending)), "raw")
    return by_word.get(RAW.lower(), RAW), extension


def job_id(document: Any) -> Any:
    """Give the id from the answer to a start."""
    return document.get("id") if isinstance(document, Mapping) else None


def package_type(document: Any) -> str:
    """Give what a workflow is: ``App``, ``Module`` or ``Macro`` [v3]; empty where the answer does not say.

    The published version decides, since the versions of a workflow may be of different types.
    """
    body = document if isinstance(document, Mapping) else {}
    versions = body.get("versions")
    published = [
        row
        for row in (versions if isinstance(versions, list) else ())
        if isinstance(row, Mapping) and row.get("versionId") == body.get("publishedVersionId") is not None
    ]
    return first_text(row.get("packageWorkflowType") for row in (*published, body))


def name_of(row: Mapping[str, Any]) -> str:
    """Give an app's name: V1 keeps it in ``metaInfo``."""
    meta = row.get("metaInfo")
    return first_text([row.get("name"), meta.get("name") if isinstance(meta, Mapping) else None, row.get("fileName")])


def said(response: Response) -> str:
    """Read an error body: V1 and V3 have ``message``, V3 a ``modelState`` beside it, the token call ``error``."""
    body = response.json_or_none()
    if not isinstance(body, Mapping):
        return body if isinstance(body, str) else ""
    text = first_text(body.get(name) for name in ("message", "error_description", "error", "exceptionName"))
    state = body.get("modelState")
    reasons = [f"{field}: {first_text([why])}" for field, why in state.items()] if isinstance(state, Mapping) else []
    return " ".join([text, *reasons]).strip()

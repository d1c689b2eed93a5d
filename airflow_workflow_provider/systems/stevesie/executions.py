"""Stevesie's executions as JSON: what a start sends, and how a state is derived where the API gives none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.api import first_text
from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.system import seconds_in
from airflow_workflow_provider.protocol.times import time_or_none
from airflow_workflow_provider.systems.stevesie.choices import FORMATS
from airflow_workflow_provider.systems.stevesie.log import RESULTS

# The API has no word for a state. These are what `seen` derives it from; only the first three are documented, the
# others unverified.
STATES: Mapping[str, RunState] = {
    "completed_at is null": RunState.RUNNING,
    "completed_at is set, results are there": RunState.SUCCEEDED,
    "completed_at is set, no results": RunState.FAILED,
    "an error field is set": RunState.FAILED,
    "status or state is a word for failure": RunState.FAILED,
    "cancelled_at is set": RunState.CANCELLED,
    "status or state is cancelled": RunState.CANCELLED,
}
KNOWN_KEYS = frozenset({"id", "workflow_id", "execution_parameters", "created_at", "completed_at", "results"})
ERROR_KEYS = ("error", "errors", "failed_at", "error_message")
CANCEL_KEYS = ("cancelled_at", "canceled_at")
WORD_KEYS = ("status", "state")
FAILURE_WORDS = frozenset({"failed", "failure", "error", "errored"})
CANCEL_WORDS = frozenset({"cancelled", "canceled"})
EXTENSIONS: Mapping[str, str] = {".csv": "csv", ".json": "json"}
GRACE = 30.0  # seconds; results may be attached a little after the end
WATCH_OPTIONS: Mapping[str, Any] = {"fail_on_empty_results": True, "results_grace": GRACE}


def limits(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the optional fields of a start."""
    found: dict[str, Any] = {}
    count = options.get("maximum_requests_count")
    if count is not None:
        if isinstance(count, bool) or not str(count).strip().isdecimal() or int(count) < 1:
            raise InvalidArgument(f"maximum_requests_count: expected a whole number above 0, not {count!r}")
        found["maximum_requests_count"] = int(count)
    wanted = options.get("output_aggregation_format")
    if wanted is not None:
        if wanted not in FORMATS:
            raise InvalidArgument(f"output_aggregation_format: expected csv or json, not {wanted!r}")
        found["output_aggregation_format"] = wanted
    if options.get("do_proxy_hot_swap") is not None:
        found["do_proxy_hot_swap"] = bool(options["do_proxy_hot_swap"])
    return found


def one(document: Any) -> Mapping[str, Any]:
    """Give the object of an answer, from its envelope or bare; an empty one if there is none."""
    body = document.get("object", document) if isinstance(document, Mapping) else {}
    return body if isinstance(body, Mapping) else {}


def execution_id(document: Any) -> Any:
    """Give the id from the answer to a start."""
    return one(document).get("id")


def many(document: Any) -> list[Mapping[str, Any]]:
    """Give the objects of an answer."""
    rows = listed(document)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def listed(document: Any) -> Any:
    """Give what should be the list of an answer."""
    return document.get("objects") if isinstance(document, Mapping) else document


def parameters_of(execution: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the parameters of an execution: sent as an object, they come back as JSON text. None: it does not tell."""
    value = execution.get("execution_parameters", "")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if value is None:
        return {}  # none were sent
    return dict(value) if isinstance(value, Mapping) else None


def unknown_keys(execution: Mapping[str, Any]) -> list[str]:
    """Name the fields that no page describes."""
    return sorted(set(execution) - KNOWN_KEYS)


def goes_on(execution: Mapping[str, Any]) -> bool | None:
    """Tell from a row of a list whether an execution goes on; None where it does not say."""
    if "completed_at" not in execution:
        return None
    if any(execution.get(key) for key in ("completed_at", *ERROR_KEYS, *CANCEL_KEYS)):
        return False
    return not (FAILURE_WORDS | CANCEL_WORDS) & _words(execution)


def seen(run: Run, execution: Mapping[str, Any], url: str, now: datetime) -> Run:
    """Bring what an execution tells into the run."""
    completed = time_or_none(execution.get("completed_at"))
    found = outputs(execution)
    state, message = _derived(run, execution, found, now)
    return replace(
        run,
        state=state,
        message=message,
        url=url,
        started_at=time_or_none(execution.get("created_at")) or run.started_at,
        ended_at=completed or time_or_none(next((execution[k] for k in CANCEL_KEYS if execution.get(k)), None)),
        outputs=tuple(found) if state is RunState.SUCCEEDED else (),
        details={**run.details, RESULTS: len(rows)}
        if isinstance(rows := execution.get("results"), list)
        else run.details,
    )


def _derived(run: Run, execution: Mapping[str, Any], found: list[Output], now: datetime) -> tuple[RunState, str]:
    words = _words(execution)
    if words & CANCEL_WORDS or any(execution.get(key) for key in CANCEL_KEYS):
        return RunState.CANCELLED, "Stevesie says that the execution was cancelled"
    blame = next((execution[key] for key in ERROR_KEYS if execution.get(key)), None)
    if blame is not None:
        return RunState.FAILED, first_text([blame]) or json.dumps(blame, ensure_ascii=False, default=str)
    if told := words & FAILURE_WORDS:
        return RunState.FAILED, f"Stevesie gives the status {min(told)!r} and no message"
    if not execution.get("completed_at"):
        return RunState.RUNNING, ""
    return (RunState.SUCCEEDED, "") if found else _empty(run, execution, now)


def _words(execution: Mapping[str, Any]) -> set[str]:
    """Give the words of the fields that may tell a state; unknown ones mean nothing."""
    return {value.strip().lower() for key in WORD_KEYS if isinstance(value := execution.get(key), str)}


def _empty(run: Run, execution: Mapping[str, Any], now: datetime) -> tuple[RunState, str]:
    """Judge an execution that is over and has no results (yet)."""
    completed = time_or_none(execution.get("completed_at")) or now
    grace = seconds_in(run.handle.watch, "results_grace")
    if (now - completed).total_seconds() < (GRACE if grace is None else grace):
        return RunState.RUNNING, ""
    if run.handle.watch.get("fail_on_empty_results", True):
        return RunState.FAILED, "the execution completed without results (fail_on_empty_results)"
    return RunState.SUCCEEDED, "the execution completed without results"


def outputs(execution: Mapping[str, Any]) -> list[Output]:
    """Give the results that have an address: named by its path, or by their id where two would be alike.

    The location is the address without its query, which is a signature that expires and a secret.
    """
    rows = _results(execution)
    names = [_name(row) for row in rows]
    often = Counter(names)
    return [
        Output(
            name if name and often[name] == 1 else str(row.get("id") or name),
            "file",
            _bare(str(row["url"])),
            (EXTENSIONS.get(PurePosixPath(name.lower().removesuffix(".gz")).suffix, "raw"),),
        )
        for row, name in zip(rows, names, strict=True)
    ]


def address(execution: Mapping[str, Any], output: Output) -> str:
    """Give the fresh address of an output, query included, or an empty text."""
    pairs = zip(outputs(execution), _results(execution), strict=True)
    return next((str(row["url"]) for found, row in pairs if found.name == output.name), "")


def _results(execution: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = execution.get("results")
    if not isinstance(rows, list):
        return []
    return [row for row in rows if isinstance(row, Mapping) and _is_address(row.get("url"))]


def _is_address(value: Any) -> bool:
    try:
        return isinstance(value, str) and urlsplit(value).scheme in ("http", "https")
    except ValueError:
        return False


def _name(row: Mapping[str, Any]) -> str:
    return unquote(PurePosixPath(urlsplit(str(row["url"])).path).name) or str(row.get("id") or "")


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def said(response: Response) -> str:
    """Read an error body; only the older API's is known: ``{"errors": [{field: text}]}``."""
    body = response.json_or_none()
    if not isinstance(body, Mapping):
        return ""
    errors = body.get("errors")
    if isinstance(errors, list):
        pairs = [f"{field}: {text}" for item in errors if isinstance(item, Mapping) for field, text in item.items()]
        if pairs:
            return "; ".join(pairs)
    return first_text(body.get(name) for name in ("error", "errors", "message"))

"""The JSON of Stevesie's API: the two envelopes, an execution, a collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from airflow_workflow_provider.sandbox.system import now, stamp

if TYPE_CHECKING:
    from .catalog import Collection
    from .executions import Execution, Result
    from .settings import StevesieSettings

# How a broken execution shows, by style: keys beyond the documented ones (inferred; nothing public says).
FAILURES: dict[str, dict[str, Any]] = {
    "error": {"error": "{problem}"},
    "errors": {"errors": [{"execution": "{problem}"}]},
    "status": {"status": "failed"},
    "failed_at": {"failed_at": "{ended_at}"},
}
NOT_COMPLETED = ("failed_at", "never")


def one(body: dict[str, Any], status: int = 200) -> Response:
    """The envelope of one object."""
    return JSONResponse({"object": body}, status)


def many(bodies: list[dict[str, Any]]) -> Response:
    """The envelope of several objects; there is no paging."""
    return JSONResponse({"objects": bodies})


def shown_execution(execution: Execution, settings: StevesieSettings, url: Callable[[Result], str]) -> dict[str, Any]:
    """An execution; it has no status. ``url`` makes a fresh URL of a result."""
    broken, style = execution.state == "broken", settings.failure_style
    ended_at = None if broken and style in NOT_COMPLETED else execution.ended_at
    attached = ended_at is not None and (now() - ended_at).total_seconds() >= settings.results_late_seconds
    results = execution.results if attached else []
    extra: dict[str, Any] = {"requests_count": len(execution.inputs), "error": None, "cancelled_at": None}
    return {
        "id": execution.id,
        "workflow_id": execution.workflow.id,
        "execution_parameters": execution.parameters_text,
        "created_at": stamp(execution.created_at),
        "completed_at": stamp(ended_at),
        "results": [{"id": result.id, "url": url(result)} for result in results],
        **(extra if settings.extra_keys else {}),
        **(failure(execution, style) if broken else {}),
    }


def failure(execution: Execution, style: str) -> dict[str, Any]:
    """The further keys of a broken execution."""
    values = {"problem": execution.problem, "ended_at": stamp(execution.ended_at) or ""}

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [{key: text.format(**values) for key, text in entry.items()} for entry in value]
        return value.format(**values)

    return {key: filled(value) for key, value in FAILURES.get(style, {}).items()}


def shown_collection(collection: Collection) -> dict[str, Any]:
    """A collection with its number of items."""
    return {"id": collection.id, "name": collection.name, "count": len(collection.items), "items": collection.items}

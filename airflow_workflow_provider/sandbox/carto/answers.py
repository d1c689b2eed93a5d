"""The JSON of a job: after its creation, while it goes, in a list."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .jobs import Job
from .settings import CartoSettings

# BigQuery's job states; an error is in errorResult, not in the state.
OBJECT_STATES = {"pending": "PENDING", "running": "RUNNING"}


def created(job: Job, settings: CartoSettings) -> dict[str, Any]:
    """The answer to the creation of a job.

    inferred: the documentation names ``externalId`` and ``workflowOutputTableName``, CARTO's code the key
    ``jobMetadata``; the exact sample is not known, so the place of the table's name is a switch.
    """
    body: dict[str, Any] = {settings.job_id_key: job.id, "token": "sandbox-carto-job-token"}
    body["jobMetadata"] = {"location": job.connection.location}
    table = {"workflowOutputTableName": job.output_table} if job.output_table else {}
    match settings.output_table_in:
        case "jobMetadata":
            body["jobMetadata"] |= table
        case "top":
            body |= table
        case "meta":
            body["meta"] = table
        case "deep":
            body["data"] = {"job": {"metadata": table}}
    return body


def status(job: Job, settings: CartoSettings) -> dict[str, Any]:
    """The answer to a question for a job's status, in the style that is switched on."""
    is_object = settings.status_style == "object"
    body = status_object(job) if is_object else status_string(job, settings)
    repeat = not is_object if settings.repeat_output_table is None else settings.repeat_output_table
    if repeat:
        table = {"workflowOutputTableName": job.output_table} if job.output_table else {}
        body["jobMetadata"] = {"location": job.connection.location} | table
    return body


def status_object(job: Job) -> dict[str, Any]:
    """BigQuery's job resource (inferred from "a status object" in CARTO's documentation)."""
    project, location = job.connection.catalog, job.connection.location
    times = {"creationTime": job.created_at, "startTime": job.started_at, "endTime": job.ended_at}
    state: dict[str, Any] = {"state": OBJECT_STATES.get(job.state, "DONE")}
    if job.error:
        problem = {"reason": job.error.reason, "location": "query", "message": job.error.message}
        state |= {"errorResult": problem, "errors": [problem]}
    return {
        "kind": "bigquery#job",
        "id": f"{project}:{location}.{job.id}",
        "jobReference": {"projectId": project, "jobId": job.id, "location": location},
        "statistics": {name: milliseconds(moment) for name, moment in times.items() if moment},
        "status": state,
    }


def status_string(job: Job, settings: CartoSettings) -> dict[str, Any]:
    """The normalised form that CARTO's MCP tools answer (inferred for the SQL API)."""
    body: dict[str, Any] = {"externalId": job.id, "status": getattr(settings, f"{job.state}_word")}
    if job.error:
        body["error"] = [job.error.message] if settings.error_style == "list" else job.error.message
    return body


def milliseconds(moment: datetime) -> str:
    """A time as BigQuery writes it: milliseconds since 1970, as text."""
    return str(int(moment.timestamp() * 1000))

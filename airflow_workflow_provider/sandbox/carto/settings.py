"""CARTO's switches: how fast jobs go, and how the answers look where the real shape is not known for certain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from airflow_workflow_provider.sandbox.settings import Settings


@dataclass
class CartoSettings(Settings):
    """The switches of ``/carto``; the comments say what each one decides."""

    # How long a job stays in each state; running time comes on top of what its SQL takes.
    pending_seconds: float = 0.5
    running_seconds: float = 1.5

    # The documentation calls `status` an object; CARTO's MCP tools and samples show a string.
    status_style: Literal["object", "string"] = "object"
    # The words of the string style: sources disagree (success or done, failure or failed, completed in mock data).
    pending_word: str = "pending"
    running_word: str = "running"
    success_word: str = "success"
    failure_word: str = "failure"
    cancelled_word: str = "cancelled"
    # Whether the status answer names the output table again; null: the string style does, the object style does not.
    repeat_output_table: bool | None = None

    # The answer to the creation of a job.
    job_status_code: int = 200
    job_id_key: Literal["externalId", "jobId", "job_id", "id"] = "externalId"
    job_id_style: Literal["plain", "full"] = "plain"
    output_table_in: Literal["jobMetadata", "top", "meta", "deep", "absent"] = "jobMetadata"

    # `error` is a string or a list of strings; CARTO's clients handle both.
    error_style: Literal["string", "list"] = "string"
    unknown_procedure: Literal["failure", "400", "404"] = "failure"
    unknown_job_status: int = 404
    cancel_status: int = 200
    cancel_finished_status: int = 400
    # Cancelling is best effort in BigQuery: with true, it is accepted and the job goes on.
    cancel_ignored: bool = False
    jobs_listed: bool = True

    # Whether a workflow's out table is used again for equal parameters; null: as the workflow itself says.
    use_cache: bool | None = None
    # A workflow without an Output component leaves a table with the one column `dummy`; with false it names none.
    dummy_output: bool = True

    # Limits of a synchronous query.
    row_cap: int = 200_000
    row_cap_error: bool = False
    sync_seconds: float = 60.0
    sync_timeout_status: int = 408
    # Whether answers to GET /query are kept for a year, as the CDN in front of the API does.
    get_cache: bool = True
    # Whether rows come in the order in which they were made; with false, a SELECT without ORDER BY comes in another
    # order each time, so that paging without one loses and repeats rows, as it may in a real warehouse.
    stable_order: bool = True
    # Dates and times as ISO text, or as the {"value": text} objects of BigQuery's Node client.
    time_style: Literal["iso", "value_object"] = "iso"

    # Life of an OAuth token; tokens named in `revoked_tokens` are refused at once.
    token_seconds: float = 86_400.0
    revoked_tokens: list[str] = field(default_factory=list)

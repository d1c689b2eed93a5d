"""Stevesie's switches: how long executions take, how they fail, and how their files are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_workflow_provider.sandbox.settings import Settings

Outcome = Literal["normal", "empty", "broken", "never"]


@dataclass
class StevesieSettings(Settings):
    """The switches of ``/stevesie``; the comments say what each one decides."""

    # How long an execution runs; what its workflow takes comes on top.
    running_seconds: float = 2.0
    # How every execution ends, whatever its workflow would do by itself.
    outcome: Outcome | None = None
    # How a broken execution shows: nothing public says how a failure looks.
    failure_style: Literal["empty", "error", "errors", "status", "failed_at", "never"] = "empty"
    # Seconds from `completed_at` until the results are attached.
    results_late_seconds: float = 0.0
    # Keys beyond the documented ones, among them an empty `error`.
    extra_keys: bool = False
    # A collection without rows has no file; with true it has one with nothing but its header.
    empty_files: bool = False

    # Refuses the token, as after its renewal.
    token_revoked: bool = False
    # What an unknown id or path answers: the vendor's older client reads 401 as a bad token or a bad URL.
    unknown_status: Literal[401, 404] = 404
    start_status: int = 200
    proxy_required: bool = True
    error_style: Literal["json", "text"] = "json"
    executions_list: Literal["full", "ids", "absent"] = "full"
    # Whether the answer to a change of a collection repeats its items.
    collection_answer: Literal["full", "count"] = "full"
    # Whether adding an item that the collection has already adds it again.
    duplicate_items: bool = False

    # Requests a second; null: no limit. `retry_after` is the header of the 429, null: none.
    rate_limit: float | None = None
    retry_after: float | None = 1.0

    # The host of the result files: null is the other name of this machine (localhost for 127.0.0.1 and back).
    files_base_url: str | None = None
    url_seconds: float = 300.0
    expired_status: Literal[403, 404, 410] = 403
    # Whether the last part of a file's URL names its collection or only repeats the result's id.
    file_names: Literal["collection", "id"] = "collection"

"""Alteryx's switches: how fast jobs go, which server version answers, and the shapes that are not confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_workflow_provider.sandbox.run_log import LogSettings

Version = Literal["2021.3", "2021.4", "2022.1", "2023.1", "2024.2", "2025.1", "2025.2"]
World = Literal["webapi", "gallery"]


@dataclass
class AlteryxSettings(LogSettings):
    """The switches of ``/alteryx``; the comments say what each one decides."""

    # How long a job stays in each state; running time comes on top of what the app itself takes.
    queued_seconds: float = 0.5
    running_seconds: float = 1.5
    # How every job ends, whatever its app would do by itself.
    outcome: Literal["success", "error", "never"] | None = None
    # Seconds after its end until the queue's clean-up takes a job away; null: never.
    purge_seconds: float | None = None

    # The server's version; null: /webapi is a 2025.2 and /gallery a 2021.4, so that both ways to sign in can be tried.
    server_version: Version | None = None
    # What DELETE of a job answers before 2025.1 (neither is confirmed).
    cancel_unsupported_status: Literal[404, 405] = 405
    # A queued job is deleted by its cancellation; with false it is kept and says so.
    delete_queued: bool = True
    cancel_seconds: float = 0.0
    cancel_ignored: bool = False
    cancel_ended_status: int = 400

    # The words on the wire; put something unknown to see what a client makes of it.
    queued_word: str = "Queued"
    running_word: str = "Running"
    completed_word: str = "Completed"
    cancelled_word: str = "Cancelled"
    success_disposition: str = "Success"
    error_disposition: str = "Error"
    cancelled_disposition: str = "None"

    # Whether a job shows messages before it has ended, which is not known.
    messages_while_running: bool = True
    # Which answers of V1 begin with a byte order mark: seen with OAuth 1, unknown for the web API.
    v1_bom: Literal["never", "gallery", "always"] = "gallery"
    webapi_v1_priority: Literal["name", "number"] = "name"
    # The schema of GET /v3/jobs/{id}/messages is one object, its description speaks of all messages.
    messages_style: Literal["list", "object"] = "list"
    # V3's bodies of 403, 404 and 5xx are not known.
    v3_error_body: Literal["empty", "message"] = "empty"
    # How `name` of GET /v3/workflows is compared.
    name_filter: Literal["contains", "exact"] = "contains"
    unknown_questions: Literal["ignored", "refused"] = "ignored"
    # Whether CSV made from a .yxdb begins with a byte order mark.
    csv_bom: bool = False

    # OAuth 2: life of a token, what the answer says of it, and a counter: raising it revokes every older token.
    token_seconds: float = 3600.0
    token_type: str = "bearer"  # noqa: S105 - the word on the wire
    expires_in: bool = True
    token_generation: int = 0
    # Refuses every key pair, as after a change of the secret.
    keys_revoked: bool = False

    # OAuth 1: the address under which the server believes to be reached; null: as the request says.
    base_address: str | None = None
    refuse_reused_nonce: bool = True
    timestamp_window: float | None = 300.0

    def version(self, world: World) -> Version:
        """The version of the server behind a mount."""
        return self.server_version or ("2025.2" if world == "webapi" else "2021.4")

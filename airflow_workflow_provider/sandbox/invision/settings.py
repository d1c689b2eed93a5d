"""InVision's switches: how fast data flows go, and how the answers look where the documentation says little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_workflow_provider.sandbox.run_log import LogSettings


@dataclass
class InvisionSettings(LogSettings):
    """The switches of ``/invision``; the comments say what each one decides."""

    # How long a run stays in each state; a throttled site leaves runs pending for long.
    pending_seconds: float = 0.5
    running_seconds: float = 1.5
    # A worker that crashed: before 2023.6 the run never ends, since then it is submitted again.
    stays_running: bool = False
    resubmitted: bool = False
    # How long the status of a run that has ended can be asked for; null: without end.
    retention_seconds: float | None = None

    # The answers to start and status.
    terminal_in_start: bool = False
    pascal_case: bool = False
    status_case: Literal["title", "lower", "upper"] = "title"
    # A site may want a JSON body (the vendor's own command line tool once got 415); the documentation shows none.
    require_json: bool = False
    # Whether the body of a start is read for arguments; only the Flow action "Execute Dataflow" documents its format.
    accept_arguments: bool = True

    # Only 500 is documented; "precise" has what ASP.NET would say.
    error_style: Literal["500", "precise"] = "500"
    both_keys_status: int = 400
    # Which requests are sent to a log-in page instead of an error: none, those without a key, all refused ones.
    login_redirect: Literal["never", "missing", "refused"] = "never"
    # The page of IIS while the application pool is recycled.
    recycling: bool = False

    # Whether Flow refuses a log item id that is not the newest one, as after a loss of its log.
    log_forgets: bool = False

    # The limit of a synchronous run of a Flow.
    flow_run_seconds: float = 300.0

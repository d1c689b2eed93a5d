"""Chorus' switches: how fast flows and jobs go, which traps are open, and what is answered where it is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_workflow_provider.sandbox.run_log import LogSettings


@dataclass
class ChorusSettings(LogSettings):
    """The switches of ``/chorus``; the comments say what each one decides."""

    # Life of a session since it was last touched; a call touches it only when the last touch is `touch_seconds` old.
    session_seconds: float = 28_800.0
    touch_seconds: float = 300.0
    # Whether calls of the engine's API touch the session (inferred: they do not, as it is not Rails that answers).
    engine_touches_session: bool = False
    # The generated pages of the vendor show `_session_id`, production uses this one.
    cookie_name: str = "_chorus_session"
    csrf: bool = True
    # Whether the Rails side accepts the header `x-token` for a session_id, as the vendor's client of 2019 expects.
    token_on_rails: bool = False
    login_failure: Literal["ldap_no_user", "ldap_unreachable", "license_expired"] | None = None
    # With true, everything answers a redirect to the https port, as the http port of an installation with TLS does.
    redirect_http: bool = False

    # What the licence covers: workflows at all, the engine's API, jobs.
    workflow_enabled: bool = True
    api_enabled: bool = True
    jobs_enabled: bool = True

    # How long the engine takes: until the flow starts, for each operator, until results can be read after the end.
    start_seconds: float = 0.0
    node_seconds: float = 0.5
    result_seconds: float = 0.5
    # A word for `meta.state` that no client knows.
    state_word: str | None = None
    # The text of a query about a process that has ended or never was.
    finished_text: Literal["processId", "processID", "not_started"] = "processId"
    # A text that only failed flows answer; the vendor's client takes any unknown text for a failure.
    failed_text: str | None = None
    results_lost: bool = False
    unknown_variable: Literal["422", "ignored"] = "422"
    unknown_workflow_status: int = 404
    # The documentation of 6.5 has a text, clients since 2017 read JSON.
    stop_style: Literal["json", "text"] = "json"
    stop_seconds: float = 0.0
    stop_ignored: bool = False
    # `flowMetaInfo.status` of a stopped run is not known; null: there are no results.
    stopped_status: Literal["FAILURE", "STOPPED", "SUCCESS"] | None = None

    # What goes wrong between Rails and the engine when a workfile is run or stopped.
    engine_down: bool = False
    run_refused: bool = False
    stop_refused: bool = False
    # The engine reports the end of a short flow before Rails has written `running`: the workfile stays so.
    race: bool = False
    stuck_running: bool = False
    # Whether a failed flow leaves a WorkfileResult, and how long after `idle` a result's activity comes.
    failed_run_activity: bool = True
    activity_seconds: float = 0.0
    # Result ids equal process ids for touchpoints (inferred for flows); older servers have numbers as text.
    result_id_style: Literal["process", "number"] = "process"

    # What `GET /workfiles/:id?connect=true` finds out about the user's account in the database.
    data_source_credentials: bool = True

    # Jobs: waiting for a worker, noticing that a task has ended (45 s), freeing a stopped job (1 to 2 minutes).
    enqueued_seconds: float = 0.5
    notice_seconds: float = 0.5
    stopping_seconds: float = 1.0
    job_stuck: bool = False
    # Whether a job hears of a flow that failed; with false its task is a success.
    job_hears_failure: bool = True
    # Whose results `/job_results/latest` knows: the source of 5.4 reads them by job; by another reading of 5.8's the
    # job in the path is ignored. Which of the two a later version does is unverified.
    latest_scope: Literal["job", "all"] = "job"
    # Whether it shows the record of a run that goes on: 5.4 makes it at the start, and orders by `finished_at`.
    latest_running: bool = False
    # Whether the job's activities can be read, and how much of the result they hold: only its id is documented.
    job_activities: Literal["full", "id", "denied"] = "full"

    # Whether the workspace shows a second schema, with a table of the same name as one of the first.
    second_schema: bool = False
    # After that many rows a download ends with the text of a database error, inside its status 200.
    download_error_after: int | None = None

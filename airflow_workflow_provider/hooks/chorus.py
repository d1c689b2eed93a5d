"""Hook for TIBCO Data Science Team Studio (Alpine Chorus)."""

from __future__ import annotations

from airflow_workflow_provider.hooks.workflow import WorkflowHook


class ChorusHook(WorkflowHook):
    """Starts, watches, cancels and reads runs of Team Studio's workflows and Jobs.

    :param chorus_conn_id: Airflow connection with the server's URL, a user and a password.
    :param run_mode: what `start_run` starts: ``engine``, ``job`` or ``workfile``.
    """

    system_key = "chorus"
    conn_name_attr = "chorus_conn_id"
    default_conn_name = "chorus_default"
    conn_type = "chorus"
    hook_name = "TIBCO Team Studio (Chorus)"

    def __init__(self, chorus_conn_id: str = default_conn_name, run_mode: str = "engine") -> None:
        super().__init__(chorus_conn_id)
        self.chorus_conn_id = chorus_conn_id
        self.start_defaults = {"run_mode": run_mode}

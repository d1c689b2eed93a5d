"""Hook for Alteryx Server."""

from __future__ import annotations

from airflow_workflow_provider.hooks.workflow import WorkflowHook


class AlteryxHook(WorkflowHook):
    """Starts, watches, cancels and reads jobs of Alteryx Server's apps.

    :param alteryx_conn_id: Airflow connection with the Web API's address, an API key and its secret.
    """

    system_key = "alteryx"
    conn_name_attr = "alteryx_conn_id"
    default_conn_name = "alteryx_default"
    conn_type = "alteryx"
    hook_name = "Alteryx Server"

    def __init__(self, alteryx_conn_id: str = default_conn_name) -> None:
        super().__init__(alteryx_conn_id)
        self.alteryx_conn_id = alteryx_conn_id

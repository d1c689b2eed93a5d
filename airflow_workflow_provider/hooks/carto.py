"""Hook for CARTO Workflows."""

from __future__ import annotations

from airflow_workflow_provider.hooks.workflow import WorkflowHook


class CartoHook(WorkflowHook):
    """Starts, watches, cancels and reads runs of CARTO Workflows through CARTO's SQL API.

    :param carto_conn_id: Airflow connection with the API base URL and an API access token, or an OAuth client.
    """

    system_key = "carto"
    conn_name_attr = "carto_conn_id"
    default_conn_name = "carto_default"
    conn_type = "carto"
    hook_name = "CARTO Workflows"

    def __init__(self, carto_conn_id: str = default_conn_name) -> None:
        super().__init__(carto_conn_id)
        self.carto_conn_id = carto_conn_id

"""Hook for Profitbase InVision."""

from __future__ import annotations

from airflow_workflow_provider.hooks.workflow import WorkflowHook


class InvisionHook(WorkflowHook):
    """Starts, watches and reads runs of InVision's data flows, and of flows of Profitbase Flow.

    Their APIs cannot cancel a run.

    :param invision_conn_id: Airflow connection with InVision's URL and the key of its Data Flow Execution area.
    """

    system_key = "invision"
    conn_name_attr = "invision_conn_id"
    default_conn_name = "invision_default"
    conn_type = "invision"
    hook_name = "Profitbase InVision"

    def __init__(self, invision_conn_id: str = default_conn_name) -> None:
        super().__init__(invision_conn_id)
        self.invision_conn_id = invision_conn_id

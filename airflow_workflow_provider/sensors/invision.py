"""Sensor for runs of Profitbase InVision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor


class InvisionDataFlowRunSensor(WorkflowRunSensor):
    """Waits for a run of a data flow, by its run object or by ``run_id`` and ``workflow`` together.

    The arguments of every sensor are described at
    :class:`~airflow_workflow_provider.sensors.workflow.WorkflowRunSensor`.

    :param invision_conn_id: Airflow connection to InVision. (templated)
    :param workflow_api: ``dataflow``, or ``flow`` for Profitbase Flow; default as the run object tells. (templated)
    """

    system_key = "invision"
    watch_option_names = ("workflow_api",)
    template_fields: Sequence[str] = ("invision_conn_id", *WorkflowRunSensor.template_fields, "workflow_api")

    def __init__(
        self, *, invision_conn_id: str = "invision_default", workflow_api: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.invision_conn_id = invision_conn_id
        self.workflow_api = workflow_api

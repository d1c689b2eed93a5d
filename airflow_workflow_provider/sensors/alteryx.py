"""Sensor for jobs of Alteryx Server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor


class AlteryxWorkflowRunSensor(WorkflowRunSensor):
    """Waits for a job of Alteryx Server, by its run object or by its id.

    The arguments of every sensor are described at
    :class:`~airflow_workflow_provider.sensors.workflow.WorkflowRunSensor`.

    :param alteryx_conn_id: Airflow connection to Alteryx Server. (templated)
    """

    system_key = "alteryx"
    template_fields: Sequence[str] = ("alteryx_conn_id", *WorkflowRunSensor.template_fields)

    def __init__(self, *, alteryx_conn_id: str = "alteryx_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alteryx_conn_id = alteryx_conn_id

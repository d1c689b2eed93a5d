"""Sensor for runs of TIBCO Data Science Team Studio (Alpine Chorus)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor
from airflow_workflow_provider.systems.chorus.engine import OVER_SINCE
from airflow_workflow_provider.systems.chorus.workfiles import IDLE_SINCE


class ChorusWorkflowRunSensor(WorkflowRunSensor):
    """Waits for a run of Team Studio, by its run object or by its id.

    The id of an engine process wants ``workflow`` as well: its results are kept under the workflow.

    The arguments of every sensor are described at
    :class:`~airflow_workflow_provider.sensors.workflow.WorkflowRunSensor`.

    :param chorus_conn_id: Airflow connection to Team Studio. (templated)
    :param run_mode: what kind of run the id must be of; default as the id tells. (templated)
    """

    system_key = "chorus"
    watch_option_names = ("run_mode",)
    settling_details = (OVER_SINCE, IDLE_SINCE)
    template_fields: Sequence[str] = ("chorus_conn_id", *WorkflowRunSensor.template_fields, "run_mode")

    def __init__(self, *, chorus_conn_id: str = "chorus_default", run_mode: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chorus_conn_id = chorus_conn_id
        self.run_mode = run_mode

"""Sensor for runs of CARTO Workflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor


class CartoWorkflowRunSensor(WorkflowRunSensor):
    """Waits for a run of a CARTO workflow, by its run object or by the ``externalId`` of its job.

    The arguments of every sensor are described at
    :class:`~airflow_workflow_provider.sensors.workflow.WorkflowRunSensor`.

    :param carto_conn_id: Airflow connection to CARTO. (templated)
    :param carto_connection: name of the connection inside CARTO that the job runs through; default the run's, or
        the Airflow connection's. (templated)
    """

    system_key = "carto"
    watch_option_names = ("carto_connection",)
    template_fields: Sequence[str] = ("carto_conn_id", *WorkflowRunSensor.template_fields, "carto_connection")

    def __init__(
        self, *, carto_conn_id: str = "carto_default", carto_connection: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.carto_conn_id = carto_conn_id
        self.carto_connection = carto_connection

"""Sensor for executions of Stevesie Cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor


class StevesieWorkflowRunSensor(WorkflowRunSensor):
    """Waits for an execution of a Stevesie workflow, by its run object or by its id.

    The arguments of every sensor are described at
    :class:`~airflow_workflow_provider.sensors.workflow.WorkflowRunSensor`.

    :param stevesie_conn_id: Airflow connection to Stevesie Cloud. (templated)
    :param fail_on_empty_results: an execution that completes without results has failed; default as it was started.
    :param results_grace: seconds after its end in which results may still be attached; default as it was started.
    """

    system_key = "stevesie"
    watch_option_names = ("fail_on_empty_results", "results_grace")
    template_fields: Sequence[str] = ("stevesie_conn_id", *WorkflowRunSensor.template_fields)

    def __init__(
        self,
        *,
        stevesie_conn_id: str = "stevesie_default",
        fail_on_empty_results: bool | None = None,
        results_grace: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stevesie_conn_id = stevesie_conn_id
        self.fail_on_empty_results = fail_on_empty_results
        self.results_grace = results_grace

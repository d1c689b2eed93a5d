"""Operator for TIBCO Data Science Team Studio (Alpine Chorus)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_workflow_provider.operators.workflow import RunWorkflowOperator


class ChorusRunWorkflowOperator(RunWorkflowOperator):
    """Runs a workflow or a Job of Team Studio and returns the run object.

    ``workflow`` is the workfile's id, or the Job's in ``run_mode="job"``. ``query_parameters`` are the variables of
    the flow, with or without their ``@``; only the engine takes them.

    The arguments of every run operator are described at
    :class:`~airflow_workflow_provider.operators.workflow.RunWorkflowOperator`.

    :param chorus_conn_id: Airflow connection to Team Studio. (templated)
    :param run_mode: ``engine`` runs a process with an id and stored results; ``job`` runs a Job; ``workfile`` runs a
        workfile where the engine's API is not licensed, and cannot tell two runs of it apart. (templated)
    """

    system_key = "chorus"
    start_option_names = ("run_mode",)
    template_fields: Sequence[str] = ("chorus_conn_id", *RunWorkflowOperator.template_fields, "run_mode")

    def __init__(self, *, chorus_conn_id: str = "chorus_default", run_mode: str = "engine", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chorus_conn_id = chorus_conn_id
        self.run_mode = run_mode

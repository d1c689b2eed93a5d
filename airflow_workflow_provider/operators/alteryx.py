"""Operator for Alteryx Server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_workflow_provider.operators.workflow import RunWorkflowOperator


class AlteryxRunWorkflowOperator(RunWorkflowOperator):
    """Runs an app of Alteryx Server and returns the run object with its output files.

    ``workflow`` is the app's id, or ``name:My app``. ``query_parameters`` answer the app's questions.

    The arguments of every run operator are described at
    :class:`~airflow_workflow_provider.operators.workflow.RunWorkflowOperator`.

    :param alteryx_conn_id: Airflow connection to Alteryx Server. (templated)
    :param priority: ``Default``, ``Low``, ``Medium``, ``High`` or ``Critical``. (templated)
    :param worker_tag: run on workers with this tag. (templated)
    :param credential_id: run as this credential of the server; OAuth 2 only. (templated)
    :param check_questions: refuse parameters that the app does not ask for, before anything is started.
    """

    system_key = "alteryx"
    start_option_names = ("priority", "worker_tag", "credential_id", "check_questions")
    template_fields: Sequence[str] = (
        "alteryx_conn_id",
        *RunWorkflowOperator.template_fields,
        "priority",
        "worker_tag",
        "credential_id",
    )

    def __init__(
        self,
        *,
        alteryx_conn_id: str = "alteryx_default",
        priority: str | None = None,
        worker_tag: str | None = None,
        credential_id: str | None = None,
        check_questions: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alteryx_conn_id = alteryx_conn_id
        self.priority = priority
        self.worker_tag = worker_tag
        self.credential_id = credential_id
        self.check_questions = check_questions

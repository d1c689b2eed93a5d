"""Operator for Profitbase InVision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_workflow_provider.operators.workflow import RunWorkflowOperator


class InvisionRunDataFlowOperator(RunWorkflowOperator):
    """Runs a data flow of InVision, or a flow of Profitbase Flow, and returns the run object.

    ``workflow`` is the id of the data flow. That a start takes ``query_parameters`` (as ``globalArguments``) is not
    confirmed by the vendor's pages. InVision cannot cancel a run.

    The arguments of every run operator are described at
    :class:`~airflow_workflow_provider.operators.workflow.RunWorkflowOperator`.

    :param invision_conn_id: Airflow connection to InVision. (templated)
    :param workflow_api: ``dataflow``, or ``flow`` for Profitbase Flow. (templated)
    :param await_completion: let the start call itself wait for the end. Only for flows of seconds: if the call
        breaks off, the run is lost from sight.
    :param execution_arguments: the whole body of a start, experimental; ``query_parameters`` go into its
        ``globalArguments``. (templated)
    """

    system_key = "invision"
    start_option_names = ("workflow_api", "await_completion", "execution_arguments")
    template_fields: Sequence[str] = (
        "invision_conn_id",
        *RunWorkflowOperator.template_fields,
        "workflow_api",
        "execution_arguments",
    )

    def __init__(
        self,
        *,
        invision_conn_id: str = "invision_default",
        workflow_api: str = "dataflow",
        await_completion: bool = False,
        execution_arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.invision_conn_id = invision_conn_id
        self.workflow_api = workflow_api
        self.await_completion = await_completion
        self.execution_arguments = execution_arguments

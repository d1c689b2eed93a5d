"""Operator for Profitbase InVision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_workflow_provider.operators.workflow import QueryParameters, RunWorkflowOperator
from airflow_workflow_provider.protocol.literals import (
    check_choice,
    check_conn_id,
    check_flags,
    check_mapping,
)
from airflow_workflow_provider.systems.invision.choices import WORKFLOW_APIS


class InvisionRunDataFlowOperator(RunWorkflowOperator):
    """Runs a data flow of InVision, or a flow of Profitbase Flow, and returns the run object.

    InVision cannot cancel a run.

    :param workflow: the id of the data flow. (templated)
    :param query_parameters: sent as ``globalArguments``; it is not confirmed that a start accepts them, see the
        vendor's pages. A mapping, or a callable ``(context, jinja_env)`` that makes it. (templated)
    :param parameter_types: types for rendered text, such as ``{"start": "timestamp", "n": "int64"}``. (templated)
    :param invision_conn_id: Airflow connection to InVision. (templated)
    :param workflow_api: ``dataflow``, or ``flow`` for Profitbase Flow. (templated)
    :param await_completion: let the start request itself wait for the end. Only for flows of seconds: if the request
        breaks off, whether a run exists is unknown.
    :param execution_arguments: the whole body of the start request, experimental; ``query_parameters`` go into its
        ``globalArguments``. (templated)
    :param wait_for_completion: False returns the run object right after the start.
    :param deferrable: wait in the triggerer instead of a worker slot.
    :param poll_interval: seconds (or timedelta) between two polls of a young run; the interval grows with the age of
        the run, up to four times; default per system. (templated)
    :param timeout: seconds (or timedelta) that the remote run may take, counted from its start. (templated)
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time it is polled more often.
    :param reattach: a retry takes over the run that an earlier try started, instead of starting another.
    :param on_unknown_start: ``"fail"`` or ``"restart"``, if the answer to a start is lost and the run cannot be found.
    :param cancel_on_kill: cancel the remote run when the task is killed, is cleared or fails before it.
    :param cancel_on_timeout: cancel the remote run when its time limit ends.
    :param on_run_failure: ``"skip"`` skips the task when the run fails, is cancelled or times out.
    :param asset_alias: name of an asset alias that receives the outputs of a run that succeeded as assets.
    :param get_logs: write the lines of the run's log into the log of the task while it waits.
    :param log_interval: seconds (or timedelta) between two requests for that log; default 30.
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
        workflow: str,
        query_parameters: QueryParameters = None,
        parameter_types: Mapping[str, str] | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta | str | None = None,
        timeout: float | timedelta | str | None = None,
        expected_duration: float | timedelta | None = None,
        reattach: bool = True,
        on_unknown_start: str = "fail",
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        on_run_failure: str = "fail",
        asset_alias: str | None = None,
        get_logs: bool = True,
        log_interval: float | timedelta | None = None,
        invision_conn_id: str = "invision_default",
        workflow_api: str = "dataflow",
        await_completion: bool = False,
        execution_arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            workflow=workflow,
            query_parameters=query_parameters,
            parameter_types=parameter_types,
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            poll_interval=poll_interval,
            timeout=timeout,
            expected_duration=expected_duration,
            reattach=reattach,
            on_unknown_start=on_unknown_start,
            cancel_on_kill=cancel_on_kill,
            cancel_on_timeout=cancel_on_timeout,
            on_run_failure=on_run_failure,
            asset_alias=asset_alias,
            get_logs=get_logs,
            log_interval=log_interval,
            **kwargs,
        )
        self.invision_conn_id = invision_conn_id
        self.workflow_api = workflow_api
        self.await_completion = await_completion
        self.execution_arguments = execution_arguments
        self._checked_early(self._check_own_literals)

    def _check_own_literals(self) -> None:
        check_conn_id("invision_conn_id", self.invision_conn_id)
        check_flags(self, "await_completion")
        check_mapping("execution_arguments", self.execution_arguments)
        check_choice("workflow_api", self.workflow_api, WORKFLOW_APIS)

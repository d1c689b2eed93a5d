"""Sensor for runs of Profitbase InVision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_workflow_provider.protocol.literals import check_choice, check_conn_id
from airflow_workflow_provider.protocol.model import RunArgument
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor
from airflow_workflow_provider.systems.invision.choices import WORKFLOW_APIS


class InvisionDataFlowRunSensor(WorkflowRunSensor):
    """Waits for a run of a data flow, by its run object or by ``run_id`` and ``workflow`` together.

    :param run: the run object, usually ``run_task.output``. (templated)
    :param run_id: the run's id, if there is no run object. (templated)
    :param workflow: the workflow of a bare ``run_id``, if the API needs it. (templated)
    :param invision_conn_id: Airflow connection to InVision. (templated)
    :param workflow_api: ``dataflow``, or ``flow`` for Profitbase Flow; default that of the run object. (templated)
    :param poke_interval: seconds (or timedelta) between two polls of a young run; default per system.
    :param timeout: seconds (or timedelta) to wait; default the same as for Airflow's sensors.
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time it is polled more often.
    :param deferrable: wait in the triggerer instead of a worker slot.
    :param get_logs: write the lines of the run's log into the log of the task while it waits.
    :param log_interval: seconds (or timedelta) between two requests for that log; default 30.
    """

    system_key = "invision"
    watch_option_names = ("workflow_api",)
    template_fields: Sequence[str] = ("invision_conn_id", *WorkflowRunSensor.template_fields, "workflow_api")

    def __init__(
        self,
        *,
        run: RunArgument = None,
        run_id: str | None = None,
        workflow: str | None = None,
        poke_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        expected_duration: float | timedelta | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        get_logs: bool = True,
        log_interval: float | timedelta | None = None,
        invision_conn_id: str = "invision_default",
        workflow_api: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run=run,
            run_id=run_id,
            workflow=workflow,
            poke_interval=poke_interval,
            timeout=timeout,
            expected_duration=expected_duration,
            deferrable=deferrable,
            get_logs=get_logs,
            log_interval=log_interval,
            **kwargs,
        )
        self.invision_conn_id = invision_conn_id
        self.workflow_api = workflow_api
        check_conn_id("invision_conn_id", invision_conn_id)
        check_choice("workflow_api", workflow_api, WORKFLOW_APIS)

"""Sensor for executions of Stevesie Cloud."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_workflow_provider.protocol.literals import check_conn_id, check_flags, check_number
from airflow_workflow_provider.protocol.model import RunArgument
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor


class StevesieWorkflowRunSensor(WorkflowRunSensor):
    """Waits for an execution of a Stevesie workflow, by its run object or by its id.

    :param run: the run object, usually ``run_task.output``. (templated)
    :param run_id: the run's id, if there is no run object. (templated)
    :param workflow: the workflow of a bare ``run_id``, if the API needs it. (templated)
    :param stevesie_conn_id: Airflow connection to Stevesie Cloud. (templated)
    :param fail_on_empty_results: an execution that completes without results has failed; default the value of the
        start.
    :param results_grace: seconds after its end in which results can still appear; default the value of the start.
    :param poke_interval: seconds (or timedelta) between two polls of a young run; default per system.
    :param timeout: seconds (or timedelta) to wait; default the same as for Airflow's sensors.
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time it is polled more often.
    :param deferrable: wait in the triggerer instead of a worker slot.
    :param get_logs: write the lines of the run's log into the log of the task while it waits.
    :param log_interval: seconds (or timedelta) between two requests for that log; default 30.
    """

    system_key = "stevesie"
    watch_option_names = ("fail_on_empty_results", "results_grace")
    template_fields: Sequence[str] = ("stevesie_conn_id", *WorkflowRunSensor.template_fields)

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
        stevesie_conn_id: str = "stevesie_default",
        fail_on_empty_results: bool | None = None,
        results_grace: float | None = None,
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
        self.stevesie_conn_id = stevesie_conn_id
        self.fail_on_empty_results = fail_on_empty_results
        self.results_grace = results_grace
        check_conn_id("stevesie_conn_id", stevesie_conn_id)
        check_number("results_grace", results_grace, 0)
        if fail_on_empty_results is not None:
            check_flags(self, "fail_on_empty_results")

"""Sensor for runs of TIBCO Data Science Team Studio (Alpine Chorus)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_workflow_provider.protocol.literals import check_choice, check_conn_id
from airflow_workflow_provider.protocol.model import RunArgument
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor
from airflow_workflow_provider.systems.chorus.choices import RUN_MODES
from airflow_workflow_provider.systems.chorus.settling import IDLE_SINCE, OVER_SINCE


class ChorusWorkflowRunSensor(WorkflowRunSensor):
    """Waits for a run of Team Studio, by its run object or by its id.

    The id of an engine process wants ``workflow`` as well: its results are kept under the workflow.

    :param run: the run object, usually ``run_task.output``. (templated)
    :param run_id: the run's id, if there is no run object. (templated)
    :param workflow: the workflow of a bare ``run_id``, if the API needs it. (templated)
    :param chorus_conn_id: Airflow connection to Team Studio. (templated)
    :param run_mode: the mode that the run id must have; default the mode of the id. (templated)
    :param poke_interval: seconds (or timedelta) between two polls of a young run; default per system.
    :param timeout: seconds (or timedelta) to wait; default the same as for Airflow's sensors.
    :param expected_duration: seconds (or timedelta) that a run usually takes; around that time it is polled more often.
    :param deferrable: wait in the triggerer instead of a worker slot.
    :param get_logs: write the lines of the run's log into the log of the task while it waits.
    :param log_interval: seconds (or timedelta) between two requests for that log; default 30.
    """

    system_key = "chorus"
    watch_option_names = ("run_mode",)
    settling_state = (OVER_SINCE, IDLE_SINCE)
    template_fields: Sequence[str] = ("chorus_conn_id", *WorkflowRunSensor.template_fields, "run_mode")

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
        chorus_conn_id: str = "chorus_default",
        run_mode: str | None = None,
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
        self.chorus_conn_id = chorus_conn_id
        self.run_mode = run_mode
        check_conn_id("chorus_conn_id", chorus_conn_id)
        check_choice("run_mode", run_mode, RUN_MODES)

"""Operator for CARTO Workflows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_workflow_provider.operators.workflow import QueryParameters, RunWorkflowOperator
from airflow_workflow_provider.protocol.literals import check_conn_id, check_flags, check_text


class CartoRunWorkflowOperator(RunWorkflowOperator):
    """Runs a CARTO workflow through CARTO's SQL API and returns the run object with its output table.

    :param workflow: the full name of the workflow's stored procedure, or the whole ``CALL …`` that CARTO's API dialog
        shows. (templated)
    :param query_parameters: the variables of the workflow: a mapping, or a callable ``(context, jinja_env)`` that makes
        it. With a procedure's name they are bound by their names: the CALL names them where the warehouse allows it,
        else they are passed in the order of the procedure's own parameters, which are read from the warehouse. Where
        they cannot be read, the whole CALL is needed. Redshift takes a list. (templated)
    :param parameter_types: types for rendered text, such as ``{"start": "timestamp", "n": "int64"}``. (templated)
    :param carto_conn_id: Airflow connection to CARTO. (templated)
    :param carto_connection: name of the connection inside CARTO; default the Airflow connection's. (templated)
    :param check_parameters: compare the names of ``query_parameters`` with the procedure's own before the start, and
        pass them in its order. False passes them in the order given.
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

    system_key = "carto"
    start_option_names = ("carto_connection", "check_parameters")
    template_fields: Sequence[str] = ("carto_conn_id", *RunWorkflowOperator.template_fields, "carto_connection")

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
        carto_conn_id: str = "carto_default",
        carto_connection: str | None = None,
        check_parameters: bool = True,
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
        self.carto_conn_id = carto_conn_id
        self.carto_connection = carto_connection
        self.check_parameters = check_parameters
        self._checked_early(self._check_own_literals)

    def _check_own_literals(self) -> None:
        check_conn_id("carto_conn_id", self.carto_conn_id)
        check_text("carto_connection", self.carto_connection, optional=True)
        check_flags(self, "check_parameters")

"""Operator for CARTO Workflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_workflow_provider.operators.workflow import RunWorkflowOperator


class CartoRunWorkflowOperator(RunWorkflowOperator):
    """Runs a CARTO workflow through CARTO's SQL API and returns the run object with its output table.

    ``workflow`` is the full name of the workflow's stored procedure, or the whole ``CALL …`` that CARTO's API
    dialog shows. From a name, ``query_parameters`` are bound by their names: the CALL names them where the warehouse
    allows it, else they are passed in the order of the procedure's own parameters, which are read from the warehouse.
    Where they cannot be read, the whole CALL is needed. Redshift takes a list.

    The arguments of every run operator are described at
    :class:`~airflow_workflow_provider.operators.workflow.RunWorkflowOperator`.

    :param carto_conn_id: Airflow connection to CARTO. (templated)
    :param carto_connection: name of the connection inside CARTO; default the Airflow connection's. (templated)
    :param check_parameters: compare the names of ``query_parameters`` with the procedure's own before the start, and
        pass them in its order. False passes them in the order given.
    """

    system_key = "carto"
    start_option_names = ("carto_connection", "check_parameters")
    template_fields: Sequence[str] = ("carto_conn_id", *RunWorkflowOperator.template_fields, "carto_connection")

    def __init__(
        self,
        *,
        carto_conn_id: str = "carto_default",
        carto_connection: str | None = None,
        check_parameters: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.carto_conn_id = carto_conn_id
        self.carto_connection = carto_connection
        self.check_parameters = check_parameters

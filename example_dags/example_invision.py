"""From a data flow of Profitbase InVision, and a flow of Profitbase Flow, to tables.

A data flow runs with arguments. The rows that it has written are read through InVision's Data API, filtered by the id
of the run, and land in a SQL table. A flow of the sibling product Profitbase Flow is started by one task and awaited by
another.

To run it against the sandbox: start ``python -m airflow_workflow_provider.sandbox``, copy the connections that it
prints, and add a connection ``warehouse`` to any SQL database. For your own site change ``invision_default``, the names
of the objects and, when you trigger the DAG, the ids.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator
from airflow_workflow_provider.sensors.invision import InvisionDataFlowRunSensor
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator

EMPLOYMENT = "2f0c0001-3b1e-4c55-9a10-0d5eed000001"
STOCK_PRICES = "6e1f0002-8d2a-4b7c-b6f4-0d5eed000002"

with DAG(
    dag_id="example_invision",
    schedule=None,
    catchup=False,
    # Safe with every run operator: a retry takes over the run that an earlier try started (Airflow 3.3+).
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["example", "invision"],
    params={
        "data_flow": Param(EMPLOYMENT, type="string", description="The id of a data flow of InVision"),
        "flow": Param(STOCK_PRICES, type="string", description="The id of a flow of Profitbase Flow"),
        "sector": Param("manufacturing", type="string"),
        "symbol": Param("IBM", type="string", enum=["AAPL", "AMZN", "GOOG", "IBM", "MSFT"]),
    },
):
    # [START howto_operator_invision]
    run_data_flow = InvisionRunDataFlowOperator(
        task_id="run_data_flow",
        workflow="{{ params.data_flow }}",
        query_parameters={"sector": "{{ params.sector }}", "fromMonth": "2009-01-01"},
        invision_conn_id="invision_default",
        deferrable=True,
        poll_interval=2,
        timeout=timedelta(minutes=10),
    )
    # [END howto_operator_invision]

    # [START howto_transfer_invision]
    load_employment = WorkflowOutputToSqlOperator(
        task_id="load_employment",
        run=run_data_flow.output,
        output_name='Employment by Sector?q={RunId == "{run_id}"}',
        sql_conn_id="warehouse",
        table="employment",
        if_exists="replace",
    )
    # [END howto_transfer_invision]

    # [START howto_sensor_invision]
    start_flow = InvisionRunDataFlowOperator(
        task_id="start_flow",
        workflow="{{ params.flow }}",
        workflow_api="flow",
        query_parameters={"symbol": "{{ params.symbol }}"},
        invision_conn_id="invision_default",
        wait_for_completion=False,
    )
    wait_for_flow = InvisionDataFlowRunSensor(
        task_id="wait_for_flow",
        run=start_flow.output,
        invision_conn_id="invision_default",
        deferrable=True,
        poke_interval=2,
        timeout=600,
    )
    # [END howto_sensor_invision]

    load_prices = WorkflowOutputToSqlOperator(
        task_id="load_prices",
        run=wait_for_flow.output,
        output_name='table:Store_StockPrices?q={RunId == "{run_id}"}',
        sql_conn_id="warehouse",
        table="stock_prices",
        if_exists="replace",
    )

"""DAGs that the tests run whole; each reports what its last task got to a file."""

from __future__ import annotations

import json
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.sandbox.carto.catalog import WORKFLOWS
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor

PROCEDURES = {workflow.name: workflow.procedure for workflow in WORKFLOWS}


def labelled(context, jinja_env):
    """Parameters that are made from the context."""
    return {"label": context["ti"].task_id}


for mode in ("sync", "deferrable"):
    with DAG(dag_id=f"carto_{mode}", schedule=None, params={"least": 100}) as dag:
        run = CartoRunWorkflowOperator(
            task_id="run",
            workflow=PROCEDURES["airports_by_state"],
            query_parameters={"min_airports": "{{ params.least }}"},
            parameter_types={"min_airports": "int64"},
            deferrable=mode == "deferrable",
            poll_interval=0.1,
            timeout="{{ 60 * 10 }}",
        )
        wait = CartoWorkflowRunSensor(
            task_id="wait", run=run.output, poke_interval=0.1, deferrable=mode == "deferrable", timeout=60
        )

        @task
        def report(ended, its_id, table, dag_run=None):
            """Write down what came by XCom."""
            Path(dag_run.conf["report"]).write_text(json.dumps({"ended": ended, "run_id": its_id, "table": table}))

        run_id = run.output["run_id"]  # type: ignore[index]  # an XComArg is, whatever its stub says
        report(wait.output, run_id, "{{ ti.xcom_pull('run')['output_location'] }}")
    globals()[dag.dag_id] = dag

with DAG(dag_id="carto_mapped", schedule=None) as carto_mapped:
    CartoRunWorkflowOperator.partial(
        task_id="run", workflow=PROCEDURES["airports_in_state"], poll_interval=0.1, deferrable=True
    ).expand(query_parameters=[{"state": state} for state in ("TX", "CA", "WA")])

with DAG(dag_id="carto_callable", schedule=None) as carto_callable:
    CartoRunWorkflowOperator(
        task_id="run", workflow=PROCEDURES["clock"], query_parameters=labelled, wait_for_completion=False
    )

with DAG(dag_id="carto_failing", schedule=None) as carto_failing:
    CartoRunWorkflowOperator(task_id="run", workflow=PROCEDURES["failing"], poll_interval=0.1)

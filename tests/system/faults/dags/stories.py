"""One DAG with one task for each story in ``stories.json``, which the tests write beside this file."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_workflow_provider.operators.alteryx import AlteryxRunWorkflowOperator
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.chorus import ChorusRunWorkflowOperator
from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator

OPERATORS: dict[str, Any] = {
    "alteryx": AlteryxRunWorkflowOperator,
    "carto": CartoRunWorkflowOperator,
    "chorus": ChorusRunWorkflowOperator,
    "invision": InvisionRunDataFlowOperator,
    "stevesie": StevesieRunWorkflowOperator,
}
TIMES = {"execution_timeout", "retry_delay"}

for name, story in json.loads(Path(__file__).with_name("stories.json").read_text()).items():
    arguments = {key: timedelta(seconds=value) if key in TIMES else value for key, value in story["arguments"].items()}
    with DAG(dag_id=name, schedule=None, doc_md=story["about"]) as dag:
        operator = OPERATORS[story["system"]]
        if story["expand"]:
            operator.partial(task_id="run", **arguments).expand(query_parameters=story["expand"])
        else:
            operator(task_id="run", **arguments)
    globals()[name] = dag

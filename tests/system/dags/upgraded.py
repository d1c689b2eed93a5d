"""A deferred task, and a task with a stored run, for each sample of release 0.1.0 beside this file; in paused DAGs."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

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


def tasks(*, deferrable: bool) -> None:
    """Make a task for each sample."""
    for path in sorted(Path(__file__).parent.glob("*-0.1.0.json")):
        case = json.loads(path.read_text())
        OPERATORS[case["system"]](
            task_id=case["case"],
            workflow=case["workflow"],
            query_parameters=case["parameters"],
            deferrable=deferrable,
            poll_interval=1,
            retries=2,
            retry_delay=timedelta(seconds=1),
            **{f"{case['system']}_conn_id": case["conn_id"]},
            **case["options"],
        )


with DAG("deferred_before", schedule=None, is_paused_upon_creation=True, max_active_tasks=4):
    tasks(deferrable=True)
with DAG("stored_before", schedule=None, is_paused_upon_creation=True, max_active_tasks=4):
    tasks(deferrable=False)

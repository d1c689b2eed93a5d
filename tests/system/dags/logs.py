"""One DAG that waits on a worker and one that waits in the triggerer, for a run that writes thousands of lines."""

from __future__ import annotations

import json
import os
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator

SLOW = "6e1f0004-8d2a-4b7c-b6f4-0d5eed000004"
STORIES = json.loads(os.environ.get("LOG_STORIES", "{}"))

for name, story in STORIES.items():
    with DAG(dag_id=name, schedule=None) as dag:
        InvisionRunDataFlowOperator(
            task_id="run",
            workflow=SLOW,
            workflow_api="flow",
            query_parameters={"seconds": story["seconds"]},
            deferrable=story["deferrable"],
            poll_interval=2,
            log_interval=story.get("interval", 2),
            retries=story.get("retries", 0),
            retry_delay=timedelta(seconds=1),
        )
    globals()[name] = dag

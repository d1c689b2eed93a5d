"""Puts the tasks of a mapped DAG into an Airflow's database as if workers had deferred them.

``python -m benchmarks.polling_seed RUNS_JSON`` runs in the environment of that Airflow (3.x). A thousand workers would
take a quarter of an hour on a small machine to defer a thousand tasks; what waits afterwards is the same. Where the
file says so, the tasks wait for a moment instead, with the trigger that Airflow's own sensors have.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DAG_ID, TASK_ID = "many", "wait"
DAG_FILE = """from airflow.sdk import DAG

from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator

with DAG("many", schedule=None, catchup=False):
    StevesieRunWorkflowOperator.partial(task_id="wait", workflow="-", deferrable=True).expand(
        query_parameters=[{{"number": number}} for number in range({count})]
    )
"""


def seed(
    runs: list[dict[str, Any]], poll_interval: float, until: float | None = None, endpoints: list[str] | None = None
) -> None:
    """Create a DAG run, and defer its tasks to triggers that wait for these runs, until a moment, or for endpoints."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger

    with create_session() as session:
        _dag_run(session)
        rows = session.scalars(select(TaskInstance).order_by(TaskInstance.map_index)).all()
        awaited: list[Any] = [*(endpoints or runs)]
        trigger: Any
        for task, run in zip(rows, awaited, strict=True):
            if isinstance(run, str):
                from airflow.providers.http.triggers.http import HttpSensorTrigger

                trigger = HttpSensorTrigger(endpoint=run, http_conn_id="peer", poke_interval=poll_interval)
            elif until:
                trigger = DateTimeTrigger(datetime.fromtimestamp(until, UTC))
            else:
                trigger = WorkflowRunTrigger(
                    run["system"], f"{run['system']}_default", run, poll_interval, run_log={"interval": 30.0}
                )
            row = Trigger(*trigger.serialize())
            session.add(row)
            session.flush()
            task.state, task.trigger_id, task.try_number = TaskInstanceState.DEFERRED, row.id, 1
            task.next_method, task.next_kwargs = "execute_complete", {}


def _dag_run(session: Any) -> None:
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    dag = SerializedDagModel.get_dag(DAG_ID, session=session)
    assert dag is not None
    dag.create_dagrun(
        run_id="many",
        run_after=datetime.now(UTC),
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    seed(given["runs"], given["poll_interval"], given["until"], given.get("endpoints"))

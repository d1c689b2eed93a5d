"""Puts into the database of an Airflow what release 0.1.0 left there: ``python upgrade_seed.py < samples.json``.

The samples are a JSON object, task by task. A task is deferred in the one DAG, and has failed once with its run stored
in the other.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState


def defer(session: Any, task: TaskInstance, sample: dict[str, Any]) -> None:
    """Let a trigger of the earlier release wait for the run of the task."""
    row = Trigger(*sample["trigger"])
    session.add(row)
    session.flush()
    task.state, task.trigger_id, task.try_number = TaskInstanceState.DEFERRED, row.id, 1
    task.next_method, task.next_kwargs = sample["next_method"], {}
    task.start_date = datetime.now(UTC)


def store(session: Any, task: TaskInstance, sample: dict[str, Any]) -> None:
    """Let the first try of the task have ended after it stored its run."""
    from airflow.models.dagrun import DagRun
    from airflow.models.task_state_store import TaskStateStoreModel

    run = session.query(DagRun).filter_by(dag_id=task.dag_id, run_id=task.run_id).one()
    kept = sample["task_state_store"]["run"]
    value = json.dumps(kept | {"max_tries": task.max_tries})
    where = {"dag_run_id": run.id, "dag_id": task.dag_id, "run_id": task.run_id, "task_id": task.task_id}
    session.add(TaskStateStoreModel(**where, map_index=-1, key="workflow_run", value=value))
    task.state, task.try_number = TaskInstanceState.UP_FOR_RETRY, 1
    task.start_date = task.end_date = datetime.now(UTC)


def main() -> None:
    """Seed every task instance of the two DAGs."""
    samples = json.load(sys.stdin)
    with create_session() as session:
        for dag_id, put in (("deferred_before", defer), ("stored_before", store)):
            for task in session.query(TaskInstance).filter_by(dag_id=dag_id):
                put(session, task, samples[task.task_id])


if __name__ == "__main__":
    main()

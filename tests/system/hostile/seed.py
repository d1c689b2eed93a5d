"""Puts triggers into an Airflow's database as if workers had deferred their tasks: ``python -m … TRIGGERS_JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger
from benchmarks.polling_seed import _dag_run
from tests.system.hostile.probes import LagProbe, TimedTrigger


def seed(given: dict[str, Any]) -> None:
    """Defer the tasks of the mapped DAG: neighbours, hostile runs, and the probe."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    options = {"events": given["events"]}
    triggers: list[Any] = [LagProbe(given["lags"])]
    for run in given["neighbours"]:
        made = TimedTrigger("stevesie", "stevesie_default", run, given["poll_interval"], options=options)
        triggers.append(made)
    triggers += [WorkflowRunTrigger(run["system"], run["conn_id"], run, 1.0) for run in given["hostile"]]
    with create_session() as session:
        _dag_run(session)
        rows = session.scalars(select(TaskInstance).order_by(TaskInstance.map_index)).all()
        for task, trigger in zip(rows, triggers, strict=True):
            row = Trigger(*trigger.serialize())
            session.add(row)
            session.flush()
            task.state, task.trigger_id, task.try_number = TaskInstanceState.DEFERRED, row.id, 1
            task.next_method, task.next_kwargs = "execute_complete", {}


if __name__ == "__main__":
    seed(json.loads(Path(sys.argv[1]).read_text()))

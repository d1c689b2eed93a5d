"""What Airflow knows around a task, asked in the way that each Airflow lets its tasks ask."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

log = logging.getLogger(__name__)


def runs_alone(ti: Any) -> bool:
    """True if no other DAG run of the task's DAG is running now; False also where that cannot be found out."""
    try:
        if hasattr(ti, "get_dr_count"):
            return bool(ti.get_dr_count(dag_id=ti.dag_id, states=["running"]) <= 1)
        from airflow import models

        # Airflow 2.11, whose tasks may read its database; type checkers see Airflow 3's models.
        running = cast("Any", models.DagRun).active_runs_of_dags([ti.dag_id], only_running=True)
        return bool(running.get(ti.dag_id, 0) <= 1)
    except Exception:  # not knowing is an answer
        log.debug("The running DAG runs of %s cannot be counted", ti.dag_id, exc_info=True)
        return False


def was_rescheduled(context: Mapping[str, Any]) -> bool:
    """True for a sensor that has looked before, in another process; False also where that cannot be found out."""
    if "task_reschedule_count" in context:
        return bool(context["task_reschedule_count"])
    try:
        # Airflow 2.11.
        from airflow.models.taskreschedule import TaskReschedule
        from airflow.utils.session import create_session

        with create_session() as session:
            return session.scalar(TaskReschedule.stmt_for_task_instance(context["ti"]).limit(1)) is not None
    except Exception:  # as above
        log.debug("It is not known whether the task was rescheduled", exc_info=True)
        return False

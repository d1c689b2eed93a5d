"""What Airflow 2.11's database tells a task; on Airflow 3 tasks ask otherwise, which the stories play."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from airflow_workflow_provider.operators.metadata import runs_alone, was_rescheduled
from scripts.airflow_home import AIRFLOW_3

ON_2 = pytest.mark.skipif(AIRFLOW_3, reason="asks the database of Airflow 2.11")


def in_the_database(make: Any) -> None:
    """Keep what ``make`` makes."""
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add_all(make())


def dag_runs(dag_id: str, *states: str) -> None:
    """Let Airflow have runs of a DAG."""
    from airflow import models

    Row = cast("Any", models.DagRun)  # noqa: N806  # a class
    begun = datetime.now(UTC)
    in_the_database(
        lambda: [
            Row(dag_id, f"r{n}", execution_date=begun + timedelta(seconds=n), run_type="manual", state=state)
            for n, state in enumerate(states)
        ]
    )


@ON_2
@pytest.mark.parametrize(
    ("states", "alone"),
    [(["running"], True), (["running", "success", "failed", "queued"], True), (["running", "running"], False)],
)
def test_the_other_runs_of_a_dag_are_counted(states, alone):
    dag_id = "counted_" + "_".join(states)
    dag_runs(dag_id, *states)
    assert runs_alone(SimpleNamespace(dag_id=dag_id)) is alone


@ON_2
def test_a_sensor_that_was_rescheduled_is_known():
    from airflow import models
    from airflow.models.taskreschedule import TaskReschedule
    from airflow.providers.common.compat.sdk import DAG
    from airflow.providers.standard.operators.empty import EmptyOperator

    dag_runs("rescheduled", "running")
    wait = EmptyOperator(task_id="wait", dag=DAG("rescheduled", schedule=None))
    ti = cast("Any", models.TaskInstance)(task=wait, run_id="r0")
    ti.try_number = 1
    in_the_database(lambda: [ti])
    asked = SimpleNamespace(dag_id="rescheduled", task_id="wait", run_id="r0", map_index=-1, try_number=1)
    assert not was_rescheduled({"ti": asked})
    now = datetime.now(UTC)
    in_the_database(
        lambda: [cast("Any", TaskReschedule)("wait", "rescheduled", "r0", 1, now, now, now + timedelta(seconds=1))]
    )
    assert was_rescheduled({"ti": asked})


def test_what_cannot_be_counted_is_not_alone():
    def unreachable(**_):
        raise RuntimeError("the API server restarts")

    assert not runs_alone(SimpleNamespace(dag_id="d", get_dr_count=unreachable))

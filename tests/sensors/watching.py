"""A sensor in each of its modes, played to its end."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from unittest.mock import patch

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from tests.operators.staging import Deferral, context_of

AIRFLOW_3 = version("apache-airflow") >= "3"
MODES = ("poke", "reschedule", "deferrable")


def watched(carto: Any, mode: str, *, context: Any = None, **arguments: Any) -> Any:
    """Run a sensor to its end: through the triggerer, or again and again as the scheduler would."""
    given = {"task_id": "wait", "poke_interval": 0.05, "timeout": 20, **arguments}
    given |= {"deferrable": True} if mode == "deferrable" else {"mode": mode}
    context = context or context_of()

    def make() -> CartoWorkflowRunSensor:
        return CartoWorkflowRunSensor(**given)

    if mode == "reschedule":
        return rescheduled(make, context)
    try:
        return make().execute(context)
    except TaskDeferred as signal:
        there = Deferral(make, context, signal)
        return there.resumed(there.event())


def rescheduled(make: Any, context: Any) -> Any:
    """A process for each look; Airflow remembers when the first one began."""
    first = context["ti"].rescheduled_at = datetime.now(UTC)
    count = 0
    while True:
        try:
            return process(make, context, first, count)
        except AirflowRescheduleException as again:
            count += 1
            time.sleep(max(0.0, (again.reschedule_date - datetime.now(UTC)).total_seconds()))


def process(make: Any, context: Any, first: datetime, count: int) -> Any:
    """One of these processes, after so many others."""
    # Airflow 2.11 reads it from its database, where only its scheduler writes it.
    remembered = nullcontext() if AIRFLOW_3 else patch("airflow.sensors.base._orig_start_date", lambda **_: first)
    with remembered:
        return make().execute({**context, "task_reschedule_count": count})

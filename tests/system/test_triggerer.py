"""A triggerer of a real Airflow outlives the deferred tasks of every system, on each supported version."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.airflow_home import AIRFLOW_VERSION

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not AIRFLOW_VERSION.startswith(("3.0.", "3.1.", "3.2.")),
        reason="on 2.11 and the newest Airflow the examples and the other stories run a triggerer",
    ),
]
DAG = Path(__file__).parent / "dags" / "one_of_each.py"


def test_a_deferred_run_of_each_system_succeeds_and_the_triggerer_lives(tmp_path, start_airflow, sandbox):
    """Secrets are masked, connections read and metrics reported in the loop that owns the triggerer's connection."""
    settings = {"triggerer": {"job_heartbeat_sec": "2"}}
    with start_airflow(tmp_path, DAG, connections=sandbox.connections(), settings=settings) as airflow:
        airflow.wait_until_ready("one_of_each", timeout=240)
        triggerer = airflow.processes["triggerer"]
        run_id = airflow.trigger("one_of_each")
        state = airflow.wait("one_of_each", run_id, timeout=240)
        tasks = airflow.tasks("one_of_each", run_id)
        assert state == "success", [
            (task.label, task.state, airflow.log("one_of_each", run_id, task)) for task in tasks
        ]
        assert all("waiting for it in the triggerer" in airflow.log("one_of_each", run_id, task) for task in tasks)
        assert triggerer.running()
        log = triggerer.tail(500)
        assert "out of order" not in log
        assert "Deadlock" not in log
        assert "Trigger runner process has died" not in log

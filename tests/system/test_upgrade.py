"""Runs that the code of an earlier version has started are taken up by today's code, in a real Airflow."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AirflowHome
from scripts.environment import ROOT
from scripts.processes import free_port, kill_all

pytestmark = [pytest.mark.system, pytest.mark.faults]
EARLIER = "74d3716"  # the version that the payloads in tests/golden/ are from
DAG = Path(__file__).parent / "dags" / "upgraded.py"
SETTINGS = {
    "scheduler": {
        "task_instance_heartbeat_timeout": "20",
        "task_instance_heartbeat_timeout_detection_interval": "3",
        "local_task_job_heartbeat_sec": "5",
        "scheduler_zombie_task_threshold": "20",
        "zombie_detection_interval": "3",
    },
    "triggerer": {"triggerer_health_check_threshold": "10", "job_heartbeat_sec": "2"},
}


@pytest.fixture
def earlier(tmp_path):
    """A folder with the code of the earlier version."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", EARLIER, "airflow_workflow_provider"]
    found = subprocess.run(command, capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"the history of this copy has no version {EARLIER}")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def home(folder, code, sandbox, port):
    """The same Airflow, with the code of one version."""
    variables = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in sandbox.connections().items()}
    variables["PYTHONPATH"] = os.pathsep.join([str(code), str(ROOT)])
    return AirflowHome(folder / "home", dags=folder / "dags", port=port, settings=SETTINGS, variables=variables)


def until(met, what, seconds=120):
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def test_a_deferred_and_a_stored_run_outlive_an_upgrade(tmp_path, earlier, sandbox):
    """The machine loses power, comes back with today's code, and both runs succeed; no second one is started."""
    (tmp_path / "dags").mkdir()
    shutil.copy(DAG, tmp_path / "dags")
    port = free_port()
    before = AirflowCluster(home(tmp_path, earlier, sandbox, port))
    with before:
        before.wait_until_ready("upgraded", timeout=240)
        run_id = before.trigger("upgraded")
        until(lambda: len(sandbox.runs("carto")) == len(sandbox.runs("stevesie")) == 1, "both runs")
        states = {"deferred": "deferred", "on_a_worker": "running"}
        until(lambda: {one.task_id: one.state for one in before.tasks("upgraded", run_id)} == states, "both tasks wait")
        time.sleep(5)  # the triggerer and the worker poll
        kill_all(list(before.processes.values()))
    with AirflowCluster(home(tmp_path, ROOT, sandbox, port)) as after:
        after.wait_until_ready("upgraded", timeout=240)
        state = after.wait("upgraded", run_id, timeout=240)
        logs = {one.task_id: after.log("upgraded", run_id, one) for one in after.tasks("upgraded", run_id)}
    assert state == "success", logs
    runs = [*sandbox.runs("carto"), *sandbox.runs("stevesie")]
    assert sorted(run["state"] for run in runs) == ["completed", "success"], (runs, logs)

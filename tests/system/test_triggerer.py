"""A triggerer of a real Airflow outlives deferred tasks and their ends, on each supported version.

`make test-matrix` plays this on every pair of an Airflow and a Python; `make test` has other stories.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.matrix]
DAG = Path(__file__).parent / "dags" / "one_of_each.py"
TASKS = 6  # of the second DAG


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, start_airflow, sandbox_server):
    """A real Airflow with the connections of the sandbox."""
    settings = {"triggerer": {"job_heartbeat_sec": "2"}}
    folder = tmp_path_factory.mktemp("triggerer")
    with start_airflow(folder, DAG, connections=sandbox_server.connections(), settings=settings) as running:
        running.wait_until_ready("one_of_each", "long", timeout=240)
        yield running


@pytest.fixture(autouse=True)
def triggerer_lives(airflow, sandbox):
    """Whatever a story does, the triggerer goes on."""
    yield
    time.sleep(3)  # it notices what was cancelled last
    triggerer = airflow.processes["triggerer"]
    assert triggerer.running()
    log = triggerer.tail(5000)
    for trouble in ("out of order", "Deadlock", "Trigger runner process has died", "never retrieved"):
        assert trouble not in log


def until(met, what, seconds=300):
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


def test_a_deferred_run_of_each_system_succeeds(airflow):
    """Secrets are masked, connections read and metrics reported in the loop that owns the triggerer's connection."""
    run_id = airflow.trigger("one_of_each")
    state = airflow.wait("one_of_each", run_id, timeout=240)
    tasks = airflow.tasks("one_of_each", run_id)
    assert state == "success", [(task.label, task.state, airflow.log("one_of_each", run_id, task)) for task in tasks]
    assert all("waiting for it in the triggerer" in airflow.log("one_of_each", run_id, task) for task in tasks)


def test_tasks_that_are_killed_while_deferred_cancel_their_runs(airflow, sandbox):
    """A person marks them as failed while their triggers poll; all at once, and the run of each is cancelled."""
    run_id = airflow.trigger("long")

    def polled():
        """Count the runs that were polled several times, which is more than a worker does before it defers."""
        polls = Counter(row["path"] for row in sandbox.requests("carto") if row["method"] == "GET")
        return sum(number > 4 for number in polls.values())

    until(lambda: all(task.state == "deferred" for task in airflow.tasks("long", run_id)), "six deferred tasks")
    until(lambda: polled() == TASKS, "polls of each run")
    for number in range(TASKS):
        airflow.mark("long", run_id, "run", "failed", number)
    states = {"cancelled": TASKS}
    until(lambda: Counter(run["state"] for run in sandbox.runs("carto")) == states, "six cancelled runs")

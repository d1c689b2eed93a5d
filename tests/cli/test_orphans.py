"""``orphans`` lists the runs that are going and that no task waits for."""

from __future__ import annotations

import os
import runpy
import threading
import time
from pathlib import Path

import pytest

from airflow_workflow_provider.cli import exit_codes
from airflow_workflow_provider.cli.orphans import awaited_ids
from airflow_workflow_provider.hooks.stevesie import StevesieHook
from tests.cli.calling import called

SLOW = "5e7e51e0-0001-4000-8000-000000000006"
DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator

with DAG("waits", schedule=None) as dag:
    StevesieRunWorkflowOperator(task_id="run", workflow="{workflow}", query_parameters={{"seconds": 5}})
"""


def ids(answer):
    return {run["run_id"] for run in answer.json}


def test_a_run_that_nobody_started_from_airflow_is_listed(sandbox):
    sandbox.settings("stevesie", running_seconds=30)
    run = StevesieHook().start_run(SLOW, {"seconds": 30})
    answer = called("orphans", "stevesie_default", "--workflow", SLOW, "-o", "json")
    assert (answer.code, ids(answer)) == (exit_codes.DONE, {run.run_id})
    assert "check a run before you cancel" in answer.stderr


def test_a_run_that_has_ended_is_not_listed(sandbox):
    sandbox.settings("stevesie", running_seconds=0.0)
    StevesieHook().start_run(SLOW, {"seconds": 0})
    time.sleep(0.1)
    answer = called("orphans", "stevesie_default", "-o", "json")
    assert (answer.code, answer.json, answer.stderr.strip()) == (exit_codes.DONE, [], "No run is active.")


def test_an_api_that_lists_no_runs_says_so(sandbox):
    answer = called("orphans", "carto_default")
    assert answer.code == exit_codes.WRONG


@pytest.mark.system
@pytest.mark.filterwarnings("ignore")
def test_a_run_that_a_task_waits_for_is_not_listed(sandbox):
    """The task is in Airflow's database, and so is its run."""
    sandbox.settings("stevesie", running_seconds=5)
    file = Path(os.environ["AIRFLOW_HOME"]) / "dags" / "waits.py"
    file.write_text(DAG_FILE.format(workflow=SLOW))
    dag = runpy.run_path(str(file))["dag"]
    seen, is_over = set(), threading.Event()

    def look():
        while not is_over.wait(0.2):  # a loaded machine may take minutes to begin the task
            seen.update(awaited_ids())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        dag.test()
    finally:
        is_over.set()
        thread.join()
        file.unlink()
    (run,) = sandbox.runs("stevesie")
    assert run["id"] in seen
    assert run["id"] not in awaited_ids()

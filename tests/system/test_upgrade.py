"""What release 0.1.0 left in the database of a real Airflow is taken up by this release; no run is started again.

The samples in ``tests/golden`` were made by the code of that release; only ids and addresses are those of this sandbox.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.systems import SYSTEMS
from scripts.versions import FEATURES

pytestmark = [pytest.mark.system, pytest.mark.matrix]
HERE = Path(__file__).parent
SAMPLES = sorted((HERE.parent / "golden").glob("*-0.1.0.json"))
# How the path of a start ends.
STARTS = {"executions", "job", "jobs", "run", "start", "submit"}
DEFERRED, STORED = "deferred_before", "stored_before"
STORES_RUNS = next(feature for feature in FEATURES if feature.name == "TaskStateStoreAccessor").is_there()
DAGS = (DEFERRED, STORED) if STORES_RUNS else (DEFERRED,)


def started(sandbox, text):
    """Start the run of a sample; gives the sample as if it had been made for this run."""
    case = json.loads(text)
    hook = WorkflowHook.for_system(case["system"], case["conn_id"])
    run = hook.start_run(case["workflow"], case["parameters"], **case["options"]).to_json()
    before = case["trigger"][1]["run"]
    address = urlsplit(before["url"])
    text = text.replace(f"{address.scheme}://{address.netloc}", sandbox.url)
    return json.loads(text.replace(before["run_id"], run["run_id"]))


def starts(sandbox):
    """The calls that started a run."""
    calls = [(row["method"], row["path"].rstrip("/")) for system in SYSTEMS for row in sandbox.requests(system)]
    return Counter(path for method, path in calls if method == "POST" and path.rpartition("/")[2] in STARTS)


def test_what_waits_since_an_earlier_release_is_taken_up(tmp_path, start_airflow, sandbox):
    """Deferred tasks go on to their end; the second try of a task takes over the run that its first try stored."""
    for system in ("carto", "alteryx"):
        sandbox.settings(system, running_seconds=15.0)
    files = [HERE / "dags" / "upgraded.py", *SAMPLES]
    with start_airflow(tmp_path / "airflow", *files, connections=sandbox.connections()) as airflow:
        airflow.wait_until_ready(*DAGS, timeout=240)
        runs = {dag_id: airflow.trigger(dag_id) for dag_id in DAGS}
        cases = [started(sandbox, path.read_text()) for path in SAMPLES]
        before = starts(sandbox)
        assert before.total() == len(SAMPLES)
        samples = json.dumps({case["case"]: case for case in cases})
        command = [sys.executable, str(HERE / "upgrade_seed.py")]
        subprocess.run(command, env=airflow.home.environment(), input=samples, text=True, check=True)
        for dag_id, run_id in runs.items():
            airflow.api("PATCH", f"dags/{dag_id}", {"is_paused": False})
            state = airflow.wait(dag_id, run_id, timeout=300)
            tasks = airflow.tasks(dag_id, run_id)
            logs = [airflow.log(dag_id, run_id, task) for task in tasks if task.state != "success"]
            assert (state, len(tasks)) == ("success", len(SAMPLES)), (tasks, logs)
            for case in cases:
                returned = airflow.xcom(dag_id, run_id, case["case"])
                assert returned["run_id"] == case["trigger"][1]["run"]["run_id"]
        assert starts(sandbox) == before

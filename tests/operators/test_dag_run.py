"""Whole DAG runs in this process, on the Airflow that is installed: templates, XComs, deferral, mapping."""

from __future__ import annotations

import json
import os
import runpy
import shutil
from pathlib import Path

import pytest

from tests.operators.staging import MODES

pytestmark = [
    pytest.mark.system,
    # dag.test() runs much of Airflow, which warns about itself.
    pytest.mark.filterwarnings("ignore"),
]
STORIES = Path(__file__).parent / "dags" / "carto_stories.py"


@pytest.fixture
def play(carto, tmp_path, monkeypatch):
    """Run one of the DAGs; Airflow 3 wants to find it in the folder of its DAG files."""
    # Airflow 2.11 loads its executor to see whether it may reschedule a sensor, and dislikes it on SQLite.
    monkeypatch.setenv("_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK", "1")
    folder = Path(os.environ["AIRFLOW_HOME"]) / "dags"
    shutil.copy(STORIES, folder)
    dags = runpy.run_path(str(folder / STORIES.name))

    def played(dag_id):
        report = tmp_path / "report.json"
        run = dags[dag_id].test(run_conf={"report": str(report)})
        return str(run.state), json.loads(report.read_text()) if report.exists() else None

    yield played
    (folder / STORIES.name).unlink()


@pytest.mark.parametrize("mode", MODES)
def test_a_dag_starts_a_run_with_templated_parameters_and_another_task_uses_its_output(carto, play, mode):
    """Rendered text gets its type, the run object travels by XCom, a sensor takes it up."""
    state, report = play(f"carto_{mode}")
    (served,) = carto.runs()
    assert (state, served["state"], served["parameters"]) == ("success", "success", {"min_airports": 100})
    assert (report["ended"]["state"], report["ended"]["run_id"]) == ("succeeded", served["id"])
    assert (report["run_id"], report["table"]) == (served["id"], served["details"]["output_table"])


def test_a_mapped_task_runs_once_for_each_value(carto, play):
    assert play("carto_mapped")[0] == "success"
    assert carto.states() == ["success"] * 3
    assert sorted(run["parameters"]["state"] for run in carto.runs()) == ["CA", "TX", "WA"]


def test_a_callable_makes_the_parameters_from_the_context(carto, play):
    """On every Airflow: the newer ones call it while they render, 2.11 does not."""
    assert play("carto_callable")[0] == "success"
    assert carto.runs()[0]["parameters"] == {"label": "run"}


def test_a_failed_run_fails_its_task(carto, play):
    assert play("carto_failing")[0] == "failed"
    assert carto.states() == ["failure"]

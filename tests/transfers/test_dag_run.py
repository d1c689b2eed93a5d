"""A whole DAG run in this process, on the Airflow that is installed: mapped runs, templates, XComs."""

from __future__ import annotations

import json
import os
import runpy
import shutil
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.system,
    # dag.test() runs much of Airflow, which warns about itself.
    pytest.mark.filterwarnings("ignore"),
]
STORY = Path(__file__).parent / "dags" / "landing_stories.py"


@pytest.fixture
def played(sandbox, sqlite, tmp_path, monkeypatch):
    """Run the DAG; Airflow 3 wants to find it in the folder of its DAG files."""
    monkeypatch.setenv("_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK", "1")
    place = Path(os.environ["AIRFLOW_HOME"]) / "dags" / STORY.name
    shutil.copy(STORY, place)
    run = runpy.run_path(str(place))["landing"].test(run_conf={"folder": str(tmp_path)})
    place.unlink()
    assert str(run.state) == "success"
    return json.loads((tmp_path / "report.json").read_text())


def test_mapped_runs_land_in_one_table_and_in_a_file_each(played, sqlite):
    """The XComs of the mapped task go unexpanded into one load; each key of a result is an XCom of its own."""
    counted = dict(sqlite.rows("SELECT state, COUNT(*) FROM airports GROUP BY state"))
    assert set(counted) == {"TX", "CA"}
    assert sum(counted.values()) == played["rows"] == played["whole"]["rows"]
    lengths = sorted(len(Path(path).read_text().splitlines()) - 1 for path in played["paths"])
    assert lengths == sorted(counted.values())

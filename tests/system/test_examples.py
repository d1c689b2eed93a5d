"""Every example DAG as a user runs it: started with parameters, deferred, and what it lands compared to the data."""

from __future__ import annotations

import contextlib
import csv
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from airflow_workflow_provider.sandbox.server import RunningSandbox
from tests.stories.facts import Row, plain
from tests.system.examples import CASES, ELSEWHERE, RUN_ID, Example

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"
pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Landed:
    """What a run of a DAG has left."""

    states: dict[str, str | None]
    log: str
    runs: dict[str, str]
    returned: dict[str, Any]
    remote: list[dict[str, Any]]
    database: Path
    zone: Path


@pytest.fixture(scope="module")
def all_landed(tmp_path_factory, start_airflow, sandbox_server: RunningSandbox) -> dict[str, Landed]:
    """Run all example DAGs side by side in one Airflow."""
    folder = tmp_path_factory.mktemp("examples")
    warehouse = folder / "warehouse.db"
    sandbox_server.reset()
    connections = {**sandbox_server.connections(), "warehouse": {"conn_type": "sqlite", "host": str(warehouse)}}
    files = [EXAMPLES / f"{dag_id}.py" for dag_id in CASES]
    with start_airflow(folder / "airflow", *files, connections=connections) as airflow:
        airflow.wait_until_ready(*CASES)
        for dag_id, example in CASES.items():
            zone = {"landing_zone": (folder / dag_id).as_uri()} if example.system != "invision" else {}
            airflow.trigger(dag_id, conf={**example.conf, **zone}, run_id=RUN_ID)
        return {
            dag_id: landed(airflow, dag_id, example, sandbox_server, warehouse, folder / dag_id)
            for dag_id, example in CASES.items()
        }


def landed(airflow: Any, dag_id: str, example: Example, sandbox: RunningSandbox, database: Path, zone: Path) -> Landed:
    """Wait for one DAG run, and take down what it has left."""
    airflow.wait(dag_id, RUN_ID, timeout=240)
    tasks = airflow.tasks(dag_id, RUN_ID)
    for task in tasks:
        if task.state != "success":
            print(f"--- {dag_id}, {task.label}: {task.state} ---\n{airflow.log(dag_id, RUN_ID, task)}")
    done = {task.task_id for task in tasks if task.state == "success"}
    returned = {name: airflow.xcom(dag_id, RUN_ID, name) for name in {*example.starts, *CARTOS} & done}
    return Landed(
        states={task.task_id: task.state for task in tasks},
        log=airflow.log(dag_id, RUN_ID, example.deferred),
        runs={name: returned[name]["run_id"] for name in example.starts if name in done},
        returned=returned,
        remote=sandbox.runs(example.system),
        database=database,
        zone=zone,
    )


# The tasks of the CARTO example that hand a value to others.
CARTOS = ("load_table", "read_landed", "write_file")


@pytest.fixture(params=CASES)
def dag_id(request) -> str:
    """One of the example DAGs."""
    return request.param


@pytest.fixture
def done(dag_id, all_landed) -> Landed:
    """What it has left."""
    return all_landed[dag_id]


def test_there_is_an_example_of_each_system(dag_id):
    """And none that these tests do not know."""
    assert sorted([*CASES, *ELSEWHERE]) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


def test_every_task_succeeds(done):
    assert set(done.states.values()) == {"success"}


def test_a_run_is_awaited_in_the_triggerer(done):
    assert "DEFERRED" in done.log
    assert "waiting for it in the triggerer" in done.log


def test_each_workflow_was_started_once(dag_id, done):
    assert len(done.remote) == CASES[dag_id].remote_runs
    assert len(done.runs) == 2


def test_the_tables_hold_what_the_data_says(dag_id, done):
    for name, rows in CASES[dag_id].tables(done.runs).items():
        found = plain(table(done.database, name))
        wanted = plain(rows)
        assert len(found) == len(wanted)
        for got, expected in zip(found, wanted, strict=True):
            assert got == pytest.approx(expected)


def test_the_files_hold_what_the_data_says(dag_id, done):
    """And there are no others."""
    expected = CASES[dag_id].files(done.runs)
    files = sorted(done.zone.glob("*")) if expected else []
    assert len(files) == len(expected)
    for pattern, rows in expected.items():
        (path,) = [file for file in files if file.match(pattern) and not file.match(f"*.days{pattern[1:]}")]
        assert plain(content(path, rows)) == plain(rows)


def test_the_transfers_return_what_they_did(all_landed):
    """Rows and paths, as the operators' documentation says."""
    done = all_landed["example_carto"]
    rows = len(table(done.database, "airports_by_state"))
    assert done.returned["load_table"]["rows"] == rows == done.returned["read_landed"]
    (path,) = done.zone.glob("*.parquet")
    assert done.returned["write_file"]["path"].endswith(path.name)


def test_a_run_operator_returns_the_run_object(dag_id, done):
    """Every operator of every system returns the same object."""
    run = done.returned[CASES[dag_id].starts[0]]
    assert (run["system"], run["state"]) == (CASES[dag_id].system, "succeeded")
    outputs = [output["location"] for output in run["outputs"]]
    assert run["output_location"] == (outputs[0] if len(outputs) == 1 else None)


def table(database: Path, name: str) -> list[Row]:
    """The rows of a table."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        opened.row_factory = sqlite3.Row
        return [dict(row) for row in opened.execute(f'SELECT * FROM "{name}"')]


def content(path: Path, like: list[Row]) -> list[Row]:
    """The rows of a file; the cells of a CSV are read as what the row beside them holds."""
    if path.suffix == ".parquet":
        found: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
        return found
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return [{name: type(like[0][name])(text) for name, text in row.items()} for row in csv.DictReader(file)]

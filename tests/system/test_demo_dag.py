"""The main job, as a user runs it: a DAG starts CARTO workflows, defers, and lands their results."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import vega_datasets

from airflow_workflow_provider.sandbox.server import RunningSandbox

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"
pytestmark = pytest.mark.system

DAG_ID = "example_carto"
MIN_AIRPORTS, STATE = 60, "CA"


@dataclass(frozen=True)
class Landed:
    """What one run of the DAG has left."""

    states: dict[str, str | None]
    log: str
    runs: list[dict[str, Any]]
    table: list[dict[str, Any]]
    files: list[Path]
    returned: dict[str, Any]


@pytest.fixture(scope="module")
def landed(tmp_path_factory, start_airflow, sandbox_server: RunningSandbox) -> Landed:
    """Run the DAG once, with parameters that are not its defaults."""
    folder = tmp_path_factory.mktemp("demo")
    warehouse, zone = folder / "warehouse.db", folder / "zone"
    sandbox_server.reset()
    connections = {**sandbox_server.connections(), "warehouse": {"conn_type": "sqlite", "host": str(warehouse)}}
    conf = {"min_airports": MIN_AIRPORTS, "state": STATE, "landing_zone": zone.as_uri()}
    with start_airflow(folder / "airflow", EXAMPLES / f"{DAG_ID}.py", connections=connections) as airflow:
        airflow.wait_until_ready(DAG_ID)
        run_id = airflow.trigger(DAG_ID, conf=conf)
        airflow.wait(DAG_ID, run_id, timeout=180)
        tasks = airflow.tasks(DAG_ID, run_id)
        for task in tasks:
            if task.state != "success":
                print(f"--- {task.label}: {task.state} ---\n{airflow.log(DAG_ID, run_id, task)}")
        return Landed(
            states={task.task_id: task.state for task in tasks},
            log=airflow.log(DAG_ID, run_id, "run_workflow"),
            runs=sandbox_server.runs("carto"),
            table=rows_of(warehouse, "airports_by_state"),
            files=sorted(zone.glob("*.parquet")),
            returned={
                task.task_id: airflow.xcom(DAG_ID, run_id, task.task_id) for task in tasks if task.state == "success"
            },
        )


def rows_of(database: Path, table: str) -> list[dict[str, Any]]:
    """A SQLite table's rows."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        opened.row_factory = sqlite3.Row
        return [dict(row) for row in opened.execute(f"SELECT * FROM {table} ORDER BY airports DESC, state")]


def test_every_task_succeeds(landed):
    assert landed.states == dict.fromkeys(
        ["run_workflow", "load_table", "start_workflow", "wait_for_workflow", "write_file", "read_landed"], "success"
    )


def test_the_run_is_awaited_in_the_triggerer(landed):
    assert "DEFERRED" in landed.log


def test_each_workflow_was_started_once(landed):
    assert len(landed.runs) == 2


def test_the_table_holds_what_the_data_says(landed):
    airports = vega_datasets.data.airports()
    grouped = airports.groupby("state").agg(
        airports=("iata", "size"), mean_latitude=("latitude", "mean"), mean_longitude=("longitude", "mean")
    )
    grouped = grouped[grouped.airports >= MIN_AIRPORTS].reset_index()
    expected = grouped.sort_values(["airports", "state"], ascending=[False, True]).to_dict("records")
    assert [row["state"] for row in landed.table] == [row["state"] for row in expected]
    for got, wanted in zip(landed.table, expected, strict=True):
        assert got == pytest.approx(wanted)


def test_the_file_holds_what_the_data_says(landed):
    (path,) = landed.files
    airports = vega_datasets.data.airports()
    columns = ["iata", "name", "city", "state", "latitude", "longitude"]
    expected = airports[airports.state == STATE].sort_values("iata")[columns].to_dict("records")
    assert pyarrow.parquet.read_table(path).to_pylist() == expected


def test_the_transfers_tell_what_they_did(landed):
    assert landed.returned["load_table"]["rows"] == len(landed.table) == landed.returned["read_landed"]
    assert landed.returned["write_file"]["path"].endswith(landed.files[0].name)


def test_what_a_run_operator_returns_is_the_run_object(landed):
    run = landed.returned["run_workflow"]
    assert (run["system"], run["conn_id"], run["state"]) == ("carto", "carto_default", "succeeded")
    assert run["output_location"] == run["outputs"][0]["location"]

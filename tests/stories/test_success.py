"""A run that goes well: the run object is complete, and its rows are the same whichever way they are read."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from tests.operators.staging import TaskInstance, context_of
from tests.stories.facts import plain

TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}
A_SECOND = timedelta(seconds=1)  # some servers give whole seconds only


def expected(story, run):
    """The rows that the data says, with the run's id where the system writes it into each."""
    result = story.case.result
    own = {result.run_id: run["run_id"]} if result.run_id else {}
    return plain([{**own, **row} for row in result.rows()])


def spelled(case):
    """The parameters as the system's server keeps them."""
    given = case.good.parameters or {}
    if case.system == "alteryx":
        return [{"name": name, "value": value} for name, value in given.items()]
    return {f"@{name}": str(value) for name, value in given.items()} if case.system == "chorus" else given


def parsed(body, spelled, rows):
    """Rows from the bytes of an output."""
    if spelled == "csv":
        types = {name: TYPES[type(value)] for name, value in rows[0].items()}
        options = pyarrow.csv.ConvertOptions(column_types=types)
        return pyarrow.csv.read_csv(io.BytesIO(body), convert_options=options).to_pylist()
    return json.loads(body) if spelled == "json" else [json.loads(line) for line in body.splitlines()]


def test_the_run_object_is_complete(story):
    """State, times, address and outputs; it survives JSON, and is what XComs tell from the start on.

    The server has this one run, with the parameters that it was given.
    """
    begun = datetime.now(UTC)
    found = story.told()
    (served,) = story.runs()
    run, case = Run.from_json(found), story.case
    assert run.to_json() == json.loads(json.dumps(found)) == found
    assert (run.system, run.conn_id, run.workflow) == (case.system, case.conn_id, case.good.workflow)
    assert (run.state, run.message) == ("succeeded", "")
    assert begun - A_SECOND <= run.started_at <= run.ended_at + A_SECOND <= datetime.now(UTC) + 2 * A_SECOND
    assert run.url.startswith(story.sandbox.url)
    assert served["state"] in ("success", "succeeded", "completed")
    keys = [key for key, _ in story.ti.pushed if not key.startswith("_link_")]
    assert keys == ["run_id", "run_url", "run", "run"]
    assert story.ti.xcoms["run"] == found
    assert story.ti.pushed[2][1]["state"] in ("queued", "running")
    names = tuple(output.name for output in run.outputs)
    assert names == case.result.names or (case.name == "carto" and len(names) == 1)
    assert run.output_location == (run.outputs[0].location if len(names) == 1 else None)
    known = served["id"] if case.name not in ("chorus-job", "chorus-workfile") else served["workflow"]
    assert known in (run.run_id, run.workflow)
    assert served["parameters"] == spelled(case) or not case.good.parameters


def test_the_rows_are_the_same_by_every_way(story, tmp_path, monkeypatch):
    """Through the hook as rows and as bytes, in a table of SQLite, in a Parquet and in a CSV file."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "w.db")}))
    run = story.told()
    rows, output = expected(story, run), story.case.result.output
    assert plain(story.hook.read_output(run, output).read_all().to_pylist()) == rows
    with story.hook.open_output(run, output) as file:
        assert plain(parsed(file.read(), story.case.result.spelled, rows)) == rows
    given = {"run": run, "output_name": output}
    loaded = moved(WorkflowOutputToSqlOperator, **given, sql_conn_id="warehouse", table="landed")
    assert plain(table(tmp_path / "w.db")) == rows
    parquet = moved(WorkflowOutputToObjectStorageOperator, **given, path=(tmp_path / "rows.parquet").as_uri())
    assert plain(pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist()) == rows
    path = tmp_path / "rows.csv"
    written = moved(WorkflowOutputToObjectStorageOperator, **given, path=path.as_uri(), format="csv")
    with path.open(newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == len(rows)
    assert plain(parsed(path.read_bytes(), "csv", rows)) == rows
    assert [one["rows"] for one in (loaded, parquet, written)] == [len(rows)] * 3


def test_a_sensor_waits_for_a_run_that_somebody_else_started(story):
    """It returns the same run object in both modes, and does not start anything."""
    started = story.told(wait_for_completion=False)
    given = {"task_id": "wait", "run": started, "poke_interval": 0.03, "timeout": 30}
    given |= {"deferrable": story.mode == "deferrable", f"{story.case.system}_conn_id": story.case.conn_id}
    found = story.played(lambda: story.case.sensor(**given))
    assert (found["run_id"], found["state"]) == (started["run_id"], "succeeded")
    assert len(story.runs()) == 1


@pytest.mark.parametrize("mode", ["sync"])
def test_the_connection_test_says_that_it_works(story):
    """The button of the connection form; it starts nothing."""
    works, said = story.hook.test_connection()
    assert works, said
    assert story.runs() == []


def moved(transfer, **arguments):
    """Run a transfer."""
    return transfer(task_id="land", **arguments).execute(context_of(TaskInstance(task_id="land")))


def table(database):
    """The rows of the table that was landed."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        opened.row_factory = sqlite3.Row
        return [dict(row) for row in opened.execute("SELECT * FROM landed")]

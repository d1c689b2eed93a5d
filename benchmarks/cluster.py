"""Thousands of deferred runs over two triggerers: what they cost, and when one is killed.

``make bench-cluster`` prints the figures of ``docs/scaling.md``. PostgreSQL, Redis, Celery, two schedulers, triggerers
and workers run on this machine (`scripts.cluster`), so its size limits what is measured: the workers of a small machine
resume about one task a second. So the tasks are put into the database as if workers had deferred them, all runs wait,
and the runs whose end is measured end one after the other.
"""

# ruff: noqa: S603, T201 (starts programs of this project, and prints)
from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from airflow_workflow_provider.sandbox.server import RunningSandbox, run_sandbox
from benchmarks.polling_measure import share
from benchmarks.polling_verdict import Verdict
from scripts.cluster import CeleryCluster, running

WORKFLOW = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_307b59a91fd55ef6"
DAG_FILE = """from airflow.sdk import DAG

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator

with DAG("many", schedule=None, catchup=False, max_active_tasks=64):
    CartoRunWorkflowOperator.partial(task_id="wait", workflow="-", deferrable=True, retries=2).expand(
        query_parameters=[{{"number": number}} for number in range({count})]
    )
"""
# What Airflow's own HTTP provider does: it waits until an address answers with something else than 404.
PEER_FILE = """from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG

with DAG("many", schedule=None, catchup=False, max_active_tasks=64):
    HttpSensor.partial(task_id="wait", http_conn_id="peer", deferrable=True, retries=2).expand(
        endpoint=["-"] * {count}
    )
"""
JOBS = "v3/sql/carto_dw/job/"
TRIGGERERS = ("triggerer-1", "triggerer-2")
BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")
LIMIT = 300.0  # seconds that a step may take
STEADY = 60.0  # seconds in which the figures of the waiting are taken
OURS = 2.0  # seconds that Airflow may take from a trigger's event to a task's success, beyond the interval (budget)


class Scene:
    """The cluster, the server, and what has been seen of both."""

    def __init__(self, cluster: CeleryCluster, sandbox: RunningSandbox, interval: float, *, peer: bool = False) -> None:
        self.cluster, self.sandbox, self.interval, self.peer = cluster, sandbox, interval, peer
        self.engine = create_engine(cluster.postgres.url)
        self.polls: dict[str, list[float]] = {}
        self.runs: list[str] = []

    def query(self, statement: str) -> list[Any]:
        """Ask the metadata database."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement)))

    def transactions(self) -> int:
        """The transactions of the metadata database so far, and the calls that they made."""
        rows = self.query("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
        return int(rows[0][0])

    def look(self) -> int:
        """Take down the polls since the last look; gives their number."""
        asked = self.sandbox.requests("carto")
        self.sandbox.clear_requests("carto")
        for row in asked:
            moment = datetime.fromisoformat(row["at"]).timestamp()
            self.polls.setdefault(row["path"].rpartition("/")[2], []).append(moment)
        return len(asked)

    def until(self, met: Callable[[], bool], seconds: float = LIMIT) -> None:
        """Wait for something, and take down the polls meanwhile."""
        deadline = time.time() + seconds
        while not met():
            if time.time() > deadline:
                raise TimeoutError(f"not within {seconds:.0f} s")
            time.sleep(1.0)
            self.look()

    def polled_since(self, moment: float, runs: Iterable[str]) -> bool:
        """Tell whether each of these runs was polled after a moment."""
        return all(self.polls.get(run, [0.0])[-1] > moment for run in runs)

    def blocks(self) -> list[float]:
        """Give for how many seconds each triggerer said that its loop was blocked."""
        logs = [self.cluster.processes[name].log.read_text(errors="replace") for name in TRIGGERERS]
        return [float(seconds) for log in logs for seconds in BLOCKED.findall(log)]

    def memory(self, name: str) -> float:
        """The memory of a triggerer and its children in MB, what they share counted once."""
        return sum(process.memory_full_info().pss for process in self.cluster.family(name)) / 1e6

    def cpu(self, name: str) -> float:
        """The seconds of CPU of a triggerer and its children."""
        return sum(sum(process.cpu_times()[:2]) for process in self.cluster.family(name))

    def end(self, run: str) -> float:
        """Let a run succeed; gives the moment."""
        jobs = self.sandbox.app.systems["carto"].api.jobs  # type: ignore[attr-defined]  # the sandbox of this process
        if self.peer:  # the address answers from now on
            self.sandbox.call(lambda: jobs.known.update({run: next(iter(jobs.known.values()))}))
        else:
            self.sandbox.call(lambda: jobs.known[run].end("success"))
        return time.time()


def start_runs(sandbox: RunningSandbox, count: int) -> list[dict[str, Any]]:
    """Start runs that do not end by themselves."""
    import os

    from airflow_workflow_provider.hooks.carto import CartoHook

    os.environ["AIRFLOW_CONN_CARTO_DEFAULT"] = json.dumps(sandbox.connections()["carto_default"])
    sandbox.settings("carto", running_seconds=86_400.0)
    hook = CartoHook()
    return [hook.start_run(WORKFLOW, {"state": "VT"}).to_json() for _ in range(count)]


def defer(scene: Scene, folder: Path, runs: list[dict[str, Any]]) -> None:
    """Put tasks that wait for the runs into the database."""
    given = folder / "runs.json"
    asked: dict[str, Any] = {"runs": runs, "poll_interval": scene.interval, "until": None}
    if scene.peer:
        asked["endpoints"] = [f"{JOBS}{run}" for run in scene.runs]
    given.write_text(json.dumps(asked))
    command = [sys.executable, "-m", "benchmarks.polling_seed", str(given)]
    subprocess.run(command, env=scene.cluster.home.environment(), check=True)


def measure(scene: Scene, folder: Path, count: int, ends: int) -> Verdict:
    """Play it all, and judge."""
    verdict = Verdict()
    idle_memory = [scene.memory(name) for name in TRIGGERERS]
    before, began = scene.transactions(), time.time()
    time.sleep(20)
    idle = (scene.transactions() - before) / (time.time() - began)
    print(
        f"idle: {idle:.1f} transactions/s, triggerers {' and '.join(f'{mb:.0f}' for mb in idle_memory)} MB", flush=True
    )

    runs = start_runs(scene.sandbox, 1 if scene.peer else count)
    scene.runs = [f"job_peer_{number}" for number in range(count)] if scene.peer else [run["run_id"] for run in runs]
    scene.sandbox.clear_requests("carto")
    defer(scene, folder, runs)
    began = scene.query("SELECT max(created_date) FROM trigger")[0][0].timestamp()
    scene.until(lambda: scene.polled_since(0.0, scene.runs))
    last = max(scene.polls[run][0] for run in scene.runs)
    print(f"load: every run was polled {last - began:.1f} s after the tasks were deferred", flush=True)
    loading = scene.blocks()
    print(f"load: {len(loading)} times blocked, {sum(loading):.1f} s in all, {max(loading, default=0):.2f} s at most")

    time.sleep(scene.interval)
    scene.look()
    before, began, cpu = scene.transactions(), time.time(), [scene.cpu(name) for name in TRIGGERERS]
    polls = 0
    while time.time() < began + STEADY:
        time.sleep(5)
        polls += scene.look()
    seconds = time.time() - began
    used = [(scene.cpu(name) - one) / seconds for name, one in zip(TRIGGERERS, cpu, strict=True)]
    rate = (scene.transactions() - before) / seconds
    memory = [scene.memory(name) for name in TRIGGERERS]
    print(f"steady: {polls / seconds:.0f} requests/s, {rate:.1f} transactions/s, {max(used):.0%} of a core at most")
    print(f"steady: triggerers {' and '.join(f'{mb:.0f}' for mb in memory)} MB", flush=True)
    more = sum(memory) - sum(idle_memory)
    print(
        f"steady: {more:.0f} MB more than idle, {1000 * more / count:.0f} KB for each run, modules included", flush=True
    )
    verdict.judge("times blocked while they wait", len(scene.blocks()) - len(loading), 0)

    moved = killed(scene)
    verdict.judge("runs lost after the kill", moved, 0)
    late = ended(scene, ends)
    verdict.judge("end to success p50", share(late, 0.5), scene.interval + OURS, "s")
    verdict.judge("end to success p99", share(late, 0.99), scene.interval + OURS, "s")
    rows = dict(scene.query("SELECT state, count(*) FROM task_instance WHERE task_id = 'wait' GROUP BY state"))
    print(f"tasks: {rows}", flush=True)
    verdict.judge("tasks that are neither waiting nor succeeded", count - rows.get("deferred", 0) - ends, 0)
    return verdict


def killed(scene: Scene) -> int:
    """Kill one triggerer; gives the number of its runs that are not watched again."""
    statement = "SELECT hostname, count(*) FROM trigger JOIN job ON job.id = triggerer_id GROUP BY hostname"
    owners: dict[str, int] = dict(scene.query(statement))
    print(f"kill: the triggerers have {owners} triggers; the one with the most is killed", flush=True)
    moment = time.time()
    scene.cluster.kill(max(owners, key=lambda name: owners[name]))
    # A poll that was under way may still arrive; what comes a second later is the other triggerer's.
    try:
        scene.until(lambda: scene.polled_since(moment + 1.0, scene.runs))
    except TimeoutError:
        return sum(scene.polls[run][-1] <= moment + 1.0 for run in scene.runs)
    gaps = [min(at for at in scene.polls[run] if at > moment + 1.0) - moment for run in scene.runs]
    print(f"kill: all are watched again after {max(gaps):.1f} s", flush=True)
    return 0


def ended(scene: Scene, ends: int) -> list[float]:
    """Let some runs end, one every two seconds; gives the seconds from each end to the success of its task."""
    moments = {}
    for number in range(ends):
        moments[number] = scene.end(scene.runs[number])
        time.sleep(2.0)
        scene.look()
    statement = "SELECT map_index, end_date FROM task_instance WHERE task_id = 'wait' AND state = 'success'"
    scene.until(lambda: len(scene.query(statement)) >= ends)
    found = {index: moment.astimezone(UTC).timestamp() for index, moment in scene.query(statement)}
    return [found[number] - moment for number, moment in moments.items()]


def main() -> int:
    """Measure so many runs as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster")
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--interval", type=float, default=30.0, help="seconds between two polls of a run")
    parser.add_argument("--ends", type=int, default=60, help="runs whose end is measured")
    parser.add_argument(
        "--peer",
        action="store_true",
        help="the deferrable HttpSensor instead, for comparison; needs apache-airflow-providers-http",
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-cluster-") as name, run_sandbox() as sandbox:
        folder = Path(name)
        dags = folder / "dags"
        dags.mkdir()
        (dags / "many.py").write_text((PEER_FILE if asked.peer else DAG_FILE).format(count=asked.runs))
        settings = {
            "core": {"max_map_length": str(asked.runs)},
            "triggerer": {"capacity": str(asked.runs), "triggerer_health_check_threshold": "30"},
        }
        variables = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in sandbox.connections().items()}
        carto = sandbox.connections()["carto_default"]
        headers = {"Authorization": f"Bearer {carto['password']}"}
        peer = {"conn_type": "http", "host": f"{carto['host']}/", "extra": headers}
        variables["AIRFLOW_CONN_PEER"] = json.dumps(peer)
        options: dict[str, Any] = {"variables": variables, "settings": settings, "concurrency": 2}
        with running(folder / "cluster", dags, **options) as cluster:
            cluster.wait_until_ready("many", timeout=LIMIT)
            who = "HttpSensor" if asked.peer else "these triggers"
            print(f"{asked.runs} runs, an interval of {asked.interval:.0f} s, {who}", flush=True)
            scene = Scene(cluster, sandbox, asked.interval, peer=asked.peer)
            verdict = measure(scene, folder, asked.runs, asked.ends)
    return int(verdict.missed > 0)


if __name__ == "__main__":
    sys.exit(main())

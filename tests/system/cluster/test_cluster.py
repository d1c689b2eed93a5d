"""What dying parts of a cluster do to runs, counted at the server: none doubled, none orphaned, no result lost.

PostgreSQL, Redis, Celery, two schedulers, two triggerers and two workers, each a process that a story can end.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from airflow_workflow_provider.sandbox.server import RunningSandbox, run_sandbox
from scripts.cluster import CeleryCluster, running
from scripts.namespace import missing
from tests.system.cluster.conftest import FIGURES

pytestmark = [pytest.mark.system, pytest.mark.cluster]
LIMIT = 480.0  # seconds that a step of a story may take, also on a machine that has other work
CANCELLED = "cancelled"
ON_WORKERS = 8  # as many as one worker can take, so that the other one can take over all of them
if not shutil.which("redis-server"):
    pytest.skip("redis-server is not installed", allow_module_level=True)


class Stage:
    """The cluster, and the server whose runs are counted."""

    def __init__(self, cluster: CeleryCluster, sandbox: RunningSandbox, figures: list[str]) -> None:
        self.cluster, self.sandbox, self.figures = cluster, sandbox, figures
        self.dag_id = self.run_id = ""
        self.began = 0.0
        self.supervised = False

    def begin(self, dag_id: str, *, runs: int, seconds: int) -> None:
        """Start a DAG run, and wait until the server knows every run."""
        self.sandbox.reset()
        self.dag_id, self.began = dag_id, time.monotonic()
        self.run_id = self.cluster.trigger(dag_id, {"runs": runs, "seconds": seconds})
        self.supervised = True  # a worker that shut down warmly in the story before may end only now
        self.until(lambda: len(self.runs()) >= runs, f"{runs} runs")
        self.supervised = False

    def runs(self) -> list[dict[str, Any]]:
        """The runs on the server."""
        return self.sandbox.runs("carto")

    def begin_on(self, worker: str, *, seconds: int) -> int:
        """Start a DAG run of which a worker has tasks, and say how many; every task has asked for its run already.

        A worker that is only starting may get none. The DAG run is then left to its end, and another one is started.
        """
        for _ in range(3):
            self.begin("on_workers", runs=ON_WORKERS, seconds=seconds)
            if found := self._tasks_of(worker):
                return found
            self._until_the_end()
        raise AssertionError(f"no task runs on {worker}")

    def _tasks_of(self, worker: str) -> int:
        rows = self.cluster.api("GET", f"dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances?limit=1000")
        at_work = [row for row in rows["task_instances"] if row["task_id"] == "run" and row["state"] == "running"]
        return sum(row["hostname"] == worker for row in at_work)

    def states(self) -> Counter[str | None]:
        """How many task instances are in which state."""
        rows = self.cluster.api("GET", f"dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances?limit=1000")
        return Counter(row["state"] for row in rows["task_instances"] if row["task_id"] == "run")

    def until(self, met: Callable[[], Any], what: str, seconds: float = LIMIT) -> None:
        """Wait for something; an API server whose database has gone for a moment is asked again."""
        deadline = time.monotonic() + seconds
        while True:
            if self.supervised:
                start_again(self.cluster)
            with contextlib.suppress(requests.RequestException):
                if met():
                    return
            assert time.monotonic() < deadline, f"still not after {seconds:.0f} s: {what}; {self.runs()[:3]}"
            time.sleep(0.3)

    def deferred(self, runs: int) -> None:
        """Wait until every task is deferred."""
        self.until(lambda: self.states()["deferred"] == runs, f"{runs} deferred tasks")

    def judge(self, story: str, *, runs: int, cancelled: int = 0) -> None:
        """Wait for the end of the DAG run and count."""
        self._until_the_end()
        states, found = self.states(), self.runs()
        succeeded = [run for run in found if run["state"] == "success"]
        going = [run for run in found if run["ended_at"] is None]
        stopped = [run for run in found if run["state"] == CANCELLED]
        doubled = len(found) - runs - len(stopped)
        lost = runs - states["success"]
        self.figures.append(
            f"{story:<44} {len(found):>3} started {len(stopped):>3} cancelled  doubled {doubled} "
            f"orphaned {len(going)} lost {lost}  {time.monotonic() - self.began:5.0f} s"
        )
        if (lost, len(going), doubled) != (0, 0, 0):
            self._show()
        assert (lost, len(going), doubled) == (0, 0, 0), (states, Counter(run["state"] for run in found))
        assert len(stopped) == cancelled
        assert len(succeeded) == runs

    def _until_the_end(self) -> None:
        """Wait for the end of the DAG run."""
        ended = {"success", "failed"}
        self.until(lambda: self.cluster.run_state(self.dag_id, self.run_id) in ended, "the end of the DAG run")

    def _show(self) -> None:
        """Print what the tasks logged that did not succeed; pytest shows it with the failure."""
        for task in self.cluster.tasks(self.dag_id, self.run_id):
            if task.state != "success":
                print(f"--- {task}\n{self.cluster.log(self.dag_id, self.run_id, task)[-6000:]}")


def start_again(cluster: CeleryCluster) -> None:
    """Start the parts that have ended, as a service manager does."""
    for name, process in cluster.processes.items():
        if not process.running():
            cluster.again(name)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[CeleryCluster, RunningSandbox]]:
    """One cluster for all stories.

    Its folder is not below that of pytest: another pytest closes that one to the user that PostgreSQL runs as.
    """
    dags = Path(__file__).parent / "dags"
    with tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as name, run_sandbox() as sandbox:
        variables = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in sandbox.connections().items()}
        # One worker has a network of its own where this machine can make one.
        isolated = {} if missing() else {"isolated": ["worker-1"], "ports": [urlsplit(sandbox.url).port]}
        options = {"variables": variables, "concurrency": ON_WORKERS, **isolated}
        with running(Path(name), dags, **options) as cluster:
            cluster.wait_until_ready("deferred", "on_workers", timeout=300)
            yield cluster, sandbox


@pytest.fixture
def stage(servers: tuple[CeleryCluster, RunningSandbox], request: pytest.FixtureRequest) -> Stage:
    """The cluster with every part running."""
    cluster, sandbox = servers
    start_again(cluster)
    cluster.wait_until_ready(timeout=240)
    return Stage(cluster, sandbox, request.config.stash[FIGURES])


def test_runs_end_well(stage):
    """Forty deferred runs succeed."""
    stage.begin("deferred", runs=40, seconds=15)
    stage.judge("nothing happens", runs=40)


@pytest.mark.parametrize("name", ["triggerer-1", "triggerer-2"])
def test_a_triggerer_is_killed(stage, name):
    """The other triggerer takes over its runs."""
    stage.begin("deferred", runs=12, seconds=45)
    stage.deferred(12)
    stage.cluster.kill(name)
    stage.judge(f"{name} is killed", runs=12)


def test_both_triggerers_are_killed(stage):
    """The runs are taken over by the triggerer that comes next; nothing is cancelled."""
    stage.begin("deferred", runs=12, seconds=45)
    stage.deferred(12)
    for name in ("triggerer-1", "triggerer-2"):
        stage.cluster.kill(name)
    time.sleep(5)
    stage.cluster.again("triggerer-1")
    stage.judge("both triggerers are killed", runs=12)


def test_a_triggerer_exits_cleanly(stage):
    """A triggerer that is asked to stop leaves its runs to the other one and cancels none."""
    stage.begin("deferred", runs=12, seconds=30)
    stage.deferred(12)
    stage.cluster.send("triggerer-1", signal.SIGTERM)
    stage.judge("a triggerer exits", runs=12)


def test_a_scheduler_is_killed(stage):
    """The other scheduler goes on."""
    stage.begin("deferred", runs=12, seconds=20)
    stage.cluster.kill("scheduler-1")
    stage.judge("a scheduler is killed", runs=12)


def test_workers_are_killed_with_their_tasks(stage):
    """The next try of each task takes over the run of the try that died."""
    stage.begin_on("worker-1", seconds=90)
    stage.cluster.kill("worker-1")
    stage.judge("a worker is killed with its tasks", runs=ON_WORKERS)


def test_a_worker_shuts_down_warmly(stage):
    """The worker waits for its tasks."""
    stage.begin_on("worker-1", seconds=30)
    stage.cluster.send("worker-1", signal.SIGTERM)
    stage.judge("a worker shuts down warmly", runs=ON_WORKERS)


def test_a_worker_shuts_down_coldly(stage):
    """Each of its tasks cancels its run; the next try starts another."""
    stopped = stage.begin_on("worker-1", seconds=60)
    stage.cluster.send("worker-1", signal.SIGTERM, everyone=True)
    stage.judge("a worker shuts down coldly", runs=ON_WORKERS, cancelled=stopped)


def test_a_worker_stalls_longer_than_its_heartbeat(stage):
    """Airflow replaces the tries of a worker that stands still; when it goes on, it leaves their runs alone."""
    stage.begin_on("worker-1", seconds=110)
    family = stage.cluster.family("worker-1")
    for process in family:
        process.suspend()
    time.sleep(60)
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    stage.judge("a worker stalls", runs=ON_WORKERS)


@pytest.mark.parametrize(("seconds", "what"), [(15, "for a moment"), (75, "longer than its heartbeat")])
def test_a_worker_loses_its_network(stage, seconds, what):
    """Its tasks go on, or are replaced by tries that take over their runs; what comes back leaves these runs alone."""
    if not (network := stage.cluster.networks.get("worker-1")):
        pytest.skip(missing())
    stage.begin_on("worker-1", seconds=seconds + 50)
    network.cut()
    try:
        time.sleep(seconds)
    finally:
        network.join()
    stage.judge(f"a worker loses its network {what}", runs=ON_WORKERS)


def test_redis_is_restarted(stage):
    """Tasks that wait in the queue are not lost."""
    stage.begin("deferred", runs=12, seconds=20)
    stage.cluster.redis.signal(signal.SIGKILL)
    time.sleep(3)
    stage.cluster.redis.start()
    stage.judge("Redis is restarted", runs=12)


def test_postgresql_is_restarted(stage):
    """The metadata database goes for some seconds; schedulers and triggerers end, and are started again."""
    stage.begin("deferred", runs=12, seconds=25)
    stage.deferred(12)
    stage.supervised = True
    stage.cluster.postgres.restart(pause=3)
    stage.judge("PostgreSQL is restarted", runs=12)

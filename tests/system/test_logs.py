"""The log of a run in the log of a task of a real Airflow: every line once and in order, whatever happens meanwhile."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_workflow_provider.sandbox.server import RunningSandbox
from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AIRFLOW_3

pytestmark = pytest.mark.system
DAGS = Path(__file__).parent / "dags" / "logs.py"
LINES = 10_000
NUMBER = re.compile(r"line (\d+) of")
STORIES: dict[str, dict[str, Any]] = {
    "on_a_worker": {"deferrable": False, "seconds": 20},
    "deferred": {"deferrable": True, "seconds": 25},
    "triggerer_killed": {"deferrable": True, "seconds": 210, "interval": 10},
    "cleared": {"deferrable": True, "seconds": 40},
    "retried": {"deferrable": False, "seconds": 40, "retries": 1},
}
SETTINGS = {
    "core": {"parallelism": "6"},
    "triggerer": {"job_heartbeat_sec": "2", "triggerer_health_check_threshold": "8"},
    "scheduler": {
        "task_instance_heartbeat_timeout": "15",
        "task_instance_heartbeat_timeout_detection_interval": "3",
        "scheduler_health_check_threshold": "15",
    },
    "workers": {"min_heartbeat_interval": "2"},
}


@dataclass
class Stage:
    """An Airflow, and the sandbox whose Flow writes ten thousand lines."""

    airflow: AirflowCluster
    sandbox: RunningSandbox

    def begin(self, dag_id: str) -> str:
        """Start a DAG run; lines come over most of the time that the run takes."""
        self.sandbox.settings("invision", log_lines=LINES, log_seconds=STORIES[dag_id]["seconds"] * 0.9)
        return self.airflow.trigger(dag_id)

    def until(self, met: Callable[[], Any], what: str, seconds: float = 120) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, f"after {seconds} s still not: {what}\n{self.report()}"
            time.sleep(0.3)

    def report(self) -> str:
        """What tasks, runs and Airflow's processes are doing, for a story that does not go on."""
        folders = self.airflow.home.logs.glob("dag_id=*/run_id=*/task_id=*")
        files = [
            f"{file.relative_to(self.airflow.home.logs)}: {file.stat().st_size}"
            for one in folders
            for file in one.iterdir()
        ]
        runs = [(run["id"], run["state"]) for run in self.sandbox.runs("invision")]
        logs = [f"{name} runs {part.running()}:\n{part.tail(20)}" for name, part in self.airflow.processes.items()]
        return "\n".join([f"runs {runs}", *files, *logs])

    def state(self, dag_id: str, run_id: str) -> str | None:
        """The state of the only task."""
        return next((task.state for task in self.airflow.tasks(dag_id, run_id)), None)

    def numbers(self, dag_id: str, run_id: str, attempt: int = 1) -> list[int]:
        """The numbers of the lines in all logs of a try, in the order of the times at which they were logged."""
        folder = self.airflow.home.logs / f"dag_id={dag_id}" / f"run_id={run_id}" / "task_id=run"
        found: list[tuple[str, int]] = []
        for path in sorted(folder.glob(f"attempt={attempt}.log*")):
            lines = [line for line in path.read_text(errors="replace").splitlines() if "[run log]" in line]
            found += [(moment(line), int(number[1])) for line in lines if (number := NUMBER.search(line))]
        found.sort(key=lambda pair: pair[0])
        return [number for _, number in found]

    def settled(self, dag_id: str, run_id: str) -> None:
        """Wait until a reading of the log is written and a moment has passed: the place is stored by then."""
        seen = -1
        while seen != (seen := len(self.numbers(dag_id, run_id))):
            time.sleep(1.5)

    def kill_triggerer(self) -> None:
        """End the triggerer with all its processes, as a machine does that loses its power, and start it again."""
        triggerer = self.airflow.processes["triggerer"]
        for process in psutil.Process(triggerer.pid).children(recursive=True):
            process.kill()
        triggerer.signal()
        triggerer.start()


def moment(line: str) -> str:
    """The time at which Airflow logged a line."""
    try:
        # Airflow leaves the fraction of a second out where it is zero.
        return datetime.fromisoformat(json.loads(line)["timestamp"]).isoformat(timespec="microseconds")
    except ValueError:
        return line.partition("]")[0].strip("[")  # 2.11


@pytest.fixture(scope="module")
def stage(tmp_path_factory, start_airflow, sandbox_server, monkeypatch_module) -> Iterator[Stage]:
    """One Airflow for all tests of this file."""
    sandbox_server.reset()
    sandbox_server.settings("invision", pending_seconds=0, running_seconds=0)
    monkeypatch_module.setenv("LOG_STORIES", json.dumps(STORIES))
    folder = tmp_path_factory.mktemp("logs")
    with start_airflow(
        folder / "airflow", DAGS, connections=sandbox_server.connections(), settings=SETTINGS
    ) as airflow:
        airflow.wait_until_ready(*STORIES)
        yield Stage(airflow, sandbox_server)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    """`monkeypatch` for a module."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def told(numbers: list[int]) -> dict[str, int]:
    """What is wrong with these numbers."""
    return {
        "lines": len(numbers),
        "missing": len(set(range(1, LINES + 1)) - set(numbers)),
        "repeated": len(numbers) - len(set(numbers)),
        "out of order": sum(after < before for before, after in pairwise(numbers)),
    }


PERFECT = {"lines": LINES, "missing": 0, "repeated": 0, "out of order": 0}


@pytest.mark.parametrize("dag_id", ["on_a_worker", "deferred"])
def test_ten_thousand_lines_come_once_and_in_order(stage, dag_id):
    run_id = stage.begin(dag_id)
    assert stage.airflow.wait(dag_id, run_id, timeout=180) == "success"
    figures = told(stage.numbers(dag_id, run_id))
    print(dag_id, figures)
    assert figures == PERFECT


@pytest.mark.faults
def test_the_triggerer_is_killed_three_times(stage):
    dag_id = "triggerer_killed"
    run_id = stage.begin(dag_id)
    for _ in range(3):
        before = len(stage.numbers(dag_id, run_id))
        stage.until(lambda: stage.state(dag_id, run_id) == "deferred", "deferred")
        stage.until(lambda: len(stage.numbers(dag_id, run_id)) > before + 200, "lines of this triggerer")  # noqa: B023  # used here
        stage.settled(dag_id, run_id)
        print("killed after", len(stage.numbers(dag_id, run_id)), "lines, in the state", stage.state(dag_id, run_id))
        stage.kill_triggerer()
    assert stage.airflow.wait(dag_id, run_id, timeout=240) == "success"
    figures = told(stage.numbers(dag_id, run_id))
    print(dag_id, figures)
    assert figures == PERFECT


def test_the_task_is_cleared_while_it_waits(stage):
    """The next try starts a run of its own; its log holds all lines of that run, and none of the other."""
    dag_id = "cleared"
    run_id = stage.begin(dag_id)
    stage.until(lambda: len(stage.numbers(dag_id, run_id)) > 200, "lines of the first run")
    stage.until(lambda: stage.state(dag_id, run_id) == "deferred", "deferred")
    stage.airflow.clear(dag_id, run_id, "run")
    stage.until(lambda: len(stage.sandbox.runs("invision")) and stage.numbers(dag_id, run_id, 2), "lines of the second")
    assert stage.airflow.wait(dag_id, run_id, timeout=240) == "success"
    figures = told(stage.numbers(dag_id, run_id, 2))
    print(dag_id, figures)
    assert figures == PERFECT


@pytest.mark.skipif(not AIRFLOW_3, reason="below Airflow 3.3 no try knows what an earlier one has written")
def test_a_retry_takes_over_after_the_worker_was_killed(stage):
    """The lines of both tries together are the lines of the run."""
    dag_id = "retried"
    run_id = stage.begin(dag_id)
    stage.until(lambda: len(stage.numbers(dag_id, run_id)) > 500, "lines of the first try")
    rows = stage.airflow.api("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
    psutil.Process(rows[0]["pid"]).send_signal(signal.SIGKILL)
    assert stage.airflow.wait(dag_id, run_id, timeout=240) == "success"
    first, second = (stage.numbers(dag_id, run_id, attempt) for attempt in (1, 2))
    print(dag_id, told(first + second), "first try", len(first), "second try", len(second))
    assert told(second)["repeated"] == 0
    assert told(first + second) == PERFECT

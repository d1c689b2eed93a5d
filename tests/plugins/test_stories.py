"""The plug-ins in a real Airflow, installed from their wheels, against real servers that count the runs.

Each story plays on the server of each plug-in: no run is doubled, none is left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

import psutil
import pytest
import requests

from scripts import execution_api as execution
from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AIRFLOW_3, AirflowHome
from scripts.processes import free_port
from tests.plugins import servers, wheels
from tests.plugins.dags.stories import STORIES

PREFECT = os.environ.get("PREFECT_PYTHON", "")
SYSTEMS = ("airflow", "prefect")
WANTED = os.environ.get("PLUGINS", "airflow,prefect").split(",")  # those whose stories are played
LIMIT = 300  # seconds that a step may take on a busy machine
AT_ONCE = 3  # stories
# Polls, one a second: Airflow may fail a task whose trigger fires right after the task has deferred (issue 71580).
MANY = 10
pytestmark = [
    pytest.mark.system,
    pytest.mark.faults,
    pytest.mark.skipif(not AIRFLOW_3, reason="below Airflow 3.3 no task keeps what it has started"),
]
FINAL = ("success", "failed")


class Evening:
    """All stories at once; each is a generator, so that one thread calls Airflow."""

    def __init__(self, airflow, remotes, proxies):
        self.airflow, self.remotes, self.proxies = airflow, remotes, proxies
        self.rows, self.outcomes, self.dag_runs = {}, {}, {}

    def task(self, dag_id):
        """The task instance as of the last look."""
        return self.rows.get(dag_id) or {"state": None, "try_number": 0, "pid": None}

    def look(self):
        """Read all task instances in one call."""
        body = {"dag_ids": list(self.dag_runs), "page_limit": 200}
        with contextlib.suppress(requests.HTTPError):  # a busy SQLite; the next look comes soon
            found = self.airflow.api("POST", "dags/~/dagRuns/~/taskInstances/list", body)["task_instances"]
            self.rows = {row["dag_id"]: row for row in found}

    def play(self):
        """Begin every story, and step through all of them until each has ended."""
        going, waiting = {}, [(system, story) for system in self.remotes for story in STORIES]
        deadline = time.monotonic() + 1200
        while going or waiting:
            while waiting and len(going) < AT_ONCE:
                system, story = waiting.pop(0)
                dag_id = f"{system}_{story}"
                self.dag_runs[dag_id] = insist(lambda name=dag_id: self.airflow.trigger(name, run_id="story"))
                going[dag_id] = getattr(Story(self, system, story), story)()
            self.look()
            for dag_id, steps in list(going.items()):
                try:
                    next(steps)
                except StopIteration:
                    self.outcomes[dag_id] = ""
                    del going[dag_id]
                except AssertionError as error:
                    self.outcomes[dag_id] = f"{error}\n{self.airflow.log(dag_id, 'story', 'run')[-3000:]}"
                    del going[dag_id]
            if time.monotonic() > deadline:
                self.outcomes |= {dag_id: f"not ended: {self.task(dag_id)}" for dag_id in going}
                break
            time.sleep(0.5)


def insist(call):
    """Ask Airflow for something that may be asked for twice, until its database is not busy."""
    for _ in range(20):
        try:
            return call()
        except requests.HTTPError as error:
            if error.response.status_code == 409:  # it was taken the last time
                return None
            if error.response.status_code < 500:
                raise
            time.sleep(1)
    raise AssertionError("Airflow's database is busy")


class Story:
    """One story on one system."""

    def __init__(self, evening, system, name):
        self.evening, self.name, self.dag_id = evening, name, f"{system}_{name}"
        self.remote, self.proxy = evening.remotes[system], evening.proxies[system]

    @property
    def task(self):
        return self.evening.task(self.dag_id)

    @property
    def runs(self):
        return insist(lambda: self.remote.runs(self.name))

    def until(self, true, what):
        """Step until something is so."""
        deadline = time.monotonic() + LIMIT
        while not true():
            assert time.monotonic() < deadline, f"{what}: {self.task}, {self.runs}"
            yield

    def started(self, number=1, state=None):
        """Wait for the run of a number, and for the state of the task."""
        yield from self.until(lambda: len(self.runs) >= number, f"run {number}")
        if state:
            yield from self.until(lambda: self.task["state"] == state, state)

    def watched(self, number=0, polls=1):
        """Wait until whoever waits has polled: a trigger that no triggerer has begun yet cannot cancel anything."""
        run_id, before = self.runs[number]["id"], len(self.proxy.polled)
        yield from self.until(lambda: sum(run_id in path for path in self.proxy.polled[before:]) >= polls, "a poll")

    def finished(self, state, *words):
        """Wait for the end of the task; the runs on the server have these words, one each."""
        yield from self.until(lambda: self.task["state"] in FINAL, "the end of the task")
        assert self.task["state"] == state, self.task
        yield from self.until(lambda: self._words(words), f"runs that are {words}")
        assert len(self.runs) == len(words), self.runs

    def _words(self, words):
        found = [run["word"] for run in self.runs]
        return len(found) == len(words) and all(one.lower() in wanted for one, wanted in zip(found, words, strict=True))

    @property
    def stopped(self):
        return tuple(word.lower() for word in self.remote.cancelled)

    def ends(self):
        """A worker waits for the run."""
        yield from self.started(state="running")
        self.end(0)
        yield from self.finished("success", ("success", "completed"))

    def defers(self):
        """The triggerer waits for the run."""
        yield from self.started(state="deferred")
        yield from self.watched(polls=MANY)
        self.end(0)
        yield from self.finished("success", ("success", "completed"))

    def fails(self):
        """The run fails, and so does the task."""
        yield from self.started(state="running")
        self.end(0, well=False)
        yield from self.finished("failed", ("failed",))

    def killed(self, state="running"):
        """A person marks the task as failed: the run is cancelled."""
        yield from self.started(state=state)
        yield from self.watched()
        insist(lambda: self.evening.airflow.mark(self.dag_id, "story", "run", "failed"))
        yield from self.finished("failed", self.stopped)

    def killed_deferred(self):
        """The same while the triggerer waits."""
        yield from self.killed("deferred")

    def cleared(self, state="running"):
        """A person clears the task: the old run is cancelled, and another one is started."""
        yield from self.started(state=state)
        yield from self.watched()
        self.evening.airflow.clear(self.dag_id, "story", "run")
        yield from self.started(2)
        yield from self.until(lambda: self.runs[0]["word"].lower() in self.stopped, "the cancel of the old run")
        if state == "deferred":
            yield from self.until(lambda: self.task["state"] == "deferred", "deferred again")
            yield from self.watched(1, polls=MANY)
        self.end(1)
        yield from self.finished("success", self.stopped, ("success", "completed"))

    def cleared_deferred(self):
        """The same while the triggerer waits."""
        yield from self.cleared("deferred")

    def retried(self):
        """The task's process dies while it waits: the next try takes the run over."""
        yield from self.started(state="running")
        yield from self.until(lambda: "was started" in self.log(), "the log of the start")
        self.die()
        yield from self.until(lambda: self.task["try_number"] == 2 and self.task["state"] == "running", "the next try")
        self.end(0)
        yield from self.finished("success", ("success", "completed"))

    def lost(self):
        """The answer to the start is lost, and the run is found."""
        yield from self.until(lambda: "lost" in self.proxy.starts, "the start")
        yield from self.started(state="running")
        yield from self.until(lambda: "waiting" in self.log() or len(self.runs) == 1, "the run")
        self.end(0)
        yield from self.finished("success", ("success", "completed"))

    def dead(self):
        """The task's process dies after the server took the start, and before its answer came."""
        yield from self.until(self.proxy.held.is_set, "the start")
        yield from self.until(lambda: self.task["pid"], "the process")
        self.die()
        self.proxy.let_go.set()
        yield from self.until(lambda: self.task["try_number"] == 2 and self.task["state"] == "running", "the next try")
        self.end(0)
        yield from self.finished("success", ("success", "completed"))

    def end(self, number, *, well=True):
        """Let a run end."""
        run_id = self.runs[number]["id"]
        insist(lambda: self.remote.end(run_id, well=well))

    def die(self):
        """Kill the process of the task."""
        psutil.Process(self.task["pid"]).kill()

    def log(self):
        """What the task logged."""
        return self.evening.airflow.log(self.dag_id, "story", "run")


@pytest.fixture(scope="module")
def evening(tmp_path_factory):
    """Play all stories at once."""
    folder = tmp_path_factory.mktemp("plugins")
    site = wheels.installed(folder)
    with contextlib.ExitStack() as stack:
        remotes = {}
        if "airflow" in WANTED:
            remotes["airflow"] = stack.enter_context(servers.airflow_remote(folder / "remote"))
        if PREFECT and "prefect" in WANTED:
            (folder / "prefect").mkdir()
            url, _ = stack.enter_context(servers.prefect_server(PREFECT, folder / "prefect"))
            remotes["prefect"] = servers.PrefectRemote(url)
        starts = {"airflow": "/dagRuns", "prefect": "/create_flow_run"}
        proxies = {
            name: stack.enter_context(
                servers.Proxy(
                    remote.url, lambda method, path, end=starts[name]: method == "POST" and path.endswith(end)
                )
            )
            for name, remote in remotes.items()
        }
        variables = {
            f"AIRFLOW_CONN_{name.upper()}_DEFAULT": json.dumps({"conn_type": name, "host": proxy.url})
            for name, proxy in proxies.items()
        }
        port = free_port()
        home = AirflowHome(
            folder / "home",
            dags=Path(__file__).parent / "dags",
            port=free_port(),
            settings={"core": {"parallelism": "6", **execution.settings(port)["core"]}},
            variables={**variables, "PYTHONPATH": str(site)},
        )
        with AirflowCluster(home) as airflow, execution.execution_api(home, port):
            airflow.timeout = float(LIMIT)
            airflow.wait_until_ready("airflow_ends", "prefect_dead", timeout=240)
            played = Evening(airflow, remotes, proxies)
            played.play()
            yield played


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("system", SYSTEMS)
def test_no_run_is_doubled_and_none_is_left_behind(evening, system, story):
    if system not in evening.remotes:
        pytest.skip("PLUGINS leaves it out, or PREFECT_PYTHON names no Python with Prefect (Airflow's pins exclude it)")
    outcome = evening.outcomes[f"{system}_{story}"]
    print(outcome)  # pytest shortens a text that is compared
    assert not outcome


def test_the_servers_count_as_many_starts_as_runs(evening):
    """A start that is sent again gives the same run."""
    for system, proxy in evening.proxies.items():
        remote = evening.remotes[system]
        counted = {story: len(remote.runs(story)) for story in STORIES}
        print(f"{system}: starts {len(proxy.starts)}, runs {sum(counted.values())}: {counted}")
        assert sum(counted.values()) == len(STORIES) + 2  # two were cleared
        going = [run for story in STORIES for run in remote.runs(story) if run["word"] in remote.going]
        assert not going

"""Plays stories: one thread, one Airflow, and as many stories side by side as do not disturb each other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from airflow_workflow_provider.sandbox.server import RunningSandbox, run_sandbox
from scripts import execution_api as execution
from scripts.airflow_cluster import AirflowCluster
from scripts.processes import free_port
from tests.system.faults.judge import Outcome, judged
from tests.system.faults.stage import Stage
from tests.system.faults.story import STORIES, Story
from tests.system.faults.traces import Traces, secrets_of

DAG_FILE = Path(__file__).parent / "dags" / "stories.py"
WORKERS = 4  # tasks that run at the same time; one that polls keeps its worker for long
AT_ONCE = 12  # stories that play at the same time
TICK = 0.4  # seconds between two looks at all task instances

# A worker or triggerer that dies is noticed sooner than in an Airflow that has to bear a busy network.
SETTINGS = {
    "core": {"parallelism": str(WORKERS)},
    "api": {"maximum_page_limit": "1000"},
    "scheduler": {
        "task_instance_heartbeat_timeout": "20",
        "task_instance_heartbeat_timeout_detection_interval": "3",
        "scheduler_health_check_threshold": "20",
        "orphaned_tasks_check_interval": "5",
        "trigger_timeout_check_interval": "3",
    },
    "workers": {"min_heartbeat_interval": "2"},
    "triggerer": {"job_heartbeat_sec": "2", "triggerer_health_check_threshold": "8"},
}

StartAirflow = Callable[..., AbstractContextManager[AirflowCluster]]


@dataclass
class Part:
    """A story that is being played."""

    stage: Stage
    steps: Iterator[None]
    begun: float


@dataclass(frozen=True)
class Evening:
    """What all stories together came to."""

    outcomes: dict[str, Outcome]
    secrets: int
    leaks: dict[str, list[str]]
    """Credentials by name, with the places where they stand."""
    seen: dict[str, list[str]]
    """The same for the names of the stories: the search must find what is there to be found."""
    seconds: float


class Theatre:
    """Plays stories in one Airflow."""

    def __init__(self, airflow: AirflowCluster, sandboxes: dict[str, RunningSandbox]) -> None:
        self.airflow, self.sandboxes = airflow, sandboxes
        self.traces = Traces(airflow.home)
        self.outcomes: dict[str, Outcome] = {}
        self.secrets: dict[str, tuple[str, ...]] = {}

    def play(self, stories: Sequence[Story]) -> None:
        """Play these side by side to their ends, the longest first, as many at a time as the workers bear."""
        waiting = sorted(stories, key=lambda story: -story.seconds)
        parts: list[Part] = []
        while parts or waiting:
            playing = [part.stage.story for part in parts]
            if ready := next((one for one in waiting if has_room(one, playing)), None):
                waiting.remove(ready)
                parts.append(self._part(ready))
            self._look(parts)
            for part in list(parts):
                trouble = self._step(part)
                if trouble is not None:
                    parts.remove(part)
                    self._close(part, trouble)
            time.sleep(TICK)

    def _part(self, story: Story) -> Part:
        stage = Stage(story, self.sandboxes[story.name], self.airflow)
        return Part(stage, iter(story.play(stage)), time.monotonic())

    def _look(self, parts: Sequence[Part]) -> None:
        """Look at all task instances with one call."""
        rows = self.airflow.api("GET", "dags/~/dagRuns/~/taskInstances?limit=1000")["task_instances"]
        for part in parts:
            part.stage.tasks = [row for row in rows if row["dag_id"] == part.stage.story.name]
            part.stage.looks += 1
        self.traces.look()

    def _step(self, part: Part) -> str | None:
        """Take a story's next step; give None while it goes on, else what went wrong."""
        try:
            next(part.steps)
        except StopIteration:
            return ""
        except Exception as error:  # noqa: BLE001  # one story that fails must not end the others
            return f"{type(error).__name__}: {error}"
        return None

    def _close(self, part: Part, trouble: str) -> None:
        """Judge a story, and note what it leaves behind."""
        stage = part.stage
        outcome = judged(stage, trouble, time.monotonic() - part.begun)
        self.outcomes[stage.story.name] = outcome
        print(outcome.row)
        self.traces.note(stage)
        self.secrets |= secrets_of(stage)


def has_room(story: Story, playing: Sequence[Story]) -> bool:
    """Whether a story can begin beside these; those of a later scene belong together."""
    polling = sum(not one.deferred for one in playing)
    return bool(story.scene) or (len(playing) < AT_ONCE and (story.deferred or polling < WORKERS))


def perform(stories: Sequence[Story], folder: Path, start_airflow: StartAirflow) -> Evening:
    """Play all stories, scene by scene, and search what is left when Airflow has stopped."""
    begun, port = time.monotonic(), free_port()
    with ExitStack() as opened:
        sandboxes = {story.name: opened.enter_context(run_sandbox()) for story in stories}
        connections = {name: one.connections()[STORIES[name].conn_id] for name, one in sandboxes.items()}
        table = folder / "stories.json"
        told = {story.name: story.to_json(slow_workflow(story, sandboxes[story.name])) for story in stories}
        table.write_text(json.dumps(told))
        settings = SETTINGS | {"core": SETTINGS["core"] | execution.settings(port)["core"]}
        with (
            start_airflow(folder / "airflow", DAG_FILE, table, connections=connections, settings=settings) as airflow,
            execution.execution_api(airflow.home, port),
        ):
            airflow.wait_until_ready(*sandboxes)
            theatre = Theatre(airflow, sandboxes)
            for scene in sorted({story.scene for story in stories}):
                theatre.play([story for story in stories if story.scene == scene])
        leaks = theatre.traces.places(theatre.secrets)
        seen = theatre.traces.places({story.name: (story.name,) for story in stories})
    return Evening(theatre.outcomes, len(theatre.secrets), leaks, seen, time.monotonic() - begun)


def slow_workflow(story: Story, sandbox: RunningSandbox) -> str:
    """The workflow of a story's system that runs for as many seconds as it is told."""
    described = sandbox.app.systems[story.system].describe()
    return next(one.workflow for one in described if one.name.lower() == "slow")

"""How a story ended, by what the server saw and what the task returned."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.system.faults.stage import Stage
from tests.system.faults.story import Story

SUCCEEDED = {"success", "completed", "succeeded"}  # the servers' words


@dataclass(frozen=True)
class Outcome:
    """How a story ended.

    ``doubled`` counts the runs above those that the story has; ``orphaned`` those that go on though nobody waits, or
    that went on to their end though they were to be cancelled; ``lost`` the task instances without their result.
    """

    story: Story
    state: str | None
    tries: int
    started: int
    cancelled: int
    going: int
    lost: int
    seconds: float
    trouble: str = ""
    log: str = field(default="", repr=False)

    @property
    def doubled(self) -> int:
        """Runs that should not have been started."""
        return max(0, self.started - self.story.started)

    @property
    def orphaned(self) -> int:
        """Runs that nobody waited for."""
        return self.going + max(0, self.story.cancelled - self.cancelled)

    @property
    def wrong(self) -> str:
        """What is not as the story has it, or nothing."""
        told: dict[str, Any] = {name: getattr(self.story, name) for name in ("state", "started", "cancelled")}
        if self.story.tries is not None:
            told["tries"] = self.story.tries
        found = [f"{name} {now}, not {value}" for name, value in told.items() if (now := getattr(self, name)) != value]
        found += [f"{name} {count}" for name in ("orphaned", "lost") if (count := getattr(self, name))]
        return "; ".join([self.trouble] * bool(self.trouble) + found)

    @property
    def row(self) -> str:
        """The outcome as a line of a table."""
        counts = f"{self.started:>3} started {self.cancelled:>2} cancelled {self.going:>2} going"
        end = f"{self.state or 'none'} at try {self.tries}"
        return f"{self.story.name:<40} {end:<17} {counts} {self.seconds:>6.1f} s  {self.wrong or 'as told'}"


def judged(stage: Stage, trouble: str, seconds: float) -> Outcome:
    """Count what became of a story's runs."""
    story = stage.story
    states = Counter(row["state"] for row in stage.tasks)
    return Outcome(
        story=story,
        state=next(iter(states)) if len(states) == 1 else str(dict(states)),
        tries=max((row["try_number"] for row in stage.tasks), default=0),
        started=len(stage.runs()),
        cancelled=len(stage.cancelled()),
        going=len(stage.going()),
        lost=lost(stage) if story.state == "success" and story.returns else 0,
        seconds=seconds,
        trouble=trouble,
        log=stage.log(),
    )


def lost(stage: Stage) -> int:
    """Count the task instances whose result is not the run object of a run of their own that has succeeded."""
    done = {run["id"] for run in stage.runs() if run["state"] in SUCCEEDED}
    returned = {result(stage, row).get("run_id") for row in stage.tasks}
    return max(0, len(stage.tasks) - len(returned & done))


def result(stage: Stage, row: dict[str, Any]) -> dict[str, Any]:
    """Give what a task instance returned."""
    try:
        found = stage.airflow.xcom(stage.story.name, stage.run_id, row["task_id"], map_index=row["map_index"])
    except requests.HTTPError:
        return {}
    return found if isinstance(found, dict) and found.get("state") == "succeeded" else {}

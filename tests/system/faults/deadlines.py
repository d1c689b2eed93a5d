"""Stories of runs that take too long."""

from __future__ import annotations

from tests.system.faults.story import story

DEFERRED = {"deferrable": True}


@story("carto", seconds=60, arguments={"timeout": 5, "retries": 0}, state="failed", cancelled=1, tries=1)
@story(
    "carto",
    seconds=60,
    arguments={"timeout": 5, "retries": 0, **DEFERRED},
    state="failed",
    cancelled=1,
    tries=1,
    name="run_times_out_deferred",
)
def run_times_out(stage):
    """A run that takes longer than ``timeout`` is cancelled, and the log says that its time limit had ended."""
    stage.begin()
    yield from stage.ended()
    stage.expect("did not end in time", stage.log())


@story("alteryx", seconds=60, arguments={"execution_timeout": 10, "retries": 0}, state="failed", cancelled=1, tries=1)
@story(
    "alteryx",
    seconds=60,
    arguments={"execution_timeout": 10, "retries": 0, **DEFERRED},
    state="failed",
    cancelled=1,
    tries=1,
    name="task_times_out_deferred",
)
def task_times_out(stage):
    """A task that takes longer than ``execution_timeout`` cancels its run."""
    stage.begin()
    yield from stage.ended()


@story("carto", seconds=60, arguments={"timeout": 4, "retries": 1}, state="failed", started=2, cancelled=2, tries=2)
@story(
    "carto",
    seconds=60,
    arguments={"timeout": 4, "retries": 1, **DEFERRED},
    state="failed",
    started=2,
    cancelled=2,
    tries=2,
    name="every_try_times_out_deferred",
)
def every_try_times_out(stage):
    """A run whose time was up is cancelled, and the next try starts a new one with a time of its own."""
    stage.begin()
    yield from stage.ended()


@story("carto", seconds=20, arguments={"timeout": 5, "retries": 0, "cancel_on_timeout": False}, state="failed", tries=1)
def run_times_out_without_cancelling(stage):
    """With ``cancel_on_timeout=False`` a run whose time is up goes on to its own end."""
    stage.begin()
    yield from stage.ended()

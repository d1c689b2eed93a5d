"""Stories of people who stop a deferred task, and of clears."""

from __future__ import annotations

from airflow_workflow_provider.sandbox.invision import catalog
from tests.system.faults.story import story

DEFERRED = {"deferrable": True}


@story("carto", seconds=40, arguments=DEFERRED, cancelled=1, state="failed", fast=True)
@story(
    "alteryx", seconds=40, arguments=DEFERRED, cancelled=1, state="failed", name="marked_failed_while_deferred_alteryx"
)
def marked_failed_while_deferred(stage):
    """Somebody marks a deferred task failed: its run is cancelled."""
    stage.begin()
    yield from stage.deferred()
    stage.mark("failed")
    yield from stage.until(stage.cancelled, "cancelled")
    yield from stage.ended()


@story("carto", seconds=40, arguments=DEFERRED, cancelled=1, returns=False)
def marked_success_while_deferred(stage):
    """Somebody marks a deferred task successful: nobody waits for its run any more."""
    stage.begin()
    yield from stage.deferred()
    stage.mark("success")
    yield from stage.until(stage.cancelled, "cancelled")
    yield from stage.ended()


@story("chorus", seconds=40, arguments=DEFERRED, cancelled=1, state="failed")
def chorus_marked_failed_while_deferred(stage):
    """A process of Chorus's engine, whose session is minted at run time, is stopped when its task is marked failed."""
    stage.begin()
    yield from stage.deferred()
    stage.mark("failed")
    yield from stage.until(stage.cancelled, "cancelled")
    yield from stage.ended()


KEYS = (catalog.EXECUTION_KEY, catalog.MONITORING_KEY, catalog.DATA_KEY, catalog.FLOW_KEY)
TALKATIVE = {"log_lines": 20, "log_text": f"x-api-key: {' '.join(KEYS)}"}


@story("invision", seconds=5, arguments=DEFERRED, settings=TALKATIVE, name="invision_deferred")
@story("invision", seconds=5, settings=TALKATIVE, name="invision_polled")
def secrets_in_the_log_of_a_run(stage):
    """A run writes the keys of its connection into its log: the lines reach the log of the task, the keys do not."""
    stage.begin()
    yield from stage.ended()
    stage.expect("line 20 of 20 x-api-key: ***", stage.log())


@story("chorus", seconds=5, name="chorus_polled")
def seen_to_its_end(stage):
    """A run that nothing happens to ends well, and all that it leaves is searched for its credentials."""
    stage.begin()
    yield from stage.ended()


LONG = {"running_seconds": 40}


@story("carto", seconds=1, arguments=DEFERRED, settings=LONG, started=2, cancelled=1, fast=True)
@story(
    "alteryx",
    seconds=1,
    arguments=DEFERRED,
    settings=LONG,
    started=2,
    cancelled=1,
    name="cleared_while_deferred_alteryx",
)
def cleared_while_deferred(stage):
    """Somebody clears a deferred task: its run is cancelled and another one started."""
    stage.begin()
    yield from stage.deferred()
    stage.clear()
    stage.sandbox.settings(stage.story.system, running_seconds=1)  # of the second run
    yield from stage.until(stage.cancelled, "cancelled")
    yield from stage.ended()


@story("stevesie", seconds=15, arguments=DEFERRED, state="failed")
def marked_failed_where_nothing_cancels(stage):
    """Stevesie cannot cancel: the run goes on to its own end, and the log says so."""
    stage.begin()
    yield from stage.deferred()
    stage.mark("failed")
    yield from stage.ended()
    yield from stage.until(lambda: "no API call that cancels" in stage.log(), "the log says that nothing cancels")


@story("carto", seconds=15, arguments={**DEFERRED, "cancel_on_kill": False}, state="failed")
def marked_failed_without_cancelling(stage):
    """With ``cancel_on_kill=False`` the run of a deferred task that was marked failed goes on to its end."""
    stage.begin()
    yield from stage.deferred()
    stage.mark("failed")
    yield from stage.ended()


@story("carto", seconds=2, arguments=DEFERRED, started=2)
@story("alteryx", seconds=2, started=2, name="cleared_after_success_alteryx")
def cleared_after_success(stage):
    """A clear of a task that succeeded starts a new run; only a retry takes over what there is."""
    stage.begin()
    yield from stage.ended()
    stage.clear()
    yield from stage.until(lambda: len(stage.runs()) == 2, "the second run")
    yield from stage.ended()


@story("alteryx", arguments={"retries": 3}, settings={"outcome": "error"}, seconds=1, started=3, tries=3)
@story(
    "alteryx",
    arguments={"retries": 3, **DEFERRED},
    settings={"outcome": "error"},
    seconds=1,
    started=3,
    tries=3,
    name="failed_twice_deferred",
)
def failed_twice(stage):
    """A run that failed is not taken over: each retry starts a new one."""
    stage.begin()
    yield from stage.until(lambda: len([run for run in stage.runs() if run["state"] == "error"]) == 2, "two failures")
    stage.sandbox.settings("alteryx", outcome=None)
    yield from stage.ended()

"""A task that is killed stops its run, where the API can; where it cannot, the log says so and nothing else breaks."""

from __future__ import annotations

import asyncio

import pytest

from airflow_workflow_provider.exceptions import CancelNotSupported, RunCancelled, RunFailed, TaskStopped
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator
from tests.operators.staging import context_of, deferred, meanwhile
from tests.stories.killing import killed, task_is

GOING = ("queued", "running", "pending")


def kill(story, monkeypatch, state="failed", **arguments):
    """Kill the task of a slow run while it waits, in the story's mode."""
    make = story.operator(story.case.slow, **arguments)
    if story.mode == "sync":
        task = make()

        def signal():
            story.polled()
            task.on_kill()

        with meanwhile(signal), pytest.raises(TaskStopped):
            task.execute(story.context)
    else:
        there = deferred(make, story.context)
        task_is(story.ti, state, monkeypatch)
        asyncio.run(killed(there.trigger, story.ti, story.polled))


def test_a_killed_task_stops_its_run(story, monkeypatch, logged):
    """The server counts one run, and it is cancelled; or it goes on, and the log does not claim anything else."""
    kill(story, monkeypatch)
    said = logged()
    assert len(story.runs()) == 1
    if story.case.cancels:
        story.until(lambda: story.states()[0] not in GOING, "the run goes on")
        assert "was cancelled" in said
    else:
        assert story.states()[0] in GOING
        assert "no API call that cancels" in said
        assert "was cancelled" not in said
    assert "Traceback" not in said


def test_a_killed_task_may_leave_its_run_alone(story, monkeypatch):
    """``cancel_on_kill=False``."""
    kill(story, monkeypatch, cancel_on_kill=False)
    assert story.states()[0] in GOING
    assert len(story.runs()) == 1


@pytest.mark.parametrize("mode", ["deferrable"])
def test_a_trigger_that_moves_does_not_stop_its_run(story, monkeypatch):
    """A triggerer that restarts cancels its triggers as well; their tasks are still deferred."""
    kill(story, monkeypatch, state="deferred")
    assert story.states()[0] in GOING


def test_a_teardown_task_is_told_whether_it_can_cancel(story):
    """`CancelWorkflowRunOperator`, of a run that is going."""
    run = story.told(story.case.slow, wait_for_completion=False)
    story.until(story.runs, "there is no run")
    teardown = CancelWorkflowRunOperator(task_id="stop", run=run)
    if not story.case.cancels:
        with pytest.raises(CancelNotSupported, match="no API call that cancels"):
            teardown.execute(context_of())
        assert story.states()[0] in GOING
        return
    teardown.execute(context_of())
    story.until(lambda: story.states()[0] not in GOING, "the run goes on")


def test_a_run_that_somebody_else_stopped_did_not_succeed(story):
    """Whoever waits for it learns of it, in both modes."""
    if not story.case.cancels:
        pytest.skip("the API cannot cancel")
    if story.mode == "deferrable" and story.case.name in ("chorus-engine", "chorus-workfile"):
        pytest.skip("a stopped run leaves no result, which is waited for 30 or 60 seconds of the triggerer's real time")

    def stop():
        story.polled()
        story.hook.cancel_run(story.ti.xcoms["run"])

    with meanwhile(stop), pytest.raises((RunCancelled, RunFailed)) as caught:
        story.told(story.case.slow, hasten=True)
    assert caught.value.run.run_id in str(caught.value)

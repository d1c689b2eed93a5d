"""A run that goes wrong: the task says why, in the system's own words, unless it was told to let that pass."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_workflow_provider.exceptions import OutputUnavailable, RunFailed, RunTimedOut


def test_a_failure_says_why(story):
    """Words, id and address of the run are in the exception; the run object is in it and in the XCom.

    It is none of the errors that end a task for good, as the next run may go well; and it has no output to read.
    """
    with pytest.raises(RunFailed) as caught:
        story.told(story.case.bad)
    said, run = str(caught.value), caught.value.run
    assert all(part in said for part in (story.case.blame, run.run_id, run.url, story.case.bad.workflow))
    assert (run.state, run.outputs, run.message in said) == ("failed", (), True)
    assert story.ti.xcoms["run"] == run.to_json()
    assert story.ti.xcoms["run"]["ended_at"]
    assert story.states()[0] in ("failure", "error", "failed", "broken")
    assert not isinstance(caught.value, AirflowFailException)
    with pytest.raises(OutputUnavailable) as refused:
        story.hook.read_output(run, story.case.result.output)
    assert story.case.blame in str(refused.value)


def test_a_failure_may_be_tolerated(story):
    """``on_run_failure="skip"`` skips the task; the XCom still tells what became of the run."""
    with pytest.raises(AirflowSkipException, match="on_run_failure='skip'"):
        story.told(story.case.bad, on_run_failure="skip")
    assert (story.ti.xcoms["run"]["state"], story.case.blame in story.ti.xcoms["run"]["message"]) == ("failed", True)


def test_a_sensor_fails_with_the_run_or_skips(story):
    """``soft_fail`` skips, in both modes."""
    started = story.told(story.case.bad, wait_for_completion=False)
    given = {"task_id": "wait", "run": started, "poke_interval": 0.03, "timeout": 30}
    given |= {"deferrable": story.mode == "deferrable", f"{story.case.system}_conn_id": story.case.conn_id}
    with pytest.raises(RunFailed) as caught:
        story.played(lambda: story.case.sensor(**given))
    assert story.case.blame in str(caught.value)
    with pytest.raises(AirflowSkipException):
        story.played(lambda: story.case.sensor(soft_fail=True, **given))


def test_a_run_that_takes_too_long_is_cancelled_where_the_api_can(story, logged):
    """Where it cannot, the log says that the run goes on."""
    with pytest.raises(RunTimedOut, match="did not end in time") as caught:
        story.told(story.case.slow, timeout=0.15)
    assert caught.value.run.run_id == story.ti.xcoms["run_id"]
    if story.case.cancels:
        story.until(lambda: story.states()[0] not in ("queued", "running", "pending"), "the run goes on")
        assert "its time limit had ended, so it was cancelled" in logged()
    else:
        assert story.states()[0] in ("queued", "running", "pending")
        said = logged()
        assert "its time limit had ended; " in said
        assert "no API call that cancels" in said

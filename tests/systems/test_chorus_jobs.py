"""Which result is a Job's own, under each reading of what the server shows."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import CancelRefused, OutputUnavailable, ProtocolError, ServerUnavailable
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.systems import SYSTEMS
from tests.protocol.playing import Player, answer

OVER = "2026-01-01T00:00:00Z"
DENIED = answer(403, {"errors": {"model_data": {}}})


def looked(latest, activities, baseline=10):
    """Look at a run of a Job whose newest result before it was number ten."""
    chorus = SYSTEMS["chorus"](
        ConnectionValues("c", host="https://server", login="user", password="s3cret-word")  # it is none
    )
    log_in = answer(201, {"response": {"session_id": "a session"}})
    given = activities if not isinstance(activities, list) else answer(200, {"response": activities})
    player = Player([log_in, answer(200, {"response": latest}), given])
    return player.play(chorus.get_run(Run("chorus", "c", "7", f"job:7:{baseline}")))


def result(number, succeeded=True, **more):
    """A result record, of a run that is over."""
    return {"id": number, "succeeded": succeeded, "finished_at": OVER, "job_task_results": [], **more}


def activity(shown, action="JobSucceeded"):
    """The event that tells of a result."""
    return {"id": 1, "action": action, "job_result": shown}


def test_a_newer_result_that_the_job_does_not_know_is_another_jobs():
    assert looked(result(12), []).state == "running"
    assert looked(result(12), [activity(result(9)), activity(result(10))]).state == "running"


def test_the_jobs_own_result_is_taken_whatever_the_latest_is():
    """Another Job may have begun before and ended after it."""
    own = [activity(result(11, succeeded=False), "JobFailed"), activity(result(10))]
    for latest in (result(12), result(11, succeeded=False), result(8), None):
        found = looked(latest, own)
        assert (found.state, found.details["job_result_id"]) == ("failed", "11")


def test_the_first_of_several_results_is_the_runs():
    found = looked(result(13), [activity(result(13)), activity(result(12, succeeded=False), "JobFailed")])
    assert (found.state, found.details["job_result_id"]) == ("failed", "12")


@pytest.mark.parametrize("activities", [DENIED, answer(404), answer(200, {"response": {}})], ids=["403", "404", "odd"])
def test_without_activities_the_newest_result_serves(activities):
    assert looked(result(12), activities).state == "succeeded"
    assert looked(result(8), activities).state == "running"


def test_activities_that_cannot_be_read_just_now_are_waited_for():
    with pytest.raises(ServerUnavailable):
        looked(result(12), answer(503))


@pytest.mark.parametrize("activities", [DENIED, []], ids=["unreadable", "empty"])
def test_the_record_of_a_run_that_goes_on_is_no_result(activities):
    going = {"id": 11, "succeeded": None, "finished_at": None, "job_task_results": []}
    assert looked(going, activities).state == "running"


def test_a_record_that_was_left_open_does_not_hide_the_result():
    """The worker of an earlier run died."""
    left = {"id": 10, "succeeded": None, "finished_at": None, "job_task_results": []}
    assert looked(left, [activity(result(11))]).state == "succeeded"


@pytest.mark.parametrize(("action", "state"), [("JobSucceeded", "succeeded"), ("JobFailed", "failed")])
def test_an_activity_may_hold_no_more_than_the_results_id(action, state):
    found = looked(result(12), [activity({"id": 11}, action), activity({"id": 10})])
    assert (found.state, found.details["job_result_id"]) == (state, "11")


def test_an_activity_of_another_kind_tells_no_end():
    assert looked(result(12), [activity({"id": 11}, "NoteOnJob")]).state == "running"


LOG_IN = answer(201, {"response": {"session_id": "a session"}})


def stopped(run_id, *replies):
    """Ask for a stop of a run; give what was sent and the notes."""
    chorus = SYSTEMS["chorus"](ConnectionValues("c", host="https://server", login="user", password="s3cret-word"))
    player = Player([LOG_IN, *replies])
    player.play(chorus.cancel(Run("chorus", "c", "7", run_id)))
    return [request for request in player.requests if request.url.endswith("/stop")], player.notes


@pytest.mark.parametrize(
    "said", ["request accepted.\n", '"request accepted."', {"status": "Flow stopped.\n"}, {"status": "flow stopped"}]
)
def test_a_stop_of_a_process_that_is_accepted_is_taken(said):
    sent, notes = stopped("p1", answer(200, said))
    assert (len(sent), notes) == (1, [])


@pytest.mark.parametrize(
    "said", ["The workflow could not be stopped.\n", {"status": "could not be stopped"}, '"busy"', {"error": "no"}]
)
def test_a_stop_that_failed_is_refused(said):
    with pytest.raises(CancelRefused, match="did not stop process p1, which goes on"):
        stopped("p1", answer(200, said))


@pytest.mark.parametrize("said", ["", "{}", "null", "[1]", "<html></html>"])
def test_an_answer_to_a_stop_that_says_nothing_leaves_it_unknown(said):
    with pytest.raises(ProtocolError):
        stopped("p1", answer(200, said))


def test_a_process_that_is_over_needs_no_stop():
    _, notes = stopped("p1", answer(200, "invalid processId or workflow already stopped.\n"))
    assert "was not cancelled: it is over" in notes[0]


def test_a_job_or_workfile_is_not_stopped_for_a_run_that_is_over():
    """The call stops the newest run, which may be somebody else's."""
    over = [activity(result(11)), activity(result(10))]
    sent, notes = stopped("job:7:10", answer(200, {"response": result(11)}), answer(200, {"response": over}))
    assert (sent, "had ended" in notes[-1]) == ([], True)
    idle = answer(200, {"response": {"status": "idle"}})
    found = answer(200, {"response": [{"id": 6, "attachments": []}]})
    sent, notes = stopped("workfile:7:5:1", idle, found)
    assert (sent, "had ended" in notes[-1]) == ([], True)


def test_a_stop_after_which_the_job_still_runs_is_refused():
    going = answer(200, {"response": None})
    with pytest.raises(CancelRefused, match="is still running"):
        stopped("job:7:10", going, answer(200, {"response": []}), answer(202, {"response": {"status": "running"}}))
    sent, _ = stopped(
        "job:7:10", going, answer(200, {"response": []}), answer(202, {"response": {"status": "stopping"}})
    )
    assert len(sent) == 1
    running = answer(200, {"response": {"status": "running"}})
    with pytest.raises(CancelRefused, match="is still running"):
        stopped("workfile:7:5:1", running, answer(202, {"response": {"status": "running"}}))
    sent, _ = stopped("workfile:7:5:1", running, answer(202, {"response": {"status": "idle"}}))
    assert len(sent) == 1


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("name", ["table:x", "Row Filter"])
def test_an_output_that_is_gone_is_unavailable(status, name):
    chorus = SYSTEMS["chorus"](ConnectionValues("c", host="https://server", login="user", password="s3cret-word"))
    run = Run("chorus", "c", "7", "p1")
    with pytest.raises(OutputUnavailable):
        Player([LOG_IN, answer(status)]).play(chorus.read(run, Output(name)).flow())

"""A poll that asks and hears the same as the last one costs neither a new request nor a reading of the answer."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import RunTimedOut
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import NoAnswer
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.systems import SYSTEMS
from tests.protocol.playing import EPOCH, Player, answer

RUN = Run("alteryx", "c", "wf", "62d470d411030000e0004177", RunState.RUNNING)
GOING = {"id": RUN.run_id, "status": "Running", "disposition": "None"}
DONE = {**GOING, "status": "Completed", "disposition": "Success", "outputs": []}


def system(**extra):
    """Alteryx with OAuth 1, whose requests are signed anew but otherwise last."""
    values = {"auth": "oauth1", **extra}
    return SYSTEMS["alteryx"](
        ConnectionValues("c", host="https://server/gallery", login="key", password="topsecret", extra=values)
    )


def waited(player, of=None, **more):
    """Wait for the run as the trigger does."""
    made = of or system()
    return player.play(wait(made.look, RUN, poll_interval=10.0, repeats=made.repeats, **more))


def test_while_the_server_repeats_itself_the_same_request_is_sent():
    player = Player([*[answer(200, GOING)] * 5, answer(200, DONE)])
    assert waited(player).state is RunState.SUCCEEDED
    assert len(player.requests) == 6
    assert all(request is player.requests[0] for request in player.requests)


def test_an_end_is_seen_in_the_answer_that_differs_without_asking_again():
    player = Player([answer(200, GOING), answer(200, GOING), answer(200, DONE)])
    assert waited(player).state is RunState.SUCCEEDED
    assert len(player.requests) == 3


@pytest.mark.parametrize("trouble", [answer(503), answer(429, retry_after="3"), NoAnswer("cut off")], ids=repr)
def test_trouble_is_trouble_as_ever(trouble):
    player = Player([answer(200, GOING), answer(200, GOING), trouble, answer(200, GOING), answer(200, DONE)])
    assert waited(player).state is RunState.SUCCEEDED
    assert len(player.requests) == 5
    assert any("cannot be polled" in note for note in player.notes)


def test_credentials_that_change_are_asked_for_each_time():
    """A token may have been renewed in the meantime."""
    token = answer(200, {"access_token": "t0ken", "expires_in": 3600})
    player = Player([token, *[answer(200, GOING)] * 3, answer(200, DONE)])
    assert waited(player, system(auth="oauth2")).state is RunState.SUCCEEDED
    assert len({id(request) for request in player.requests}) == 5


def test_a_run_that_only_time_can_end_is_read_each_time():
    """Stevesie may attach results after the end; then the same answer means another thing later."""
    execution = {"id": "e1", "created_at": "2026-01-01T00:00:00Z", "completed_at": "2026-09-21T13:46:30Z"}
    made = SYSTEMS["stevesie"](ConnectionValues("c", password="5e7e51e0-token"))
    player = Player([answer(200, {"object": {**execution, "results": []}})])
    run = Run("stevesie", "c", "wf", "e1", RunState.RUNNING)
    assert player.now == EPOCH
    ended = player.play(wait(made.look, run, poll_interval=10.0, repeats=made.repeats))
    assert ended.state is RunState.FAILED
    assert "without results" in ended.message


def test_the_last_look_is_urgent():
    """It has no second chance, so it is sent to a server that counts as down, too."""
    player = Player([answer(200, GOING)])
    with pytest.raises(RunTimedOut):
        waited(player, deadline=EPOCH + 15)
    assert [request.urgent for request in player.requests] == [False, False, True]

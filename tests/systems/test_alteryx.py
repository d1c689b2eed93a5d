"""What Alteryx's answers about one job mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_workflow_provider.exceptions import (
    CancelNotSupported,
    CancelRefused,
    InvalidArgument,
    OutputUnavailable,
    ServerUnavailable,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.capabilities import CanCancel
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.systems import SYSTEMS
from tests.protocol.playing import Player, answer

RUN = Run("alteryx", "c", "app", "j1", RunState.RUNNING)


def alteryx(**extra):
    """Alteryx with V1."""
    values = ConnectionValues(
        "c", host="https://server/gallery", login="key", password="topsecret", extra={"auth": "oauth1", **extra}
    )
    return SYSTEMS["alteryx"](values)


def looked(system, run, **document):
    """Look at a job of which the server gives this."""
    return Player([answer(200, {"id": "j1", "status": "Completed", **document})]).play(system.get_run(run))


@pytest.mark.parametrize(
    ("document", "state"),
    [({"disposition": "Success"}, "succeeded"), ({"disposition": None}, "failed"), ({}, "failed")],
)
def test_a_job_that_is_over_has_succeeded_only_if_it_says_so(document, state):
    assert looked(alteryx(), RUN, **document).state.value == state


@pytest.mark.parametrize(("workflow", "is_page"), [("app", True), ("", False)])
def test_an_apps_page_wants_an_app(workflow, is_page):
    system = alteryx(gallery_url="https://server/gallery")
    url = looked(system, replace(RUN, workflow=workflow), disposition="Success").url
    assert url.endswith("#!app/run/app" if is_page else "/jobs/j1/")


def test_an_output_is_read_in_a_format_of_its_own():
    """Not in one of another, whose id is the end of its id."""
    files = [{"id": "1", "name": "a", "formats": ["Tde"]}, {"id": "x 1", "name": "b.csv", "formats": ["Csv"]}]
    output = Output("b.csv", "file", "https://server/gallery/api/v1/jobs/j1/output/x%201/")
    player = Player([answer(200, "a,b")])
    player.play(alteryx().read(replace(RUN, details={"files": files}), output).flow())
    assert player.requests[0].params == {"format": "Csv"}


TOKEN = answer(200, {"access_token": "minted-0123", "expires_in": 3600})


def alteryx_3():
    """Alteryx with V3 at ``https://server/webapi``."""
    return SYSTEMS["alteryx"](
        ConnectionValues("c", host="https://server/webapi", login="key", password="topsecret", extra={})
    )


def test_booleans_are_answered_as_a_check_box_is():
    """``True`` and ``False``, as real servers show them; a number stays as JSON writes it."""
    player = Player([answer(200, [{"name": name} for name in "abcd"]), answer(200, {"id": "j2"})])
    player.play(alteryx().start("app", {"a": True, "b": False, "c": 1, "d": None}, {}))
    questions = player.requests[-1].json["questions"]
    assert [(one["name"], one["value"]) for one in questions] == [("a", "True"), ("b", "False"), ("c", "1")]


@pytest.mark.parametrize("kind", ["Module", "Macro", "macro"])
@pytest.mark.parametrize("versions", [False, True])
def test_what_is_no_app_is_refused_before_the_start(kind, versions):
    """Only apps can be run; the published version decides where versions are of different types."""
    workflow = {"id": "w", "packageWorkflowType": kind}
    if versions:
        rows = [{"versionId": "1", "packageWorkflowType": "App"}, {"versionId": "2", "packageWorkflowType": kind}]
        workflow = {"id": "w", "publishedVersionId": "2", "versions": rows, "packageWorkflowType": "App"}
    player = Player([TOKEN, answer(200, workflow)])
    with pytest.raises(InvalidArgument, match=f"^workflow: w is of the type '{kind}', and only apps"):
        player.play(alteryx_3().start("w", {}, {}))
    assert not [request for request in player.requests if request.url.endswith("/jobs")]


@pytest.mark.parametrize(
    "told", [answer(200, {"packageWorkflowType": "App"}), answer(200, {}), answer(200, []), answer(403), answer(404)]
)
def test_a_workflow_whose_type_is_not_known_is_started(told):
    player = Player([TOKEN, told, answer(200, {"id": "j2"})])
    assert player.play(alteryx_3().start("w", {}, {})).run_id == "j2"
    player = Player([TOKEN, answer(200, {"id": "j2"})])
    assert player.play(alteryx_3().start("w", {}, {"check_questions": False})).run_id == "j2"


GOING, ENDED = answer(200, {"status": "Running"}), answer(200, {"status": "Completed", "disposition": "Success"})


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ([answer(200)], None),
        ([answer(404), answer(404)], None),
        ([answer(404), ENDED], None),
        ([answer(409), ENDED], None),
        ([answer(404), GOING], CancelNotSupported),
        ([answer(405), GOING], CancelNotSupported),
        ([answer(400, {"message": "no"}), GOING], CancelRefused),
        ([answer(409, {"message": "no"}), GOING], CancelRefused),
        ([answer(503)], ServerUnavailable),
        ([answer(409), answer(503)], ServerUnavailable),
    ],
)
def test_a_cancel_is_taken_refused_or_unknown(replies, error):
    player = Player([TOKEN, *replies])
    if error is None:
        player.play(alteryx_3().cancel(RUN))
        return
    with pytest.raises(error):
        player.play(alteryx_3().cancel(RUN))


def test_v1_lacks_the_call_that_cancels():
    assert SYSTEMS["alteryx"].offers(CanCancel)
    assert not alteryx().supports(CanCancel)
    with pytest.raises(CancelNotSupported, match="Alteryx V1 has no API call"):
        alteryx().require(CanCancel)


@pytest.mark.parametrize("status", [404, 410])
def test_an_output_that_is_gone_is_unavailable(status):
    output = Output("b.csv", "file", "https://server/webapi/v1/jobs/j1/output/o1")
    with pytest.raises(OutputUnavailable):
        Player([TOKEN, answer(status)]).play(alteryx_3().read(RUN, output).flow())


def test_a_name_that_no_app_has_comes_with_those_that_are_like_it():
    rows = [{"id": "1", "name": "Daily stocks"}, {"id": "2", "name": "Weather"}]
    player = Player([TOKEN, answer(200, []), answer(200, rows)])
    with pytest.raises(WorkflowNotFound, match=r"no workflow has the name 'daily stock'.*nearest: 'Daily stocks'"):
        player.play(alteryx_3().resolved("name:daily stock"))


def test_a_server_that_says_a_secret_where_a_question_has_its_name_shows_it_to_nobody():
    asked = Player([answer(200, [{"name": "topsecret"}, {"name": "x\n" * 5000}])])
    with pytest.raises(InvalidArgument, match="has no question 'n'") as refused:
        asked.play(alteryx().start("app", {"n": 1}, {}))
    assert "topsecret" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 1000

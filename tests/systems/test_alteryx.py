"""What Alteryx's answers about one job mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

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

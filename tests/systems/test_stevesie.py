"""How a state of Stevesie's is found out where no page has a word for it."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.systems import SYSTEMS
from tests.protocol.playing import Player, answer

STEVESIE = SYSTEMS["stevesie"](ConnectionValues("c", password="5e7e51e0-token"))  # it is none
OVER = "2026-01-01T00:00:00Z"


def looked(**more):
    """Look at an execution; what may be empty is fine."""
    run = Run("stevesie", "c", "wf", "e", details={"fail_on_empty_results": False})
    return Player([answer(200, {"object": {"id": "e", **more}})]).play(STEVESIE.get_run(run))


@pytest.mark.parametrize("completed_at", [None, OVER])
@pytest.mark.parametrize("key", ["status", "state"])
@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("failed", "failed"),
        ("FAILURE", "failed"),
        ("error", "failed"),
        ("Errored", "failed"),
        ("cancelled", "cancelled"),
        ("canceled", "cancelled"),
    ],
)
def test_a_word_for_a_bad_end_is_believed(key, word, state, completed_at):
    """Whether a failed execution is ever completed nobody knows."""
    run = looked(**{key: word}, completed_at=completed_at, results=[])
    assert run.state == state
    assert run.message


@pytest.mark.parametrize("word", ["completed", "working", "", 4, None, ["failed"]])
def test_any_other_word_means_nothing(word):
    assert looked(status=word, completed_at=None).state == "running"
    assert looked(status=word, completed_at=OVER, results=[]).state == "succeeded"


def test_the_text_of_an_error_says_more_than_the_word():
    assert looked(status="failed", error="The proxy is not running").message == "The proxy is not running"

"""The tables of the error policy are whole, true of the classes, and those of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_workflow_provider import exceptions
from airflow_workflow_provider.exceptions import OutputGone, RequestRejected, ServerUnavailable, WorkflowError
from airflow_workflow_provider.protocol.policy import POLICY, Asked, Ends, meaning, treatment

ERRORS = [
    one
    for one in vars(exceptions).values()
    if isinstance(one, type) and issubclass(one, WorkflowError) and not one.__name__.startswith("_")
]


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_a_treatment_that_airflow_shares(error):
    """What ends the task is what Airflow does not retry."""
    found = treatment(error("x"))
    if error.__name__ != "WorkflowSensorTimeout":  # Airflow's own sensor time-out, which sensors treat themselves
        assert (found.ends is Ends.TASK) == issubclass(error, AirflowFailException)


def test_the_documentation_has_the_table():
    """One row for each class of the policy, in its order; the words are those of docs/tables.py."""
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    table = text.partition("<!-- table: policy -->")[2].partition("<!-- end of table -->")[0]
    rows = [re.match(r"\| `(\w+)` \| (yes|no) \|", line) for line in table.strip().splitlines()[2:]]
    shown = [(row[1], row[2]) for row in rows if row]
    assert shown == [
        (kind.__name__, "yes" if one.is_retried else "no") for kind, one in POLICY.items() if kind is not WorkflowError
    ]


@pytest.mark.parametrize("asked", Asked)
def test_a_status_means_something_together_with_what_was_asked(asked):
    """Every status that is no success has a meaning for everything that can be asked."""
    assert (meaning(404, asked).error is OutputGone) == (asked is Asked.OUTPUT)
    for status in range(100, 600):
        if not 200 <= status < 300:
            found = meaning(status, asked)
            assert issubclass(found.error, WorkflowError)
            found.advice.format(conn="connection 'c'", label="CARTO", fields="field 'password'", place="field 'host'")
    assert meaning(503, asked).error is ServerUnavailable
    assert issubclass(meaning(422, asked).error, WorkflowError)


def test_context_is_added_without_losing_status_and_wait():
    """A hint goes to the end of the first line, other lines stay at the end."""
    error = ServerUnavailable("HTTP 429.\n  while: polling", status=429, retry_after=7.0, is_unreachable=True)
    hinted = error.hinted("Wait.").during("reading run 7")
    assert str(hinted) == "HTTP 429. Wait.\n  while: polling\n  while: reading run 7"
    assert (type(hinted), hinted.status, hinted.retry_after) == (ServerUnavailable, 429, 7.0)
    assert hinted.summary == "HTTP 429. Wait."
    assert hinted.during("reading run 7") is hinted
    other = error.become(RequestRejected, "run 7: ")
    assert (type(other), str(other), other.status) == (RequestRejected, f"run 7: {error}", 429)
    assert error.become(ServerUnavailable).retry_after == 7.0

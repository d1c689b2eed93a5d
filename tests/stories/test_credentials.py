"""Credentials that end while a run is going: the run does not end with them."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_workflow_provider.exceptions import ServerUnavailable
from tests.operators.staging import meanwhile


def test_credentials_that_expire_are_renewed_once(story, logged):
    """The run ends well, was started once, and there was exactly one more log-in, at the very look that was refused.

    Constant credentials are tried again with the next looks.
    """
    case, before = story.case, []
    conn_id = {f"{case.system}_conn_id": case.renewing_conn_id or case.conn_id}

    def expiry():
        story.polled()
        before.append(len(story.asked(case.login, "POST")) if case.login else 0)
        story.expire()

    story.lasting(2.5)  # on a busy machine the credentials must end before the run does
    with meanwhile(expiry):
        found = story.told(hasten=not case.login, **conn_id)
    assert (found["state"], len(story.runs())) == ("succeeded", 1)
    if case.login:  # a task that comes back from the triggerer logs in by itself, where it reads the rest of the log
        comes_back = story.mode == "deferrable"
        assert len(story.asked(case.login, "POST")) - before[0] in ((1, 2) if comes_back else (1,))
    assert ("cannot be polled" in logged()) is not bool(case.login)
    assert 401 in [entry["status"] for entry in story.asked("")]


def test_credentials_that_are_revoked_end_the_try_and_not_the_run(story):
    """After some patience, and with an error that Airflow retries: the next try takes the run over."""
    story.ti.max_tries = 1

    def revocation():
        story.polled()
        story.revoke()

    with meanwhile(revocation), pytest.raises(ServerUnavailable) as caught:
        story.told(story.case.slow, hasten=True)
    said = str(caught.value)
    assert not isinstance(caught.value, AirflowFailException)
    assert all(part in said for part in (story.case.conn_id, story.ti.xcoms["run_id"], "may still be going"))
    assert story.states()[0] in ("queued", "running", "pending")
    assert len(story.runs()) == 1


def test_the_next_try_takes_the_run_over(story):
    """Once the credentials are good again; nothing is started twice."""
    story.lasting(0.15)
    left = story.told(wait_for_completion=False)
    story.ti = story.ti.retried()
    found = story.told()
    assert (found["run_id"], found["state"], len(story.runs())) == (left["run_id"], "succeeded", 1)

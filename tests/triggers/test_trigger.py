"""The trigger in an event loop, as the triggerer runs it, against a running server."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from traceback import format_exception

import pytest

from airflow_workflow_provider.exceptions import (
    ProtocolError,
    RunTimedOut,
    ServerUnavailable,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.protocol.lifecycle import event_of, failed_for_another, run_of_event
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger
from tests.operators.carto_stage import SLOW
from tests.operators.staging import first_event, revived

BY_STATE = {"min_airports": 100}


def trigger(run, **more):
    """A trigger as it comes out of the database."""
    given = {"system": "carto", "conn_id": run.conn_id, "run": run.to_json(), "poll_interval": 0.02, **more}
    return revived(WorkflowRunTrigger(**given))


def started(carto, workflow="airports_by_state", parameters=None, conn_id="carto_default"):
    """A run that is going."""
    given = BY_STATE if workflow == "airports_by_state" else parameters
    return CartoHook(conn_id).start_run(carto[workflow], given)


async def test_it_fires_once_when_the_run_has_ended(carto):
    run = started(carto)
    events = [event async for event in trigger(run).run()]
    (event,) = events
    assert set(event.payload) == {"status", "run", "message"}
    assert event.payload["status"] == event.payload["run"]["state"] == "succeeded"
    assert json.loads(json.dumps(event.payload)) == event.payload
    assert run_of_event(event.payload).run_id == run.run_id


async def test_a_failed_run_is_an_event_with_its_reason(carto):
    event = await first_event(trigger(started(carto, "failing")))
    assert (event["status"], event["message"]) == ("failed", carto.runs()[0]["details"]["error"])


async def test_a_deadline_is_an_event_and_cancels_nothing(carto):
    """The task decides about the run, on a worker."""
    run = started(carto, "slow", SLOW)
    event = await first_event(trigger(run, deadline=time.time() + 0.2))
    assert (event["status"], event["run"]["state"]) == ("timeout", "running")
    assert carto.states() == ["running"]
    with pytest.raises(RunTimedOut) as caught:
        run_of_event(event)
    assert caught.value.run.run_id == run.run_id


async def test_it_waits_through_a_hiccup(carto):
    run = started(carto)
    carto.fault("html", "/job/")
    assert (await first_event(trigger(run)))["status"] == "succeeded"


@pytest.mark.parametrize("changes", [{"conn_id": "nobody_defined"}, {"conn_id": ""}])
async def test_a_connection_that_is_gone_ends_the_try_and_not_the_run(carto, changes):
    """Also for good reasons a trigger must not crash: that would hide them."""
    event = await first_event(trigger(started(carto, "slow", SLOW), **changes))
    assert event["status"] == "unavailable"
    with pytest.raises(ServerUnavailable, match=r"is not defined|is empty"):
        run_of_event(event)


async def test_a_connection_that_cannot_be_used_ends_the_try_too(carto):
    run = started(carto, "slow", SLOW)
    for change in ({"host": "no host at all"}, {"host": "https://127.0.0.1:9", "extra": {"verify": "/no/such/ca.pem"}}):
        event = await first_event(trigger(run, conn_id=carto.connection(**change)))
        assert event["status"] == "unavailable"
        assert "connection 'carto_changed', field '" in event["message"]


async def test_an_unknown_run_is_not_found_in_the_end(carto):
    event = event_of(Run("carto", "c", "w", "1"), WorkflowNotFound("run 1 is gone"))
    assert event["status"] == "not_found"
    with pytest.raises(WorkflowNotFound, match="run 1 is gone"):
        run_of_event(event)


async def test_all_who_wait_on_a_connection_share_its_log_in(carto):
    """Fifty triggers in one loop: one token, few sockets."""
    run = started(carto, conn_id="carto_oauth")
    carto.sandbox.clear_requests()
    events = await asyncio.gather(*(first_event(trigger(run)) for _ in range(50)))
    assert [event["status"] for event in events] == ["succeeded"] * 50
    assert carto.asked().count("POST token") == 1


async def test_an_error_that_ends_it_says_for_which_run_it_waited(carto):
    """Airflow tells the task only the text of the error; the task may be another run's."""
    run = started(carto, "slow", SLOW)
    failing = FailingTrigger("carto", run.conn_id, run.to_json(), 0.02)
    with pytest.raises(RuntimeError) as caught:
        await first_event(failing)
    traceback = format_exception(caught.type, caught.value, caught.tb)
    assert not failed_for_another({"error": "Trigger failure", "traceback": traceback}, run)
    assert failed_for_another({"error": "Trigger failure", "traceback": traceback}, replace(run, run_id="another"))
    assert not failed_for_another({"error": "Trigger timeout"}, run)


class FailingTrigger(WorkflowRunTrigger):
    """A trigger with a fault."""

    def _watch(self):
        raise RuntimeError("a fault")


@pytest.mark.parametrize(
    "event",
    [
        None,
        "succeeded",
        {},
        {"status": "succeeded"},
        {"run": {}},
        {"status": "succeeded", "run": None},
        {"status": "succeeded", "run": {"system": "carto"}},
        {"status": "succeeded", "run": Run("carto", "c", "w", "1", RunState.FAILED).to_json()},
        {"status": "novelty", "run": Run("carto", "c", "w", "1", RunState.SUCCEEDED).to_json()},
    ],
    ids=lambda event: repr(event)[:40],
)
def test_an_event_that_is_none_of_ours_fails_loudly(event):
    """It crosses a database between two processes."""
    with pytest.raises(WorkflowError):
        run_of_event(event)


def test_a_state_that_is_no_end_is_not_taken_for_one():
    from airflow_workflow_provider.protocol.lifecycle import succeeded

    for state in (RunState.QUEUED, RunState.RUNNING):
        with pytest.raises(ProtocolError, match="was reported as ended"):
            succeeded(Run("carto", "c", "w", "1", state))

"""Triggers that wait for runs of one workflow share list calls, in a loop as the triggerer's, against the sandbox."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.hooks.alteryx import AlteryxHook
from airflow_workflow_provider.hooks.stevesie import StevesieHook
from airflow_workflow_provider.protocol.pace import Pace
from airflow_workflow_provider.triggers.workflow import EXPECTED, WorkflowRunTrigger, watching
from tests.operators.staging import first_event, revived

RUNS = 12


async def all_events(system, runs):
    """The events of triggers that wait for these runs in one loop."""
    triggers = [revived(WorkflowRunTrigger(system, f"{system}_default", run.to_json(), 0.4)) for run in runs]
    async with asyncio.timeout(30):
        return await asyncio.gather(*(first_event(trigger) for trigger in triggers))


def paths(sandbox, system):
    """The paths that were asked for, by GET."""
    return [row["path"] for row in sandbox.requests(system) if row["method"] == "GET"]


async def test_executions_of_one_workflow_share_a_list(sandbox):
    hook = StevesieHook()
    workflow = hook.list_workflows()[0].id
    runs = [hook.start_run(workflow) for _ in range(RUNS)]
    sandbox.clear_requests()
    events = await all_events("stevesie", runs)
    asked = paths(sandbox, "stevesie")
    assert [event["status"] for event in events] == ["succeeded"] * RUNS
    assert [event["run"]["run_id"] for event in events] == [run.run_id for run in runs]
    assert any(path.endswith(f"{workflow}/executions") for path in asked)
    assert len(asked) < 3 * RUNS


@pytest.mark.parametrize("conn_id", ["alteryx_default", "alteryx_oauth1"])
async def test_jobs_of_one_app_share_a_list(sandbox, monkeypatch, conn_id):
    """With both generations of the API."""
    monkeypatch.setenv("AIRFLOW_CONN_ALTERYX_DEFAULT", json.dumps(sandbox.connections()[conn_id]))
    sandbox.settings("alteryx", queued_seconds=0.2, running_seconds=1.5)
    hook = AlteryxHook()
    workflow = hook.list_workflows()[0].id
    runs = [hook.start_run(workflow, check_questions=False) for _ in range(RUNS)]
    sandbox.clear_requests()
    events = await all_events("alteryx", runs)
    asked = paths(sandbox, "alteryx")
    assert [event["status"] for event in events] == ["succeeded"] * RUNS
    assert any(path.rstrip("/").endswith(f"{workflow}/jobs") for path in asked)
    assert len(asked) < 3 * RUNS


def test_what_the_user_expects_becomes_an_option():
    assert watching(None) == {}
    assert watching(timedelta(minutes=2)) == {EXPECTED: 120.0}
    with pytest.raises(InvalidArgument, match="expected_duration"):
        watching(-1)


def test_the_expectation_survives_the_database_and_stays_out_of_the_run():
    trigger = revived(WorkflowRunTrigger("stevesie", "c", {"system": "stevesie"}, 5.0, options=watching(60)))
    assert trigger.serialize()[1]["options"] == {EXPECTED: 60.0}
    assert Pace(5.0, expected=trigger.options[EXPECTED]).seconds(60) < 5.0

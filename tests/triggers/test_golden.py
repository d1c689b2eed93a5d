"""What earlier releases have left in Airflow's database is taken up by this one."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

import airflow_workflow_provider
from airflow_workflow_provider.exceptions import RunTimedOut, ServerUnavailable, WorkflowNotFound
from airflow_workflow_provider.operators.run_store import Request, RunStore
from airflow_workflow_provider.protocol.lifecycle import Event, outcome_of, run_of_event
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.times import parse_time
from airflow_workflow_provider.systems import SYSTEMS
from tests.operators.staging import TaskInstance, TaskStateStore, context_of

GOLDEN = Path(__file__).parent.parent / "samples" / "golden"


def files(kind):
    """The files of a kind, one for each release."""
    return sorted(GOLDEN.glob(f"{kind}-*.json"))


def name(path):
    return path.stem


@pytest.mark.parametrize("path", files("trigger"), ids=name)
def test_a_trigger_that_waits_since_an_earlier_release_goes_on(path):
    """Its class path and its keywords are for ever; later keywords have defaults."""
    golden = json.loads(path.read_text())
    module, _, class_name = golden["classpath"].rpartition(".")
    trigger = getattr(importlib.import_module(module), class_name)(**golden["kwargs"])
    classpath, kwargs = trigger.serialize()
    assert classpath == golden["classpath"]
    assert {key: kwargs[key] for key in golden["kwargs"]} == golden["kwargs"]


@pytest.mark.parametrize("path", files("event"), ids=name)
def test_an_event_that_an_earlier_release_fired_is_understood(path):
    run = run_of_event(json.loads(path.read_text()))
    assert (run.state, run.run_id) == (RunState.SUCCEEDED, "job_h8UWzpdzX0s2AAXQcd3rWCdPUjVP")


@pytest.mark.parametrize("path", files("run"), ids=name)
def test_a_run_object_of_an_earlier_release_is_read(path):
    document = json.loads(path.read_text())
    written = Run.from_json(document).to_json()
    assert {key: written[key] for key in document} == document


@pytest.mark.parametrize("kind", ["trigger", "event", "run"])
def test_this_release_has_its_files(kind):
    assert airflow_workflow_provider.__version__ in [path.stem.partition("-")[2] for path in files(kind)]


def test_serialised_keywords_are_the_constructors_arguments():
    """Airflow makes the trigger from nothing else; only the first four may lack a default."""
    from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger

    parameters = inspect.signature(WorkflowRunTrigger).parameters
    trigger = WorkflowRunTrigger("carto", "c", Run("carto", "c", "w", "1").to_json(), 5.0)
    assert list(trigger.serialize()[1]) == list(parameters)
    required = [key for key, one in parameters.items() if one.default is one.empty]
    assert required == ["system", "conn_id", "run", "poll_interval"]


IN_THE_HANDLE = {
    "fail_on_empty_results": "watch",
    "results_grace": "watch",
    "over_since": "poll",
    "idle_since": "poll",
    "seen_running": "poll",
}


def handle_of(run):
    """The handle of a run object, or what it is made of where an earlier release wrote it among the details."""
    handle = run.get("handle", {})
    for name in IN_THE_HANDLE.keys() & run["details"].keys():
        handle = {**handle, IN_THE_HANDLE[name]: {**handle.get(IN_THE_HANDLE[name], {}), name: run["details"][name]}}
    return {"handle": handle} if handle else {}


CASES = sorted((GOLDEN.parent.parent / "golden").glob("*.json"))
each_case = pytest.mark.parametrize("path", CASES, ids=name)


def test_every_system_has_a_sample_of_each_release():
    """Made by the code of that release, with the sandbox; one for each way to run workflows."""
    assert {json.loads(path.read_text())["system"] for path in CASES} == set(SYSTEMS)


@each_case
@pytest.mark.parametrize("who", ["trigger", "sensor_trigger"])
def test_a_task_that_is_deferred_at_an_upgrade_goes_on(path, who):
    golden = json.loads(path.read_text())
    classpath, kwargs = golden[who]
    module, _, class_name = classpath.rpartition(".")
    trigger = getattr(importlib.import_module(module), class_name)(**kwargs)
    written = trigger.serialize()
    assert written[0] == classpath
    assert {key: written[1][key] for key in kwargs} == kwargs


@each_case
def test_the_event_of_a_task_that_was_deferred_at_an_upgrade_is_taken_up(path):
    golden = json.loads(path.read_text())
    assert run_of_event(golden["event"]).state is RunState.SUCCEEDED
    errors = [outcome_of(event)[1] for event in golden["other_events"]]
    assert [type(error) for error in errors] == [RunTimedOut, ServerUnavailable, WorkflowNotFound]


@each_case
def test_a_run_that_was_stored_before_an_upgrade_is_taken_over(path):
    golden = json.loads(path.read_text())
    kept = golden["task_state_store"]["run"]
    store, ti = TaskStateStore(), TaskInstance(try_number=2, max_tries=kept["max_tries"])
    store.set("workflow_run", kept)
    key = SYSTEMS[golden["system"]].workflow_key(golden["workflow"])
    asked = Request(golden["system"], golden["conn_id"], key)
    earlier = RunStore(context_of(ti, store), kept["retries"], asked).recall()
    assert earlier.event is Event.RUN_STORED
    facts = {name: value for name, value in kept["run"]["details"].items() if name not in IN_THE_HANDLE}
    assert earlier.run.to_json() == {**kept["run"], "details": facts, **handle_of(kept["run"])}


@each_case
@pytest.mark.parametrize("place", ["xcom_run", "trigger", "sensor_trigger", "event"])
def test_a_run_object_of_before_an_upgrade_is_watched_as_its_user_said(path, place):
    """Watch options and poll state that a release wrote among the details are in the handle now, and only there."""
    golden = json.loads(path.read_text())
    held = golden[place][1] if place.endswith("trigger") else golden[place]
    document = held.get("run", held)
    run = Run.from_json(document)
    assert {"handle": run.handle.to_json()} == {"handle": {}, **handle_of(document)}
    assert not run.details.keys() & IN_THE_HANDLE.keys()


@each_case
def test_an_intent_that_was_stored_before_an_upgrade_is_looked_for(path):
    golden = json.loads(path.read_text())
    kept = golden["task_state_store"]["intent"]
    store, ti = TaskStateStore(), TaskInstance(try_number=2, max_tries=kept["max_tries"])
    store.set("workflow_run", kept)
    asked = Request(golden["system"], golden["conn_id"], golden["workflow"])
    earlier = RunStore(context_of(ti, store), kept["retries"], asked).recall()
    assert (earlier.event, earlier.intended_at) == (Event.INTENT_STORED, parse_time(kept["intended_at"]))


def test_a_run_of_a_workflow_that_is_asked_for_by_name_is_taken_over():
    """Version 0.1.0 stored the id that the name had."""
    golden = json.loads((CASES[0].parent / "stevesie-0.1.0.json").read_text())
    kept, store = golden["task_state_store"]["run"], TaskStateStore()
    store.set("workflow_run", kept)
    asked = Request("stevesie", "stevesie_default", "name:Stock Prices")
    ti = TaskInstance(try_number=2, max_tries=kept["max_tries"])
    assert RunStore(context_of(ti, store), kept["retries"], asked).recall().event is Event.RUN_STORED

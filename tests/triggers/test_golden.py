"""What earlier releases have left in Airflow's database is taken up by this one."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

import airflow_workflow_provider
from airflow_workflow_provider.protocol.lifecycle import run_of_event
from airflow_workflow_provider.protocol.model import Run, RunState

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

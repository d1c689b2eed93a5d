"""What watchers of earlier releases have left in Airflow's database is taken up by this one."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest

import airflow_workflow_provider
from airflow_workflow_provider.protocol.cursor import Cursor
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.times import parse_time
from airflow_workflow_provider.triggers.event_watch import Watch
from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger
from scripts.airflow_home import AIRFLOW_3

GOLDEN = sorted((Path(__file__).parent.parent / "samples" / "golden").glob("watcher-*.json"))
pytestmark = pytest.mark.skipif(not AIRFLOW_3, reason="Airflow below 3.0 has no asset watchers")
each_release = pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)


def test_this_release_has_its_file():
    assert airflow_workflow_provider.__version__ in [path.stem.partition("-")[2] for path in GOLDEN]


@each_release
def test_a_watcher_stays_the_same_watcher(path):
    """Airflow knows it by these; a changed one would be removed, and a new one made."""
    golden = json.loads(path.read_text())
    module, _, class_name = golden["classpath"].rpartition(".")
    trigger = getattr(importlib.import_module(module), class_name)(**golden["kwargs"])
    assert trigger.serialize() == (golden["classpath"], golden["kwargs"])


@each_release
def test_its_cursor_is_found_and_understood(path):
    golden = json.loads(path.read_text())
    trigger = WorkflowRunEventTrigger(**golden["kwargs"])
    assert Watch(trigger.source, trigger.states, parse_time(trigger.since), None).key == golden["store_key"]
    cursor = Cursor.from_json(golden["cursor"])
    assert cursor
    for one in golden["settled"]:
        run = {"system": "stevesie", "conn_id": "c", "workflow": "w", **one}
        assert cursor.is_settled(Run.from_json(run)), one
    assert cursor.to_json() == {key: value for key, value in golden["cursor"].items() if key != "watches"}


def test_serialised_keywords_are_the_constructors_arguments():
    """Airflow makes the trigger from nothing else; only the first three may lack a default."""
    parameters = inspect.signature(WorkflowRunEventTrigger).parameters
    trigger = WorkflowRunEventTrigger("stevesie", "c", "w")
    assert list(trigger.serialize()[1]) == list(parameters)
    required = [key for key, one in parameters.items() if one.default is one.empty]
    assert required == ["system", "conn_id", "workflow"]

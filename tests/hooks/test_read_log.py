"""Reading the log of a run through a hook, on every system of the sandbox."""

from __future__ import annotations

import json
import pickle
import re
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest

from airflow_workflow_provider.exceptions import NotSupported, ServerUnavailable
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.run_log import LogLine, LogPage
from tests.operators.staging import hurried

NUMBER = re.compile(r"line (\d+) of")
LINES = 3000
CASES = {
    "flow": ("invision", "6e1f0003-8d2a-4b7c-b6f4-0d5eed000003", {"workflow_api": "flow"}),
    "data flow": ("invision", "2f0c0003-3b1e-4c55-9a10-0d5eed000003", {}),
    "alteryx": ("alteryx", "5f0e2c000000000000000002", {}),
}


def numbers(page):
    return [int(number) for line in page for number in NUMBER.findall(line.text)]


@pytest.fixture
def quick(sandbox):
    sandbox.settings("invision", pending_seconds=0, running_seconds=0.1)
    sandbox.settings("alteryx", queued_seconds=0, running_seconds=0.1)
    sandbox.settings("carto", pending_seconds=0, running_seconds=0.1)
    sandbox.settings("stevesie", running_seconds=0.1)
    sandbox.settings("chorus", node_seconds=0.1, result_seconds=0)
    return sandbox


def ended(hook, workflow, **options):
    hurried(hook)
    return hook.wait_for_run(hook.start_run(workflow, **options), poll_interval=0.05)


@pytest.mark.parametrize("case", CASES)
def test_all_lines_are_read_in_order_and_a_later_page_begins_behind_them(quick, case):
    system, workflow, options = CASES[case]
    quick.settings(system, log_lines=LINES)
    hook = WorkflowHook.for_system(system)
    run = ended(hook, workflow, **options)
    page = hook.read_log(run)
    assert isinstance(page, LogPage)
    assert numbers(page) == list(range(1, LINES + 1))
    assert page[0].level == "info"
    assert list(hook.read_log(run, page)) == list(hook.read_log(run, page.cursor)) == []


def test_lines_since_a_moment(quick):
    quick.settings("invision", log_lines=5)
    hook = WorkflowHook.for_system("invision")
    run = ended(hook, CASES["flow"][1], workflow_api="flow")
    assert len(hook.read_log(run, since=datetime.now(UTC) - timedelta(hours=1))) >= 5
    assert list(hook.read_log(run, since=datetime.now(UTC) + timedelta(hours=1))) == []
    naive = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    assert list(hook.read_log(run, since=naive)) == []


@pytest.mark.parametrize(
    ("system", "workflow", "text"),
    [
        ("carto", "", "the job has ended"),
        ("stevesie", "5e7e51e0-0001-4000-8000-000000000004", "the execution has"),
    ],
)
def test_a_system_without_a_log_of_its_own_tells_what_its_runs_show(quick, system, workflow, text):
    hook = WorkflowHook.for_system(system)
    run = ended(hook, workflow or quick.app.systems[system].describe()[0].workflow)
    assert any(text in line.text for line in hook.read_log(run))


def test_no_line_holds_a_secret_of_the_connection(quick):
    key = quick.connections()["invision_default"]["extra"]["flow_api_key"]
    quick.settings("invision", log_lines=3, log_text=f"key={key}")
    hook = WorkflowHook.for_system("invision")
    page = hook.read_log(ended(hook, CASES["flow"][1], workflow_api="flow"))
    assert numbers(page) == [1, 2, 3]
    assert not any(key in line.text for line in page)


def test_a_log_that_the_server_does_not_give_is_an_error_of_the_reading_alone(quick):
    quick.settings("alteryx", log_lines=3, log_status=500)
    hook = WorkflowHook.for_system("alteryx")
    run = ended(hook, CASES["alteryx"][1])
    assert run.state == "succeeded"
    with pytest.raises(ServerUnavailable):
        hook.read_log(run)


def test_a_run_without_a_log_says_what_lacks(quick, monkeypatch):
    connection = quick.connections()["invision_default"]
    del connection["extra"]["monitoring_api_key"]
    monkeypatch.setenv("AIRFLOW_CONN_INVISION_DEFAULT", json.dumps(connection))
    with pytest.raises(NotSupported, match="monitoring_api_key"):
        WorkflowHook.for_system("invision").read_log("1", "2f0c0003")


def test_a_task_can_return_a_page_and_the_next_one_gets_its_lines():
    """Airflow reads no class of this package from an XCom, unless the user allows it."""
    try:
        serde = import_module("airflow.sdk.serde")
    except ImportError:  # before Airflow 3.2
        serde = import_module("airflow.serialization.serde")
    line = LogLine(datetime(2026, 1, 1, tzinfo=UTC), "info", "begins")
    stored = json.dumps(serde.serialize({"log": LogPage(iter([line]), 7)}))
    assert serde.deserialize(json.loads(stored)) == {"log": [tuple(line)]}


def test_a_page_is_a_list_of_its_lines_that_cannot_be_changed():
    line = LogLine(None, "info", "begins")
    page = LogPage(iter([line]))
    assert (len(page), page[0], page[:1], line in page, page.index(line)) == (1, line, [line], True, 0)
    assert [*page, line] == [line, line]
    with pytest.raises(TypeError, match="cannot be changed"):
        page.append(line)
    assert list(pickle.loads(pickle.dumps(page))) == [line]  # noqa: S301  # what was pickled the line before

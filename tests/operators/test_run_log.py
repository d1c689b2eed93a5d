"""The log of a run in the log of its task, in both modes: every line once and in order, never an error of the task."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred

from airflow_workflow_provider.exceptions import TaskStopped
from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator
from airflow_workflow_provider.sensors.invision import InvisionDataFlowRunSensor
from tests.operators.staging import (
    MODES,
    Deferral,
    TaskInstance,
    TaskStateStore,
    context_of,
    deferred,
    first_event,
    meanwhile,
)

SLOW = "6e1f0004-8d2a-4b7c-b6f4-0d5eed000004"
NUMBER = re.compile(r"line (\d+) of")


@pytest.fixture
def flow(sandbox):
    """The sandbox's Flow, with runs as long as they are told and logs at every second."""
    sandbox.settings("invision", pending_seconds=0, running_seconds=0)
    return sandbox


def operator(mode, *, seconds=1.6, **more):
    return InvisionRunDataFlowOperator(
        task_id="run_workflow",
        workflow=SLOW,
        workflow_api="flow",
        query_parameters={"seconds": seconds},
        deferrable=mode == "deferrable",
        **{"poll_interval": 0.2, "log_interval": 1, **more},
    )


class Said:
    """A logger that keeps what a task and its trigger log, in the order in which they log it."""

    def __init__(self):
        self.entries = []

    def _say(self, text, *values):
        self.entries.append((time.monotonic(), text % values if values else text))

    debug = info = warning = error = _say

    @property
    def lines(self):
        """All lines so far."""
        return [text for _, text in self.entries]

    @property
    def numbers(self):
        """The numbers of the lines of the run's log."""
        return [int(number) for line in self.lines for number in NUMBER.findall(line)]

    def having(self, text):
        """The lines that hold a text."""
        return [line for line in self.lines if text in line]

    def heard(self, task):
        """Let a task or a trigger log here. Each Airflow keeps a logger under a name of its own."""
        task._log = task._cached_logger = self
        return task

    def executed(self, make, context=None):
        """Run a task to its end, through the triggerer where it defers."""
        context = context_of() if context is None else context
        try:
            return self.heard(make()).execute(context)
        except TaskDeferred as signal:
            there = Deferral(lambda: self.heard(make()), context, signal)
            return there.resumed(self.event(there))

    def deferred(self, make, context):
        """Run a task until it defers."""
        return deferred(lambda: self.heard(make()), context)

    def event(self, there):
        """Let the trigger wait."""
        return asyncio.run(first_event(self.heard(there.trigger)))


@pytest.fixture
def said():
    """What a task and its trigger log."""
    return Said()


@pytest.mark.parametrize("mode", MODES)
def test_every_line_is_in_the_log_of_the_task_once_and_in_order(flow, said, mode):
    flow.settings("invision", log_lines=3000, log_seconds=1.3)
    assert said.executed(lambda: operator(mode))["state"] == "succeeded"
    assert said.numbers == list(range(1, 3001))


@pytest.mark.parametrize("mode", MODES)
def test_lines_come_while_the_run_is_going(flow, said, mode):
    flow.settings("invision", log_lines=100, log_seconds=2.5)
    said.executed(lambda: operator(mode, seconds=3))
    moments = [moment for moment, line in said.entries if NUMBER.search(line)]
    assert moments[-1] - moments[0] > 0.8


@pytest.mark.parametrize("mode", MODES)
def test_without_get_logs_nothing_is_asked_for(flow, said, mode):
    flow.settings("invision", log_lines=10)
    assert said.executed(lambda: operator(mode, get_logs=False, seconds=1))["state"] == "succeeded"
    assert said.numbers == []
    asked = [one["query"] for one in flow.requests("invision") if one["path"].endswith("/poll")]
    assert asked
    assert set(asked) == {"logItemId=2147483647"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "trouble", [{"log_status": 500}, {"log_status": 404}, {"log_invalid_utf8": True}, {"log_forgets": True}]
)
def test_a_log_that_is_not_given_never_disturbs_the_task(flow, said, mode, trouble):
    flow.settings("invision", log_lines=100, log_seconds=1, **trouble)
    assert said.executed(lambda: operator(mode, seconds=1.5))["state"] == "succeeded"
    if trouble != {"log_forgets": True}:
        assert 1 <= len(said.having("[run log] The")) <= 3
    else:
        assert said.numbers == list(range(1, 101))


@pytest.mark.parametrize("mode", MODES)
def test_no_line_holds_a_secret(flow, said, mode):
    key = flow.connections()["invision_default"]["extra"]["flow_api_key"]
    flow.settings("invision", log_lines=20, log_text=f"x-api-key: {key} \x1b[31mred\x1b[0m")
    said.executed(lambda: operator(mode, seconds=1.2))
    assert said.numbers == list(range(1, 21))
    text = "\n".join(said.lines)
    assert key not in text
    assert "red" in text
    assert "[31m" not in text


def test_the_event_says_how_far_the_log_is_written_and_the_resumed_task_writes_the_rest(flow, said):
    flow.settings("invision", log_lines=2000, log_seconds=4, log_late_seconds=0.5)
    there = said.deferred(lambda: operator("deferrable", seconds=4), context_of())
    event = said.event(there)
    in_trigger = said.numbers
    assert 0 < event["log"]["lines"] < 2001
    assert in_trigger == list(range(1, len(in_trigger) + 1))
    assert len(in_trigger) < 2000
    assert there.resumed(event)["state"] == "succeeded"
    assert said.numbers == list(range(1, 2001))


def test_a_retry_that_takes_a_run_over_continues_behind_the_last_line(flow, said):
    """Also where the earlier try was killed while it waited."""
    flow.settings("invision", log_lines=2000, log_seconds=2)
    store, ti = TaskStateStore(), TaskInstance(max_tries=1)
    first = said.heard(operator("sync", seconds=3, retries=1))

    def kill():
        ti.pushed_soon("run")
        deadline = time.monotonic() + 20
        while len(said.numbers) < 300:
            assert time.monotonic() < deadline, "no lines come"
            time.sleep(0.01)
        first.cancel_on_kill = False
        first.hook.client.stop()

    with meanwhile(kill), pytest.raises(TaskStopped):
        first.execute(context_of(ti, store))
    before = len(said.numbers)
    assert said.executed(lambda: operator("sync", retries=1), context_of(ti.retried(), store))["state"] == "succeeded"
    assert 0 < before < 2000
    assert said.numbers == list(range(1, 2001)), said.having("log of run")


def test_what_a_failed_trigger_had_written_is_kept_for_the_next_try(flow, said):
    flow.settings("invision", log_lines=500)
    store, ti = TaskStateStore(), TaskInstance(max_tries=1)
    there = said.deferred(lambda: operator("deferrable", seconds=3, retries=1), context_of(ti, store))
    event = said.event(there)
    written = len(said.numbers)
    ti.xcom_push("_workflow_log", event["log"])
    with pytest.raises(AirflowException):
        there.make().resume_execution("__fail__", {"error": "Trigger failure"}, there.context)
    again = said.executed(lambda: operator("sync", retries=1), context_of(ti.retried(), store))
    assert again["state"] == "succeeded"
    assert written > 0
    assert said.numbers == list(range(1, 501))


def test_with_remote_logging_the_resumed_task_writes_the_last_lines_again_and_says_so(flow, said, monkeypatch):
    monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_LOGGING", "True")
    flow.settings("invision", log_lines=1000, log_seconds=2)
    there = said.deferred(lambda: operator("deferrable", seconds=4), context_of())
    event = said.event(there)
    in_trigger = said.numbers
    there.resumed(event)
    found = said.numbers[len(in_trigger) :]
    again = [number for number in found if number <= in_trigger[-1]]
    assert again == in_trigger[-200:][-len(again) :]
    assert len(again) >= 195  # beside the lines that have no number
    assert [number for number in found if number > in_trigger[-1]] == list(range(in_trigger[-1] + 1, 1001))
    assert len(said.having("which remote logging may have lost")) == 1


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_sensor_follows_the_log_too(flow, said, mode):
    flow.settings("invision", log_lines=500, log_seconds=1)
    started = operator("sync", seconds=2, wait_for_completion=False).execute(context_of())

    def sensor():
        return InvisionDataFlowRunSensor(
            task_id="run_workflow", run=started, deferrable=mode == "deferrable", poke_interval=0.2, log_interval=1
        )

    assert said.executed(sensor)["state"] == "succeeded"
    assert said.numbers == list(range(1, 501))


def test_a_system_without_a_log_says_so_once(sandbox, said, monkeypatch):
    connection = sandbox.connections()["invision_default"]
    del connection["extra"]["monitoring_api_key"]
    monkeypatch.setenv("AIRFLOW_CONN_INVISION_DEFAULT", json.dumps(connection))
    sandbox.settings("invision", pending_seconds=0, running_seconds=1.5)
    for mode in MODES:
        before = len(said.having("no log to follow"))
        flow = InvisionRunDataFlowOperator(
            task_id="run_workflow",
            workflow="2f0c0003-3b1e-4c55-9a10-0d5eed000003",
            deferrable=mode == "deferrable",
            poll_interval=0.2,
            log_interval=1,
        )
        said.executed(lambda flow=flow: flow)
        assert len(said.having("no log to follow")) == before + 1, mode

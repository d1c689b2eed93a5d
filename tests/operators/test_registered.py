"""A system of another distribution has every promise of the built-in ones, in both modes, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
import time

import pytest

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    OutputUnavailable,
    RequestRejected,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    TaskStopped,
    UnknownStart,
    WorkflowNotFound,
)
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator, RunWorkflowOperator
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from airflow_workflow_provider.triggers.loading import loaded
from airflow_workflow_provider.triggers.workflow import WorkflowRunTrigger
from tests.operators.staging import (
    MODES,
    TaskInstance,
    TaskStateStore,
    context_of,
    deferred,
    executed,
    first_event,
    meanwhile,
    revived,
)
from tests.systems import house as houses
from tests.systems.installing import installations

PARAMETERS = {"n": 3, "name": "é; x=1"}


@pytest.fixture
def house(tmp_path, monkeypatch):
    """The server, a connection to it, and its three systems as a distribution."""
    with installations(tmp_path, monkeypatch) as install, houses.running() as server:
        for key, name in (("house", "HouseSystem"), ("keyed", "KeyedHouse"), ("repeating", "RepeatingHouse")):
            install(key, key, value=f"tests.systems.house:{name}")
            connection = {**server.connection, "conn_type": key}
            monkeypatch.setenv(f"AIRFLOW_CONN_{key.upper()}_DEFAULT", json.dumps(connection))
        yield server


def operator(mode="sync", system="house", **arguments):
    """The run operator."""
    given = {"task_id": "run_workflow", "workflow": "report", "query_parameters": PARAMETERS, "poll_interval": 0.02}
    return RunWorkflowOperator(**{**given, "system": system, "deferrable": mode == "deferrable", **arguments})


class Task:
    """A task whose tries share a state store."""

    def __init__(self, mode="sync", system="house", **arguments):
        self.mode, self.system, self.arguments = mode, system, arguments
        self.store, self.ti = TaskStateStore(), TaskInstance(max_tries=2)

    def make(self):
        """The operator of a try."""
        return operator(self.mode, self.system, **self.arguments)

    def context(self):
        """The context of this try."""
        return context_of(self.ti, self.store)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("system", ["house", "keyed", "repeating"])
def test_a_run_from_its_start_to_its_outputs(house, mode, system):
    house.ends_at_once = True
    run = executed(lambda: operator(mode, system, query_parameters={"name": "é; x=1"}))
    (job,) = house.jobs.values()
    assert (run["run_id"], run["state"], run["system"]) == (job.no, "succeeded", system)
    assert (job.job, job.args) == ("report", {"name": "é; x=1"})
    assert [output["name"] for output in run["outputs"]] == ["a table", "odd/name"]
    assert run["details"] == {"host": "n1"}
    assert houses.SECRET not in json.dumps(run)
    hook = WorkflowHook.for_run(run)
    rows = hook.read_output(run, "odd/name").read_all().to_pylist()
    assert [row["n"] for row in rows] == [0, 1, 2, 3, 4]
    assert str(rows[0]["big"]) == "12345678901234567890"
    assert [line.text for line in hook.read_log(run)] == ["begin report", "end red"]


@pytest.mark.parametrize("mode", MODES)
def test_a_failure_says_why(house, mode):
    with meanwhile(lambda: (_started(house), house.end(3, "no space"))), pytest.raises(RunFailed, match="no space"):
        executed(lambda: operator(mode))


def _started(house):
    """Wait until a job runs."""
    deadline = time.monotonic() + 10
    while not house.jobs:
        assert time.monotonic() < deadline, "no job was started"
        time.sleep(0.005)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_out_of_time_is_cancelled(house, mode):
    with pytest.raises(RunTimedOut):
        executed(lambda: operator(mode, timeout=0.2))
    assert [job.code for job in house.jobs.values()] == [4]


def test_a_killed_task_cancels_its_run(house):
    task = operator()

    def kill():
        _started(house)
        task.on_kill()

    with meanwhile(kill), pytest.raises(TaskStopped):
        task.execute(context_of())
    assert [job.code for job in house.jobs.values()] == [4]


def test_what_the_server_refuses_before_a_run_exists_is_an_error_of_its_kind(house, monkeypatch):
    with pytest.raises(WorkflowNotFound, match="no job nothing"):
        executed(lambda: operator(workflow="nothing"))
    with pytest.raises(WorkflowNotFound, match=r"no workflow has the name 'Report!' .*; nearest: 'Report'"):
        executed(lambda: operator(workflow="name:Report!"))
    monkeypatch.setenv("AIRFLOW_CONN_HOUSE_DEFAULT", json.dumps({**house.connection, "password": "wrong-0123456789"}))
    with pytest.raises(AuthenticationFailed) as caught:
        executed(operator)
    assert "wrong-0123456789" not in str(caught.value)
    assert not house.jobs


@pytest.mark.parametrize("mode", MODES)
def test_a_retry_takes_the_run_over_and_a_clear_starts_another(house, mode):
    task = Task("deferrable", reattach=True)
    deferred(task.make, task.context())
    task.mode, task.ti = mode, task.ti.retried()
    with meanwhile(lambda: (_started(house), house.end())):
        executed(task.make, task.context())
    assert [job.code for job in house.jobs.values()] == [2]
    task.mode, task.ti = "deferrable", task.ti.cleared()
    deferred(task.make, task.context())
    task.ti = task.ti.cleared()
    deferred(task.make, task.context())
    assert [job.code for job in house.jobs.values()] == [2, 4, 1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("system", ["house", "keyed", "repeating"])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_start_whose_answer_is_lost_is_found(house, mode, system, lost):
    """By the parameters, by the id that the start chose, or by the same start again."""
    house.lose, house.ends_at_once = lost, True
    assert executed(Task(mode, system, query_parameters={"name": "x"}).make, context_of())["state"] == "succeeded"
    assert len(house.jobs) == 1


class Dying(TaskStateStore):
    """A store that takes the intent to start, but not the run: the worker dies in between."""

    def set(self, key, value, **more):
        """Keep what holds no run."""
        if value.get("run"):
            raise RuntimeError("the worker is dead")
        super().set(key, value, **more)


@pytest.mark.parametrize("system", ["keyed", "repeating"])
def test_the_key_of_a_start_is_kept_across_tries(house, system):
    """Tasks with the same parameters do not find each other's runs, and none starts two."""
    tasks = [Task("deferrable", system, query_parameters={"name": "same"}) for _ in range(3)]
    for task in tasks:
        task.store = Dying()
        deferred(task.make, task.context())
    assert len(house.jobs) == 3
    runs = []
    for task in tasks:
        task.store.__class__ = TaskStateStore
        task.ti = task.ti.retried()
        deferred(task.make, task.context())
        runs.append(task.ti.xcoms["run_id"])
    assert sorted(runs) == sorted(house.jobs)
    assert len(house.jobs) == 3


def test_without_a_key_several_runs_that_fit_are_not_guessed_at(house):
    tasks = [Task("deferrable") for _ in range(2)]
    for task in tasks:
        task.store = Dying()
        deferred(task.make, task.context())
    tasks[0].store.__class__ = TaskStateStore
    tasks[0].ti = tasks[0].ti.retried()
    with pytest.raises(UnknownStart, match="2 runs that fit"):
        executed(tasks[0].make, tasks[0].context())


@pytest.mark.parametrize("system", ["keyed", "repeating"])
def test_a_retry_after_a_failed_run_has_a_key_of_its_own(house, system):
    task = Task("sync", system, query_parameters={})
    with meanwhile(lambda: (_started(house), house.end(3, "bad luck"))), pytest.raises(RunFailed):
        executed(task.make, task.context())
    task.ti, house.ends_at_once = task.ti.retried(), True
    assert executed(task.make, task.context())["state"] == "succeeded"
    assert [job.code for job in house.jobs.values()] == [3, 2]


def test_a_key_of_the_users_own_starts_once_for_all_tasks(house):
    house.ends_at_once = True
    given = {"start_options": {"idempotency_key": "nightly"}, "query_parameters": {}}
    runs = [executed(lambda: operator(system="keyed", **given)) for _ in range(2)]
    assert {run["run_id"] for run in runs} == {"nightly"}
    assert runs[1]["outputs"] == runs[0]["outputs"] != []


@pytest.mark.parametrize("mode", MODES)
def test_a_sensor_waits(house, mode):
    run = WorkflowHook.for_system("house").start_run("report", PARAMETERS)
    with meanwhile(house.end):
        seen = executed(
            lambda: WorkflowRunSensor(
                task_id="wait",
                system="house",
                run_id=run.run_id,
                workflow="report",
                poke_interval=0.02,
                timeout=20,
                deferrable=mode == "deferrable",
            )
        )
    assert (seen["state"], seen["run_id"]) == ("succeeded", run.run_id)


def test_a_run_is_cancelled_by_the_operator_and_by_the_hook(house):
    hook = WorkflowHook.for_system("house")
    one, two = (hook.start_run("report", PARAMETERS) for _ in range(2))
    CancelWorkflowRunOperator(task_id="stop", run=one.to_json()).execute(context_of())
    hook.cancel_run(two)
    CancelWorkflowRunOperator(task_id="stop", run=two.run_id, system="house").execute(context_of())
    assert [job.code for job in house.jobs.values()] == [4, 4]
    with pytest.raises(RunCancelled):
        executed(lambda: WorkflowRunSensor(task_id="wait", run=one.to_json(), poke_interval=0.02, timeout=5))


def test_outputs_are_loaded_and_copied(house, tmp_path, monkeypatch):
    house.ends_at_once = True
    run = executed(operator)
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "t.db")}))
    load = WorkflowOutputToSqlOperator(
        task_id="load", run=run, output_name="a table", sql_conn_id="db", table="t", columns=["n", "text"]
    )
    assert load.execute(context_of())["rows"] == 5
    with contextlib.closing(sqlite3.connect(tmp_path / "t.db")) as database:
        assert database.execute("SELECT * FROM t ORDER BY n").fetchall() == [(n, f"é{n}") for n in range(5)]
    copy = WorkflowOutputToObjectStorageOperator(
        task_id="copy", run=run, output_name=1, path=f"file://{tmp_path}/{{output}}.jsonl", format="jsonl"
    )
    assert copy.execute(context_of())["rows"] == 5
    with pytest.raises(OutputUnavailable, match="'a table', 'odd/name'"):
        WorkflowHook.for_run(run).output(run, "nothing")


def test_a_watcher_fires_with_the_run_and_its_outputs(house):
    pytest.importorskip("airflow.sdk", reason="Airflow below 3.0 has no asset watchers")
    from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger

    trigger = revived(
        WorkflowRunEventTrigger("house", "house_default", "report", poll_interval=0.05, since="2020-01-01")
    )
    house.ends_at_once = True
    WorkflowHook.for_system("house").start_run("report", PARAMETERS)
    payload = asyncio.run(first_event(trigger))
    assert (payload["system"], payload["state"]) == ("house", "succeeded")
    assert [output["name"] for output in payload["outputs"]] == ["a table", "odd/name"]


def test_links_and_assets_name_the_run(house):
    house.ends_at_once = True
    ti = TaskInstance()
    task = operator()
    run = task.execute(context_of(ti))
    assert ti.xcoms["run_url"] == run["url"] == f"{house.url}/jobs/v1/list"
    from airflow_workflow_provider.assets.places import landed  # noqa: F401  # it loads for any system
    from airflow_workflow_provider.hooks.connections import system_class
    from airflow_workflow_provider.protocol.model import Run

    parsed = Run.from_json(run)
    uri = system_class("house").asset_uri(parsed, parsed.outputs[0], {})
    assert uri.startswith("house://127.0.0.1")
    assert uri.endswith("/report/a%20table")


def test_an_option_that_the_system_does_not_have_is_refused(house):
    with pytest.raises(RequestRejected, match="color: House has no such start option; it has: priority"):
        executed(lambda: operator(start_options={"color": "red"}))
    house.ends_at_once = True
    executed(lambda: operator(start_options={"priority": "5"}))
    assert len(house.jobs) == 1


DAG_FILE = """
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator, RunWorkflowOperator
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor

for key in ("slow", "raising", "good0"):
    RunWorkflowOperator(task_id="run", system=key, workflow="w")
    WorkflowRunSensor(task_id="wait", system=key, run_id="1", workflow="w")
    CancelWorkflowRunOperator(task_id="stop", run="1", system=key)
"""
WATCHERS = """
from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger

for key in ("slow", "raising", "good0"):
    trigger = WorkflowRunEventTrigger(key, "c", "w")
    trigger.serialize(), trigger.shared_stream_key()
"""


def test_a_dag_file_imports_no_plug_in(tmp_path, monkeypatch):
    """Ten plug-ins, of which one sleeps and one raises: a DAG file that names them is parsed without any of them."""
    with installations(tmp_path, monkeypatch) as install:
        for number in range(8):
            install(f"good{number}", f"good{number}", "imported = True")
        install("slow", "slow", "import time\ntime.sleep(5)")
        install("raising", "raising", "raise RuntimeError('no')")
        exec(compile(DAG_FILE, "dag.py", "exec"), {})  # noqa: S102  # it is ours
        with contextlib.suppress(ImportError):  # below Airflow 3 there are no watchers
            import airflow.sdk  # noqa: F401  # its presence counts

            exec(compile(WATCHERS, "watchers.py", "exec"), {})  # noqa: S102  # it is ours
        assert not [name for name in sys.modules if name.startswith("plug_")]


def test_an_import_that_takes_long_does_not_stop_the_other_triggers(house, tmp_path, monkeypatch):
    """The system of a trigger is imported in a thread; the event loop goes on meanwhile."""
    slow = "import threading\nthreading.Event().wait(0.5)\nfrom tests.systems.house import HouseSystem\n"
    with installations(tmp_path, monkeypatch) as install:
        install("slow", "slowly", f"{slow}class Slow(HouseSystem):\n    key = 'slowly'\n", "Slow")
        monkeypatch.setenv("AIRFLOW_CONN_SLOWLY", json.dumps({**house.connection, "conn_type": "slowly"}))
        house.ends_at_once = True
        run = {"system": "slowly", "conn_id": "slowly", "run_id": house.submitted("report", {}).no}
        trigger = WorkflowRunTrigger(
            "slowly", "slowly", {**run, "workflow": "report", "state": "running"}, poll_interval=0.05
        )
        payload, longest = asyncio.run(_beside_a_clock(trigger))
    assert payload["status"] == "succeeded", payload["message"]
    assert longest < 0.4


async def _beside_a_clock(trigger):
    """Run a trigger to its first event; give its payload, and the longest time that the event loop stood still."""
    longest, loop = 0.0, asyncio.get_running_loop()
    await loaded()  # what is this package's own

    async def tick():
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before - 0.01)

    ticking = asyncio.create_task(tick())
    payload = await first_event(trigger)
    ticking.cancel()
    return payload, longest

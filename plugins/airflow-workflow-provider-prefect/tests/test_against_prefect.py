"""The plug-in against a real ``prefect server`` with a worker; ``PREFECT_PYTHON`` names a Python that has Prefect."""

from __future__ import annotations

import json
import os
import textwrap
import time

import pytest
import requests
from airflow_workflow_provider_prefect.system import PrefectSystem

from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.exceptions import WorkflowNotFound
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.testing.system_contract import SystemContract
from scripts.processes import Background, free_port, stop_all

PYTHON = os.environ.get("PREFECT_PYTHON", "")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not PYTHON, reason="PREFECT_PYTHON names no Python with Prefect (Airflow's pins exclude it)"),
]

FLOWS = textwrap.dedent("""
    import time
    from prefect import flow, get_run_logger, serve

    @flow
    def quick(name: str = "x"):
        get_run_logger().info("the name is %s", name)
        get_run_logger().warning("it is quick")

    @flow
    def broken():
        raise RuntimeError("out of order")

    @flow
    def slow():
        time.sleep(120)

    if __name__ == "__main__":
        serve(*(one.to_deployment(one.name) for one in (quick, broken, slow)), pause_on_shutdown=False)
""")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server, and a process that runs what it schedules."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    (folder / "flows.py").write_text(FLOWS)
    url = f"http://127.0.0.1:{port}"
    env = {
        **os.environ,
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    prefect = [PYTHON, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    api = Background("prefect", prefect, env=env, log=folder / "server.log")
    flows = Background("flows", [PYTHON, str(folder / "flows.py")], env=env, log=folder / "flows.log")
    try:
        api.start()
        until(lambda: requests.get(f"{url}/api/health", timeout=2).ok, api)
        flows.start()
        until(lambda: len(requests.post(f"{url}/api/deployments/filter", json={}, timeout=5).json()) == 3, flows)
        yield url
    except BaseException:
        print(api.tail(40), flows.tail(40))
        raise
    finally:
        stop_all([flows, api])


def until(is_so, process, seconds=90):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while True:
        process.check()
        try:
            if is_so():
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < deadline, process.tail(30)
        time.sleep(0.25)


@pytest.fixture(scope="module")
def system(server):
    """The plug-in on a connection to it."""
    return PrefectSystem(ConnectionValues("there", host=server))


@pytest.fixture(scope="module")
def client(system):
    """What drives its flows."""
    return WorkerClient(system.transport)


def started(system, client, name, parameters=None, **options):
    """Start the deployment of this name."""
    workflow = client.run(system.resolved(f"name:{name}"))
    return client.run(system.start(workflow, parameters or {}, options))


def awaited(system, client, run, seconds=90.0):
    """Wait for a run's end."""
    return client.run(wait(system.look, run, poll_interval=0.5, deadline=client.now() + seconds))


def count(system, client, run):
    """How many runs of a deployment the server has."""
    return len(client.run(system.find_runs(run.workflow)))


def test_the_connection_is_tested(system, client):
    assert client.run(system.test()) == "Prefect accepts the credentials"


def test_a_run_from_its_start_to_its_log(system, client):
    run = started(system, client, "quick", {"name": "Ada"})
    ended = awaited(system, client, run)
    assert ended.state is RunState.SUCCEEDED
    assert Run.from_json(json.loads(json.dumps(ended.to_json()))) == ended
    wanted, limit = ("the name is Ada", "it is quick"), time.monotonic() + 30
    while True:  # Prefect sends log lines some seconds late
        levels = [line.level for line in client.run(system.read_log(ended)) if line.text in wanted]
        if len(levels) == len(wanted) or time.monotonic() > limit:
            break
        time.sleep(0.5)
    assert levels == ["info", "warning"]


def test_a_failure_says_why(system, client):
    ended = awaited(system, client, started(system, client, "broken"))
    assert ended.state is RunState.FAILED
    assert "out of order" in ended.message


def test_a_run_is_cancelled(system, client):
    run = started(system, client, "slow")
    while client.run(system.look(run)).state is not RunState.RUNNING:
        time.sleep(0.5)
    client.run(system.cancel(run))
    assert awaited(system, client, run, seconds=60.0).state is RunState.CANCELLED
    client.run(system.cancel(run))  # a second one comes too late, and is no error


def test_a_start_with_a_key_of_its_own_starts_once(system, client):
    one = started(system, client, "quick", {"name": "once"}, idempotency_key="nightly-2026-01-01")
    before = count(system, client, one)
    two = started(system, client, "quick", {"name": "once"}, idempotency_key="nightly-2026-01-01")
    assert (two.run_id, count(system, client, one)) == (one.run_id, before)


def test_workflows_and_runs_are_listed(system, client):
    assert {"quick", "broken", "slow"} == {workflow.name for workflow in client.run(system.list_workflows())}
    run = started(system, client, "quick", {"name": "listed"})
    assert run.run_id in [one.run_id for one in client.run(system.find_runs(run.workflow))]
    lost = client.run(system.find_started(run.workflow, {"name": "listed"}, {}, run.started_at))
    assert [one.run_id for one in lost] == [run.run_id]
    with pytest.raises(WorkflowNotFound):
        client.run(system.start("00000000-0000-4000-8000-000000000000", {}, {}))


class TestContract(SystemContract):
    """The contract of a system, against the real server."""

    system = PrefectSystem
    workflow, failing_workflow, endless_workflow = "name:quick", "name:broken", "name:slow"
    run_timeout = 90.0

    @pytest.fixture
    def connection(self, server):
        """The connection to it."""
        return {"host": server}

"""The plug-in against a real Airflow: its own scheduler runs the DAGs, the runs are counted on its server."""

from __future__ import annotations

import json
import textwrap

import pytest
from airflow_workflow_provider_airflow.system import Airflow2System, AirflowSystem

from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.exceptions import AuthenticationFailed, OutputUnavailable, RunTimedOut, WorkflowNotFound
from airflow_workflow_provider.outputs import reading
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.protocol.retry import persist
from airflow_workflow_provider.testing.system_contract import SystemContract
from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AIRFLOW_3, AirflowHome
from scripts.processes import free_port

pytestmark = pytest.mark.system
# Airflow 2.11 asks for user and password; the simple log-in of Airflow 3 lets everybody in.
LOGIN = None if AIRFLOW_3 else ("admin", "a-password-0123")
CREDENTIALS = dict(zip(("login", "password"), LOGIN or (), strict=False))

DAGS = textwrap.dedent("""
    import time
    try:
        from airflow.sdk import DAG, task
    except ImportError:
        from airflow import DAG
        from airflow.decorators import task

    with DAG("quick", schedule=None):
        @task
        def rows(**context):
            print("the conf is", context["dag_run"].conf)
            return [{"n": n, "name": context["dag_run"].conf.get("name", "x")} for n in range(3)]
        rows()

    with DAG("broken", schedule=None):
        @task
        def explode():
            raise RuntimeError("out of order")
        explode()

    with DAG("slow", schedule=None):
        @task
        def rest():
            time.sleep(120)
        rest()
""")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """A real Airflow with three DAGs."""
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    (folder / "dags" / "dags.py").write_text(DAGS)
    home = AirflowHome(folder / "home", dags=folder / "dags", port=free_port(), login=LOGIN)
    with AirflowCluster(home) as running:
        running.wait_until_ready("quick", "broken", "slow")
        yield running


@pytest.fixture(scope="module")
def system(airflow):
    """The plug-in on a connection to it."""
    if AIRFLOW_3:
        return AirflowSystem(ConnectionValues("there", host=airflow.home.url))
    return Airflow2System(ConnectionValues("there", host=airflow.home.url, **CREDENTIALS))


@pytest.fixture(scope="module")
def client(system):
    """What drives its flows."""
    return WorkerClient(system.transport)


def awaited(system, client, run, seconds=90.0):
    """Wait for a run's end."""
    return client.run(wait(system.look, run, poll_interval=0.5, deadline=client.now() + seconds))


def count(airflow, dag_id):
    """How many runs the server has."""
    return airflow.api("GET", f"dags/{dag_id}/dagRuns?limit=100")["total_entries"]


def test_the_connection_is_tested(system, client):
    assert client.run(system.test()) == f"{system.label} accepts the credentials"


@pytest.mark.skipif(AIRFLOW_3, reason="the simple log-in of Airflow 3 asks for no password")
def test_a_wrong_password_is_refused(airflow):
    wrong = Airflow2System(ConnectionValues("there", host=airflow.home.url, login="admin", password="wrong-0123"))  # noqa: S106  # it is wrong
    with pytest.raises(AuthenticationFailed, match="of connection 'there'") as refused:
        WorkerClient(wrong.transport).run(wrong.test())
    assert refused.value.status in (401, 403)  # 2.11 takes whoever it does not know for the role Public, with 403


def test_a_run_from_its_start_to_its_outputs_and_log(airflow, system, client):
    before = count(airflow, "quick")
    run = client.run(persist(lambda: system.start("quick", {"name": "Ada"}, {})))
    ended = awaited(system, client, run)
    assert (ended.state, count(airflow, "quick")) == (RunState.SUCCEEDED, before + 1)
    assert Run.from_json(json.loads(json.dumps(ended.to_json()))) == ended
    assert [output.name for output in ended.outputs] == ["rows:return_value"]
    table = reading.batches(system.read(ended, ended.outputs[0]), client).read_all()
    assert table.to_pylist() == [{"n": n, "name": "Ada"} for n in range(3)]
    page = client.run(system.read_log(ended))
    assert any("rows: the conf is {'name': 'Ada'}" in line.text for line in page)
    assert len(client.run(system.read_log(ended, page.cursor))) == 0
    gone = ended.outputs[0].__class__("rows:nothing", "table", "", ("jsonl",))
    with pytest.raises(OutputUnavailable):
        reading.batches(system.read(ended, gone), client).read_all()


def test_a_failure_names_the_task(system, client):
    ended = awaited(system, client, client.run(system.start("broken", {}, {})))
    assert (ended.state, ended.message) == (RunState.FAILED, "failed tasks: explode")


def test_a_run_is_cancelled_by_marking_it_as_failed(airflow, system, client):
    run = client.run(system.start("slow", {}, {}))
    with pytest.raises(RunTimedOut):
        awaited(system, client, run, seconds=4.0)
    client.run(system.cancel(run))
    assert awaited(system, client, run, seconds=20.0).state is RunState.FAILED
    assert airflow.run_state("slow", run.run_id) == "failed"
    client.run(system.cancel(run))  # a second one comes too late, and is no error


def test_a_cancel_that_comes_too_late_leaves_a_run_as_it_is(airflow, system, client):
    """Airflow itself would mark the run as failed."""
    ended = awaited(system, client, client.run(system.start("quick", {}, {})))
    client.run(system.cancel(ended))
    assert airflow.run_state("quick", ended.run_id) == "success"


def test_a_start_with_a_key_of_its_own_starts_once(airflow, system, client):
    """A retry with the same key finds the run that the first try has started."""
    before = count(airflow, "quick")
    options = {"idempotency_key": "nightly-2026-01-01"}
    one, two = (client.run(system.start("quick", {}, options)) for _ in range(2))
    assert one.run_id == two.run_id == "nightly-2026-01-01"
    assert count(airflow, "quick") == before + 1


def test_workflows_and_runs_are_listed(system, client):
    assert {"quick", "broken", "slow"} <= {workflow.id for workflow in client.run(system.list_workflows())}
    run = client.run(system.start("quick", {"name": "listed"}, {}))
    assert run.run_id in [one.run_id for one in client.run(system.find_runs("quick"))]
    lost = client.run(system.find_started("quick", {"name": "listed"}, {}, run.started_at))
    assert run.run_id in [one.run_id for one in lost]
    with pytest.raises(WorkflowNotFound):
        client.run(system.start("nowhere", {}, {}))


class TestContract(SystemContract):
    """The contract of a system, against the real server."""

    system = AirflowSystem if AIRFLOW_3 else Airflow2System
    workflow, failing_workflow, endless_workflow = "quick", "broken", "slow"
    run_timeout = 90.0

    @pytest.fixture
    def connection(self, airflow):
        """The connection to it."""
        return {"host": airflow.home.url, **CREDENTIALS}

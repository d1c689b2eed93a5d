"""Outputs as assets that start another DAG, lineage events, and links: in a real Airflow, once for all."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_workflow_provider.lineage.facets import RUN
from airflow_workflow_provider.sandbox.server import RunningSandbox
from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AIRFLOW_3
from tests.lineage.client import checked, events_in

STORIES = Path(__file__).parent / "dags" / "asset_stories.py"
PRODUCER, CONSUMER = "asset_producer", "asset_consumer"
RUN_ID, LIMIT = "story", 120  # seconds
pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Told:
    """What one run of the producer has left behind."""

    states: dict[str, str | None]
    links_while_going: dict[str, str | None]
    links: dict[str, dict[str, str | None]]
    run: dict[str, Any]
    received: list[dict[str, Any]]
    emitted: dict[str, list[dict[str, Any]]]
    lineage: list[dict[str, Any]]
    warehouse: Path
    failed: dict[str, Any]
    note: str


@pytest.fixture(scope="module")
def told(tmp_path_factory, start_airflow, sandbox_server: RunningSandbox) -> Told:
    """Run the producer once, and wait for the consumer."""
    folder = tmp_path_factory.mktemp("assets")
    events, warehouse = folder / "lineage.jsonl", folder / "warehouse.db"
    transport = {"type": "file", "log_file_path": str(events), "append": True}
    sandbox_server.reset()
    connections = {**sandbox_server.connections(), "warehouse": {"conn_type": "sqlite", "host": str(warehouse)}}
    settings = {"openlineage": {"transport": json.dumps(transport), "namespace": "stories"}}
    with start_airflow(folder / "airflow", STORIES, connections=connections, settings=settings) as airflow:
        airflow.wait_until_ready(PRODUCER, CONSUMER)
        airflow.trigger(PRODUCER, run_id=RUN_ID)
        going = until(lambda: [found for found in [links(airflow, "slow")] if found.get("Open run")])[0]
        assert airflow.run_state(PRODUCER, RUN_ID) == "running"
        airflow.wait(PRODUCER, RUN_ID, timeout=LIMIT)
        tasks = airflow.tasks(PRODUCER, RUN_ID)
        for task in tasks:
            if task.state != "success":
                print(f"--- {task.label}: {task.state} ---\n{airflow.log(PRODUCER, RUN_ID, task)[-4000:]}")
        assert "deferred" in {task.label for task in tasks if task.state == "success"}
        started = until(lambda: ended_runs(airflow))
        return Told(
            states={task.label: task.state for task in tasks},
            links_while_going=going,
            links={task: links(airflow, task) for task in ("deferred", "wait", "failing")},
            run=airflow.xcom(PRODUCER, RUN_ID, "deferred"),
            received=[airflow.xcom(CONSUMER, run_id, "received") for run_id in started],
            emitted={task: emitted(airflow, task) for task in ("mapped", "short", "failing")},
            lineage=events_in(events),
            warehouse=warehouse,
            failed=airflow.xcom(PRODUCER, RUN_ID, "failing", key="run"),
            note=(airflow.home.path / "note.txt").read_text(),
        )


def until(look: Any) -> Any:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + LIMIT
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.5)
    return found


def links(airflow: AirflowCluster, task_id: str) -> dict[str, str | None]:
    """The links of a task, as Airflow's API gives them to its pages."""
    try:
        found: dict[str, Any] = airflow.api("GET", f"dags/{PRODUCER}/dagRuns/{RUN_ID}/taskInstances/{task_id}/links")
    except requests.HTTPError:  # 2.11 until there is a task instance
        return {}
    shown: dict[str, str | None] = found["extra_links"] if AIRFLOW_3 else found
    return shown


def emitted(airflow: AirflowCluster, task_id: str) -> list[dict[str, Any]]:
    """The extras of the asset events of a task."""
    kind = "asset" if AIRFLOW_3 else "dataset"
    found = airflow.api("GET", f"{kind}s/events?source_dag_id={PRODUCER}&source_task_id={task_id}")
    return [event["extra"] for event in found[f"{kind}_events"]]


def ended_runs(airflow: AirflowCluster) -> list[str]:
    """The consumer's DAG runs, once one has ended."""
    runs = airflow.api("GET", f"dags/{CONSUMER}/dagRuns")["dag_runs"]
    return [run["dag_run_id"] for run in runs] if any(run["state"] == "success" for run in runs) else []


def lineage_of(told: Told, task_id: str, kind: str) -> dict[str, Any]:
    """The last lineage event of a kind that a task has sent."""
    return [e for e in told.lineage if e["job"]["name"] == f"{PRODUCER}.{task_id}" and e["eventType"] == kind][-1]


def test_the_tasks_end_as_they_should(told):
    failed = {label for label, state in told.states.items() if state != "success"}
    assert failed == {"failing", "slow"}


def test_the_output_of_a_run_starts_another_dag_once(told):
    """With the run, its parameters and its output at hand; the run that failed starts nothing."""
    (received,) = told.received
    project, dataset, table = told.run["output_location"].split(".")
    assert received["runs"] == [told.run["run_id"]]
    ((uri, (extra,)),) = received["events"].items()
    assert uri == f"bigquery://{project}/{dataset}/{table}"
    assert (extra["run"], extra["output"], extra["parameters"]) == (told.run, table, {"state": "VT"})


def test_every_index_of_a_mapped_task_leaves_its_own(told):
    assert sorted(extra["parameters"]["state"] for extra in told.emitted["mapped"]) == ["CA", "TX"]


def test_the_short_form_of_an_alias_does_no_harm_in_a_mapped_task(told):
    """Airflow 2.11 would fail the task over an alias that no DAG file shows; there it is only a warning."""
    states = sorted(extra["parameters"]["state"] for extra in told.emitted["short"])
    assert states == (["CA", "TX"] if AIRFLOW_3 else [])


def test_a_run_that_failed_leaves_nothing(told):
    assert told.emitted["failing"] == []


def test_the_run_can_be_opened_while_the_task_is_going(told):
    assert "/carto/v3/sql/carto_dw/job/" in str(told.links_while_going["Open run"])
    assert not told.links_while_going.get("Open output")


def test_links_stay_when_the_task_has_ended(told):
    """After a deferral, in a sensor, and after a failure."""
    assert told.links["deferred"]["Open run"] == told.links["wait"]["Open run"] == told.run["url"]
    assert str(told.links["deferred"]["Open output"]).startswith("https://console.cloud.google.com/bigquery?")
    assert told.links["failing"]["Open run"]
    assert not told.links["failing"]["Open output"]


def test_every_lineage_event_is_one_that_openlineages_client_takes(told):
    ours = [event for event in told.lineage if event["job"]["name"].startswith(f"{PRODUCER}.")]
    assert {event["eventType"] for event in ours} >= {"COMPLETE", "FAIL"}
    for event in ours:
        checked(event)


def test_lineage_leads_from_the_run_to_the_table_that_it_lands_in(told):
    run, load = lineage_of(told, "deferred", "COMPLETE"), lineage_of(told, "land", "COMPLETE")
    output = ("bigquery", told.run["output_location"])
    assert [(one["namespace"], one["name"]) for one in run["outputs"]] == [output]
    assert [(one["namespace"], one["name"]) for one in load["inputs"]] == [output]
    assert [(one["namespace"], one["name"]) for one in load["outputs"]] == [(f"sqlite://{told.warehouse}", "airports")]
    facet = run["run"]["facets"][RUN]
    assert (facet["runId"], facet["parameterNames"]) == (told.run["run_id"], ["state"])


def test_lineage_tells_why_a_run_failed(told):
    facets = lineage_of(told, "failing", "FAIL")["run"]["facets"]
    assert facets[RUN]["state"] == "failed"
    assert facets[RUN]["message"] in facets["errorMessage"]["message"]


def test_a_notifier_of_airflows_own_finds_the_run_in_its_xcom(told):
    assert told.note == f"{told.failed['run_id']}: {told.failed['message']}"
    assert told.failed["message"]

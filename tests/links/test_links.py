"""A task's links: there from the moment of the start, and never an address with a secret."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_workflow_provider.exceptions import TaskStopped
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.links.workflow import (
    OUTPUT_LINK,
    RUN_LINK,
    WorkflowOutputLink,
    WorkflowRunLink,
    page_of,
    presentable,
)
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.provider_info import get_provider_info
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from tests.operators.staging import TaskInstance, context_of, deferred, meanwhile
from tests.sensors.watching import MODES as SENSOR_MODES
from tests.sensors.watching import watched

RUN, OUTPUT = "_link_WorkflowRunLink", "_link_WorkflowOutputLink"


def test_the_run_can_be_opened_while_it_is_going(story):
    """Of every system, in both modes: the address is there before the task has ended."""
    story.lasting(30)
    make = story.operator(story.case.slow)
    if story.mode == "deferrable":
        deferred(make, story.context)
    else:
        task = make()
        seen = []

        def look():
            seen.append(story.ti.pushed_soon(RUN))
            task.on_kill()

        with meanwhile(look), pytest.raises(TaskStopped):
            task.execute(story.context)
        assert seen == [story.ti.xcoms[RUN]]
    assert story.ti.xcoms[RUN] == story.ti.xcoms["run_url"]
    assert urlsplit(story.ti.xcoms[RUN]).scheme == "http"
    assert not [secret for secret in story.hook.system.secrets if secret in story.ti.xcoms[RUN]]


def test_the_apps_page_is_opened_where_the_connection_knows_the_gallery(staged):
    story = staged("alteryx-oauth2")
    story.told()
    assert "/alteryx/gallery/#!app/run/" in story.ti.xcoms[RUN]


@pytest.mark.parametrize("mode", ["sync", "deferrable"])
def test_a_table_of_bigquery_can_be_opened_in_its_console(staged, mode):
    story = staged("carto", mode)
    found = story.told()
    shown = urlsplit(story.ti.xcoms[OUTPUT])
    project, dataset, table = found["output_location"].split(".")
    assert (shown.hostname, shown.path) == ("console.cloud.google.com", "/bigquery")
    assert parse_qs(shown.query) == {"p": [project], "d": [dataset], "t": [table], "page": ["table"]}


@pytest.mark.parametrize("name", ["alteryx-oauth2", "stevesie", "chorus-engine", "invision-dataflow"])
def test_an_output_that_only_an_api_gives_has_no_link(staged, name):
    """Its address wants the connection's credentials, or a signature that has expired by then."""
    story = staged(name)
    story.told()
    assert OUTPUT not in story.ti.xcoms


@pytest.mark.parametrize("mode", SENSOR_MODES)
def test_a_sensor_leads_to_the_run_that_it_waits_for(carto, mode):
    ti = TaskInstance(task_id="wait")
    hook = WorkflowHook.for_system("carto", "carto_default")
    run = hook.start_run(carto["airports_by_state"], {"min_airports": 100})
    watched(carto, mode, context=context_of(ti), run=run)
    assert ti.xcoms[RUN] == run.url
    assert [key for key, _ in ti.pushed if key != RUN] == []


ADDRESSES = [
    ("https://server/a?b=c#!app/1", "https://server/a?b=c#!app/1"),
    ("https://user:secret@server/a", "https://server/a"),
    ("javascript:alert(1)", ""),
    ("s3://bucket/key", ""),
    ("https://[bad", ""),
    ("", ""),
    (None, ""),
]


@pytest.mark.parametrize(("address", "shown"), ADDRESSES)
def test_only_an_address_that_a_browser_opens_is_shown(address, shown):
    ti = TaskInstance()
    RUN_LINK.push(ti, address)
    assert presentable(address) == ti.xcoms.get(RUN, "") == shown


@pytest.mark.parametrize("uri", ["snowflake://a/D/S/T", "https://server/f.csv", "carto://server/w/o"])
def test_what_no_person_can_open_has_no_page(uri):
    assert page_of(uri) == ""


def test_odd_names_reach_the_console_whole():
    assert parse_qs(urlsplit(page_of("bigquery://example.com:p/d/t%24a%20b")).query)["t"] == ["t$a b"]


def test_every_task_that_has_a_run_shows_its_links():
    """Airflow 2.11 shows a link only if the provider has registered it."""
    operator = CartoRunWorkflowOperator(task_id="t", workflow="w")
    sensor = CartoWorkflowRunSensor(task_id="t", run_id="1")
    assert [type(link) for link in operator.operator_extra_links] == [WorkflowRunLink, WorkflowOutputLink]
    assert [type(link) for link in sensor.operator_extra_links] == [WorkflowRunLink]
    assert [link.name for link in (RUN_LINK, OUTPUT_LINK)] == ["Open run", "Open output"]
    registered = {f"{type(link).__module__}.{type(link).__name__}" for link in (RUN_LINK, OUTPUT_LINK)}
    assert set(get_provider_info()["extra-links"]) == registered

"""What a person sees in Airflow's own pages, in a real browser: connection forms, their test, the link to a run.

``SCREENSHOTS=1`` renews the pictures in ``docs/images/``.
"""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from airflow_workflow_provider.provider_info import get_provider_info
from airflow_workflow_provider.systems import SYSTEMS
from scripts.airflow_home import AIRFLOW_3

if find_spec("playwright") is None:
    pytest.skip("the package playwright is not installed", allow_module_level=True)

from tests.system.browser import CHROMIUM, ConnectionForm, a_page, browsing, pictured, said_of_test

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="the program chromium is not installed"),
    pytest.mark.skipif(not AIRFLOW_3, reason="these are the pages of Airflow 3"),
]

IMAGES = Path(__file__).parents[2] / "docs" / "images"
NAMES = {entry["connection-type"]: entry["hook-name"] for entry in get_provider_info()["connection-types"]}
STANDARD = ("host", "schema", "login", "password", "port")
DAG = """
from airflow.sdk import DAG
from airflow_workflow_provider.operators.alteryx import AlteryxRunWorkflowOperator

with DAG("browsed"):
    AlteryxRunWorkflowOperator(
        task_id="never_ending", workflow="5f0e2c00000000000000000b", poll_interval=1, log_interval=1
    )
"""


@pytest.fixture(scope="module")
def airflow(start_airflow, sandbox_server, tmp_path_factory):
    """An Airflow that lets connections be tested, with one that it knows already."""
    folder = tmp_path_factory.mktemp("browsed")
    dag_file = tmp_path_factory.mktemp("dag") / "browsed.py"
    dag_file.write_text(DAG)
    known = {"alteryx_default": sandbox_server.connections()["alteryx_default"]}
    settings = {"core": {"test_connection": "Enabled"}}
    components = ("api", "scheduler", "dag-processor")
    with start_airflow(folder, dag_file, connections=known, settings=settings, components=components) as airflow:
        airflow.wait_until_ready("browsed")
        yield airflow


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture
def page(browser):
    with a_page(browser) as page:
        yield page


@pytest.mark.parametrize("key", SYSTEMS)
def test_a_connection_is_filled_in_saved_and_tested(airflow, sandbox_server, page, key):
    conn_id, system_form = f"my_{key}", SYSTEMS[key].form
    given = sandbox_server.connections()[f"{key}_default"]
    form = ConnectionForm(page, airflow.home.url)
    form.choose(conn_id, NAMES[key])

    for name in STANDARD:
        assert form.field(name).count() == (name not in system_form.hidden), name
        if name in system_form.labels:
            assert form.dialog.get_by_text(system_form.labels[name], exact=True).is_visible()
        if name in system_form.placeholders:
            assert form.field(name).get_attribute("placeholder") == system_form.placeholders[name]
    assert form.field("password").get_attribute("type") == "password"
    picture(form, key, "standard")
    for name in ("host", "login", "password"):
        if name in given:
            form.field(name).fill(given[name])
    form.field("port").fill(str(urlsplit(sandbox_server.url).port))

    form.show("Extra Fields")
    for name, field in system_form.extras.items():
        line = form.more(field.label)
        assert line.get_by_text(field.description, exact=True).is_visible(), name
        is_masked = line.locator('input[type="password"]').count() == 1
        assert is_masked is field.secret, name
    picture(form, key, "extra")
    for name, value in given["extra"].items():
        field = system_form.extras[name]
        form.fill_extra(field.label, value.lower() if field.choices else value)
    form.save()

    said = said_of_test(page, conn_id)
    assert said.startswith("Test Connection Successful\n"), said
    stored = airflow.api("GET", f"connections/{conn_id}")
    assert (stored["conn_type"], stored["host"], stored["password"]) == (key, given["host"], "***")
    shown = [value for value in secrets_of(key, given) if value in stored["extra"]]
    assert not shown


def test_a_test_that_fails_says_why(airflow, sandbox_server, page):
    form = ConnectionForm(page, airflow.home.url)
    form.choose("wrong", NAMES["stevesie"])
    form.field("host").fill(sandbox_server.connections()["stevesie_default"]["host"])
    form.field("port").fill(str(urlsplit(sandbox_server.url).port))
    form.field("password").fill("a-wrong-token")
    form.save()
    said = said_of_test(page, "wrong")
    assert said.startswith("Test Connection Failed\n")
    assert "Check the field 'password' of connection" in said
    assert "a-wrong-token" not in said


@pytest.fixture(scope="module")
def running(airflow, sandbox_server):
    """A DAG run whose task waits for a run that does not end and writes a line each half second."""
    sandbox_server.reset()
    sandbox_server.settings("alteryx", log_lines=240, log_seconds=120)
    run_id = airflow.trigger("browsed")
    yield run_id
    airflow.mark("browsed", run_id, "never_ending", "failed")
    sandbox_server.reset()


def test_open_run_leads_to_the_run_while_its_task_still_runs(airflow, running, page):
    started = started_run(airflow, running)
    page.goto(f"{airflow.home.url}/dags/browsed/runs/{running}/tasks/never_ending/details")
    link = page.get_by_role("link", name="Open run")
    link.wait_for()
    (task,) = airflow.tasks("browsed", running)
    assert task.state == "running"
    with page.expect_popup() as opened:
        link.click()
    assert opened.value.url == started
    opened.value.close()


def test_the_log_of_a_run_is_in_the_page_while_the_run_goes_on(airflow, running, page):
    started_run(airflow, running)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{airflow.home.url}/dags/browsed/runs/{running}/tasks/never_ending")
    page.get_by_text("[run log] line 8 of 240").wait_for()
    (task,) = airflow.tasks("browsed", running)
    assert task.state == "running"
    if os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(IMAGES / "airflow_run_log.png"), animations="disabled")


def started_run(airflow, run_id, timeout=90):
    """The address of the run that the task has started."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return airflow.xcom("browsed", run_id, "never_ending", "run_url")
        except requests.HTTPError:
            assert time.monotonic() < deadline, airflow.log("browsed", run_id, "never_ending")
            time.sleep(0.5)


def secrets_of(key, given):
    """The values of a connection that no page may show."""
    extras = SYSTEMS[key].form.extras
    return [str(value) for name, value in given["extra"].items() if extras[name].secret]


def picture(form, key, section):
    """Renew a picture of the documentation, where that was asked for."""
    if os.environ.get("SCREENSHOTS"):
        pictured(form, IMAGES / f"connection_{key}_{section}.png")

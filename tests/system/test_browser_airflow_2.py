"""The connection form of Airflow 2.11 in a real browser, on the one system that it opens with."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from airflow_workflow_provider.systems import SYSTEMS
from scripts.airflow_home import AIRFLOW_3

if find_spec("playwright") is None:
    pytest.skip("the package playwright is not installed", allow_module_level=True)

from tests.system.browser import CHROMIUM, a_page, browsing

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="the program chromium is not installed"),
    pytest.mark.skipif(AIRFLOW_3, reason="these are the pages of Airflow 2.11"),
]

FORM = SYSTEMS["alteryx"].form


@pytest.fixture(scope="module")
def airflow(start_airflow, tmp_path_factory):
    settings = {"core": {"test_connection": "Enabled"}}
    with start_airflow(tmp_path_factory.mktemp("browsed"), settings=settings, components=("api",)) as airflow:
        airflow.wait_until_ready()
        yield airflow


@pytest.fixture
def page():
    with browsing() as browser, a_page(browser) as page:
        yield page


def test_a_connection_is_filled_in_tested_and_saved(airflow, sandbox_server, page):
    given = sandbox_server.connections()["alteryx_default"]
    page.goto(f"{airflow.home.url}/connection/add")
    page.locator("#conn_type").select_option("alteryx", force=True)
    page.get_by_text(FORM.labels["host"], exact=True).wait_for()
    for name in ("host", "schema", "login", "password", "port"):
        assert page.locator(f"#{name}").is_visible() is (name not in FORM.hidden), name
    for name, label in FORM.labels.items():
        assert page.locator(f"label[for={name}]").inner_text().strip() == label
    for name, field in FORM.extras.items():
        line = page.locator(f"#extra__alteryx__{name}")
        assert line.is_visible(), name
        assert (line.get_attribute("placeholder") or "") == field.placeholder
        assert page.get_by_text(field.description, exact=True).is_visible()

    page.fill("#conn_id", "my_alteryx")
    for name in ("host", "login", "password"):
        page.fill(f"#{name}", given[name])
    page.fill("#extra__alteryx__gallery_url", given["extra"]["gallery_url"])
    page.locator("#test-connection").click()
    page.get_by_text("Alteryx accepts the credentials (OAuth 2, V3)").wait_for()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(lambda url: "/connection/add" not in url)
    stored = airflow.api("GET", "connections/my_alteryx")
    assert (stored["host"], stored["login"]) == (given["host"], given["login"])
    assert json.loads(stored["extra"])["gallery_url"] == given["extra"]["gallery_url"]


def test_an_object_is_edited_as_json(airflow, page):
    """Not as Python writes it, which no JSON reader takes."""
    extra = {"proxies": {"https": "http://proxy:3128"}}
    body = {"connection_id": "with_object", "conn_type": "alteryx", "host": "x", "extra": json.dumps(extra)}
    airflow.api("POST", "connections", body)
    page.goto(f"{airflow.home.url}/connection/list/")
    page.get_by_role("row").filter(has_text="with_object").locator('a[href*="/connection/edit/"]').first.click()
    shown = page.locator("#extra__alteryx__proxies")
    assert json.loads(shown.input_value()) == extra["proxies"]

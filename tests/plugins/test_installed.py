"""The wheels of this package and of the plug-ins, installed: what Airflow, its pages and the command line show."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AIRFLOW_3, AirflowHome, airflow_command
from scripts.processes import free_port
from tests.plugins import wheels

pytestmark = pytest.mark.system
KEYS = {"airflow": "Airflow", "airflow2": "Airflow 2", "prefect": "Prefect"}
DISTRIBUTIONS = {key: f"airflow-workflow-provider-{'prefect' if key == 'prefect' else 'airflow'}" for key in KEYS}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder with the three distributions."""
    return wheels.installed(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def home(site, tmp_path_factory):
    """An Airflow home whose processes find the wheels before anything else."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "dags").mkdir()
    variables = {"PYTHONPATH": str(site), "AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
    made = AirflowHome(folder / "home", dags=folder / "dags", port=free_port(), variables=variables)
    made.prepare()
    return made


def said(home, *command):
    """What a command prints."""
    answer = subprocess.run(command, env=home.environment(), capture_output=True, text=True, check=False, cwd=home.path)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_airflow_lists_the_providers(home):
    rows = json.loads(said(home, airflow_command(), "providers", "list", "-o", "json"))
    names = {row["package_name"]: row for row in rows}
    assert {"airflow-workflow-provider", *DISTRIBUTIONS.values()} <= set(names)
    assert "Prefect" in names["airflow-workflow-provider-prefect"]["description"]


def test_airflow_knows_the_hook_of_each_connection_type(home):
    rows = json.loads(said(home, airflow_command(), "providers", "hooks", "-o", "json"))
    found = {row["connection_type"]: row for row in rows}
    for key, label in KEYS.items():
        assert found[key]["hook_name"] == label
        assert found[key]["package_name"] == DISTRIBUTIONS[key]


def test_the_command_line_lists_the_systems_with_their_distributions(home):
    command = [sys.executable, "-m", "airflow_workflow_provider", "systems", "-o", "json"]
    rows = json.loads(said(home, *command))
    found = {row["system"]: row["distribution"] for row in rows}
    assert {key: f"{name} 0.1.0" for key, name in DISTRIBUTIONS.items()}.items() <= found.items()


@pytest.mark.faults
@pytest.mark.skipif(not AIRFLOW_3, reason="the pages of Airflow 2.11 have tests of their own")
def test_a_connection_is_filled_in_saved_and_tested_in_a_browser(home, tmp_path):
    pytest.importorskip("playwright", reason="playwright is not installed")
    from tests.system.browser import CHROMIUM, ConnectionForm, a_page, browsing, pictured, said_of_test

    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    with AirflowCluster(home, components=("api",)) as airflow:
        airflow.wait_until_ready(timeout=240)
        with browsing() as browser, a_page(browser) as page:
            for key, label in KEYS.items():
                form = ConnectionForm(page, airflow.home.url)
                form.choose(f"{key}_there", label)
                form.field("host").fill(airflow.home.url)
                form.field("port").fill(str(airflow.home.port))  # without one, Airflow takes the test for a change
                pictures = os.environ.get("PICTURES")
                pictured(form, (tmp_path if not pictures else type(tmp_path)(pictures)) / f"{key}.png")
                form.show("Extra Fields")
                assert form.more("Verify TLS").count() == 1
                form.save()
            assert airflow.api("GET", "connections/prefect_there")["conn_type"] == "prefect"
            assert "Airflow accepts the credentials" in said_of_test(page, "airflow_there")

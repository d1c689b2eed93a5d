"""What is built is complete, and Airflow finds it once it is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import airflow_workflow_provider
from airflow_workflow_provider.provider_info import get_provider_info
from scripts.environment import ENVIRONMENTS, pins_file
from scripts.pins import PIN

ROOT = Path(__file__).parent.parent
DISTRIBUTION = "airflow-workflow-provider"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without a network by the build backend of this environment."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_version_has_one_source():
    assert version(DISTRIBUTION) == airflow_workflow_provider.__version__


def test_the_entry_point_gives_the_provider_info():
    (found,) = [point for point in entry_points(group="apache_airflow_provider") if point.dist.name == DISTRIBUTION]
    assert found.load() is get_provider_info


@pytest.mark.system
def test_airflow_lists_the_provider():
    command = [sys.executable, "-W", "ignore", "-m", "airflow", "providers", "get", DISTRIBUTION, "--output", "plain"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert f"{DISTRIBUTION} {airflow_workflow_provider.__version__}" in " ".join(answer.stdout.split())


@pytest.mark.system
def test_the_wheel_holds_every_module_the_examples_the_type_marker_and_the_licence(wheel):
    names = set(wheel.namelist())
    modules = (ROOT / "airflow_workflow_provider").rglob("*.py")
    assert {str(path.relative_to(ROOT)) for path in modules} <= names
    assert {
        f"airflow_workflow_provider/{path.relative_to(ROOT)}" for path in (ROOT / "example_dags").glob("*.py")
    } <= names
    assert "airflow_workflow_provider/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    folders = {name.split("/")[0].partition("-")[0] for name in names}
    assert folders == {"airflow_workflow_provider"}


@pytest.mark.system
def test_the_wheel_says_what_it_is(wheel):
    (path,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(path).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier")
    assert any(url.startswith("Documentation, ") for url in metadata.get_all("Project-URL"))
    extras = set(metadata.get_all("Provides-Extra"))
    assert {"sandbox", "postgres", "openlineage", "yxdb"} <= extras


def test_every_environment_has_plain_pins():
    """Names, versions and markers only, so that they hold on any machine and with any package index."""
    found = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    assert found == set(ENVIRONMENTS)
    odd = []
    for name in sorted(found):
        lines = pins_file(name).read_text().splitlines()
        assert lines
        odd += [f"{name}: {line}" for line in lines if not PIN.fullmatch(line)]
    assert not odd

"""The distributions under ``plugins/`` hold the contract. Their own tests run them against real servers."""

from __future__ import annotations

import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from airflow_workflow_provider.systems import registry
from airflow_workflow_provider.testing.system_contract import SystemContract

PLUGINS = sorted(one.parent for one in (Path(__file__).parents[2] / "plugins").glob("*/pyproject.toml"))
sys.path += [str(folder) for folder in PLUGINS if str(folder) not in sys.path]
PROJECTS = {folder.name: tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in PLUGINS}


def loaded(value):
    """What an entry point leads to."""
    module, _, name = value.partition(":")
    return getattr(import_module(module), name)


ENTRIES = {
    key: value for project in PROJECTS.values() for key, value in project["entry-points"][registry.GROUP].items()
}


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_point_leads_to_a_system_of_its_key(key):
    registry.check(loaded(ENTRIES[key]), key, "plugins/")


@pytest.mark.parametrize("name", PROJECTS)
def test_airflow_gets_a_form_for_each_key(name):
    project = PROJECTS[name]
    info = loaded(project["entry-points"]["apache_airflow_provider"]["provider_info"])()
    assert info["package-name"] == project["name"] == name
    assert [one["connection-type"] for one in info["connection-types"]] == list(project["entry-points"][registry.GROUP])


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_system_takes_at_most_150_lines(folder):
    (system,) = folder.glob("*/system.py")
    assert len(system.read_text().splitlines()) <= 150


class TestAirflow(SystemContract):
    """Another Airflow 3."""

    system = loaded(ENTRIES["airflow"])


class TestAirflow2(SystemContract):
    """An Airflow 2."""

    system = loaded(ENTRIES["airflow2"])


class TestPrefect(SystemContract):
    """Prefect."""

    system = loaded(ENTRIES["prefect"])

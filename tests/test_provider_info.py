"""What the package tells Airflow about itself is well formed, true and complete."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_workflow_provider.provider_info import get_provider_info
from airflow_workflow_provider.systems import SYSTEMS

INFO = get_provider_info()
CONNECTION_TYPES = {entry["connection-type"]: entry for entry in INFO["connection-types"]}


def named_modules() -> list[str]:
    """Every module that the information names."""
    kinds = ("operators", "sensors", "hooks", "triggers")
    named = [module for kind in kinds for entry in INFO[kind] for module in entry["python-modules"]]
    return sorted({*named, *(entry["python-module"] for entry in INFO["transfers"])})


def named_classes(value: Any = INFO) -> Iterator[str]:
    """Every path of a class or function that the information names."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from named_classes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named_classes(inner)
    elif isinstance(value, str) and value.startswith("airflow_workflow_provider.") and value not in named_modules():
        yield value


def test_it_passes_the_schema_of_the_installed_airflow():
    schema = json.loads((Path(airflow.__path__[0]) / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_its_package_is_the_one_that_pyproject_names():
    """Another name would make Airflow find no provider at all."""
    pyproject = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert f'name = "{INFO["package-name"]}"' in pyproject


@pytest.mark.parametrize("module", named_modules())
def test_every_module_it_names_can_be_imported(module):
    importlib.import_module(module)


@pytest.mark.parametrize("path", sorted(set(named_classes())))
def test_every_class_and_function_it_names_exists(path):
    module, _, name = path.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def test_integrations_are_those_that_are_used():
    used = {entry["integration-name"] for kind in ("operators", "sensors", "hooks", "triggers") for entry in INFO[kind]}
    used |= {entry["source-integration-name"] for entry in INFO["transfers"]}
    assert used == {entry["integration-name"] for entry in INFO["integrations"]}


def test_it_names_every_module_that_users_import():
    """A new operator, sensor, hook, trigger or transfer module is not forgotten here."""
    package = Path(__file__).parent.parent / "airflow_workflow_provider"
    systems = {*SYSTEMS, "workflow"}
    wanted = {
        f"airflow_workflow_provider.{kind}.{name}" for kind in ("operators", "sensors", "hooks") for name in systems
    }
    wanted |= {
        f"airflow_workflow_provider.transfers.{path.stem}" for path in (package / "transfers").glob("workflow_to_*.py")
    }
    assert wanted <= set(named_modules())


@pytest.mark.parametrize("key", SYSTEMS)
def test_every_system_has_a_connection_type_with_its_form(key):
    """Airflow 3 reads the form from here, Airflow 2 from the hook, and the connection is checked by the system's."""
    form, entry = SYSTEMS[key].form, CONNECTION_TYPES[key]
    assert entry["conn-fields"].keys() == form.extras.keys()
    for name, field in form.extras.items():
        shown = entry["conn-fields"][name]
        assert (shown["label"], shown["description"]) == (field.label, field.description)
        assert (shown["schema"].get("format") == "password") == field.secret
        assert tuple(shown["schema"].get("enum", ())) == field.choices
    assert entry["ui-field-behaviour"]["relabeling"] == form.labels
    assert entry["ui-field-behaviour"]["hidden-fields"] == list(form.hidden)


@pytest.mark.parametrize("key", SYSTEMS)
def test_a_hook_names_its_connection_type_as_the_information_does(key):
    entry = CONNECTION_TYPES[key]
    module, _, name = entry["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (key, entry["hook-name"])


def test_giving_the_information_imports_neither_airflow_nor_anything_heavy():
    """Every component of Airflow asks for it at its start."""
    program = """
import sys
before = set(sys.modules)
from airflow_workflow_provider.provider_info import get_provider_info
get_provider_info()
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["airflow_workflow_provider"]

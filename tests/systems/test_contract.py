"""What every system has to have. A failure here is the list of what a new system still lacks."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import RunState
from airflow_workflow_provider.protocol.system import COMMON_FIELDS, WorkflowSystem
from airflow_workflow_provider.provider_info import get_provider_info
from airflow_workflow_provider.sandbox.systems import systems as sandbox_systems
from airflow_workflow_provider.systems import SYSTEMS

ROOT = Path(__file__).parent.parent.parent
URL = "http://127.0.0.1:8900"
SANDBOX = {system.key: system for system in sandbox_systems()}
ENTRIES = {entry["connection-type"]: entry for entry in get_provider_info()["connection-types"]}
# The names of DESIGN.md; where a system calls its workflows differently, so do its classes.
OPERATORS = {"invision": "InvisionRunDataFlowOperator"}
SENSORS = {"invision": "InvisionDataFlowRunSensor"}

each_system = pytest.mark.parametrize("key", SYSTEMS)


def facade(kind: str, key: str) -> Any:
    """A system's public class of a kind, imported as a user does."""
    name = {
        "hooks": f"{key.capitalize()}Hook",
        "operators": OPERATORS.get(key, f"{key.capitalize()}RunWorkflowOperator"),
        "sensors": SENSORS.get(key, f"{key.capitalize()}WorkflowRunSensor"),
    }[kind]
    return getattr(importlib.import_module(f"airflow_workflow_provider.{kind}.{key}"), name)


def own_arguments(cls: type) -> list[str]:
    """The arguments that a class itself adds; Airflow wraps constructors."""
    if "__init__" not in cls.__dict__:
        return []
    parameters = inspect.signature(cls.__dict__["__init__"]).parameters.values()
    return [one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)][1:]


def conn_id_arguments(cls: type) -> list[str]:
    """Every argument of a class of ours that names an Airflow connection."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("airflow_workflow_provider.")]
    return [name for base in ours for name in own_arguments(base) if name.endswith("conn_id")]


@each_system
def test_a_system_is_one_subclass_that_says_what_it_is(key):
    system = SYSTEMS[key]
    assert issubclass(system, WorkflowSystem)
    assert (system.key, system.default_conn_id) == (key, f"{key}_default")
    assert system.label
    assert system.poll_interval > 0
    assert not getattr(system, "__abstractmethods__", None)


@each_system
def test_its_states_are_lower_case_words_for_states_of_ours(key):
    """Every state but the queue has a word, and every end can be told."""
    states = SYSTEMS[key].states
    assert all(word == word.lower().strip() for word in states)
    assert all(isinstance(state, RunState) for state in states.values())
    assert {RunState.SUCCEEDED, RunState.FAILED} <= set(states.values())


@each_system
def test_its_hook_has_the_public_name_and_its_connection_type(key):
    hook = facade("hooks", key)
    assert (hook.conn_type, hook.system_key) == (key, key)
    assert (hook.conn_name_attr, hook.default_conn_name) == (f"{key}_conn_id", f"{key}_default")
    assert hook.hook_name == ENTRIES[key]["hook-name"]
    assert ENTRIES[key]["hook-class-name"] == f"{hook.__module__}.{hook.__name__}"
    assert getattr(hook(), f"{key}_conn_id") == f"{key}_default"
    assert getattr(hook("other"), f"{key}_conn_id") == hook("other").conn_id == "other"


@each_system
def test_its_operator_has_the_public_name_and_the_default_connection(key):
    operator = facade("operators", key)(task_id="run", workflow="w")
    assert getattr(operator, f"{key}_conn_id") == f"{key}_default"
    assert operator.system_key == key
    assert set(operator.start_option_names) <= SYSTEMS[key].start_options | {"workflow_api"}


@each_system
def test_its_sensor_has_the_public_name_and_the_default_connection(key):
    sensor = facade("sensors", key)(task_id="wait", run_id="1")
    assert getattr(sensor, f"{key}_conn_id") == f"{key}_default"
    assert (sensor.system_key, sensor.poke_interval) == (key, SYSTEMS[key].poll_interval)


@each_system
@pytest.mark.parametrize("kind", ["operators", "sensors"])
def test_what_a_dag_author_templates_is_a_template_field(key, kind):
    """Connection ids and ``run`` first; nothing that the class does not have."""
    cls = facade(kind, key)
    fields = list(cls.template_fields)
    wanted = conn_id_arguments(cls)
    assert f"{key}_conn_id" in wanted
    assert set(wanted) <= set(fields)
    assert fields[0] == f"{key}_conn_id"
    own = {"operators": ["workflow", "query_parameters", "parameter_types"], "sensors": ["run", "run_id", "workflow"]}
    assert [name for name in fields if name in own[kind]] == own[kind]
    assert len(fields) == len(set(fields))
    made = cls(task_id="t", **({"workflow": "w"} if kind == "operators" else {"run_id": "1"}))
    assert not [name for name in fields if not hasattr(made, name)]


@each_system
def test_its_arguments_are_described(key):
    """Each argument that the façade adds has its ``:param`` line."""
    for kind in ("hooks", "operators", "sensors"):
        cls = facade(kind, key)
        assert not [name for name in own_arguments(cls) if f":param {name}:" not in (cls.__doc__ or "")], kind


@each_system
def test_its_form_is_the_one_that_airflow_3_shows(key):
    """Labels, secrets, placeholders, hidden fields and choices; Airflow 3 reads them from the provider info only."""
    form, entry = SYSTEMS[key].form, ENTRIES[key]
    behaviour, fields = entry["ui-field-behaviour"], entry["conn-fields"]
    extras = {name: field.placeholder for name, field in form.extras.items() if field.placeholder}
    assert behaviour["relabeling"] == dict(form.labels)
    assert behaviour["hidden-fields"] == list(form.hidden)
    assert behaviour["placeholders"] == {**form.placeholders, **extras}
    assert list(fields) == list(form.extras)
    for name, field in form.extras.items():
        shown = fields[name]
        assert (shown["label"], shown["description"]) == (field.label, field.description)
        assert (shown["schema"].get("format") == "password") == field.secret, name
        assert shown["schema"].get("enum", []) == list(field.choices), name
        assert shown["schema"].get("default") == field.default, name


@each_system
def test_its_form_has_the_fields_that_every_connection_understands(key):
    form = SYSTEMS[key].form
    assert set(COMMON_FIELDS) <= set(form.extras)
    assert "extra" not in form.hidden
    assert not set(form.hidden) & set(form.labels)
    assert all(field.label and field.description for field in form.extras.values())


@each_system
def test_the_sandbox_speaks_it_and_its_connections_can_be_used(key):
    assert key in SANDBOX, f"sandbox/systems.py does not serve {key}"
    connections = SANDBOX[key].connections(URL)
    assert f"{key}_default" in connections
    for conn_id, one in connections.items():
        assert one["conn_type"] == key
        fields = {name: one[name] for name in ("host", "schema", "port", "login", "password", "extra") if name in one}
        system = SYSTEMS[key](ConnectionValues(conn_id, **fields))
        assert one.get("password", "") in {"", *system.secrets}
    assert SANDBOX[key].describe(), "the sandbox has no workflow of it to run"


@each_system
@pytest.mark.parametrize("path", ["example_dags/example_{}.py", "docs/systems/{}.md", "tests/samples/{}/README.md"])
def test_it_comes_with_its_example_its_page_and_its_samples(key, path):
    assert (ROOT / path.format(key)).exists(), f"{path.format(key)} is missing"


@each_system
def test_its_page_names_its_classes(key):
    page = ROOT / "docs" / "systems" / f"{key}.md"
    assert page.exists(), f"{page.relative_to(ROOT)} is missing"
    text = page.read_text()
    names = [facade(kind, key).__name__ for kind in ("hooks", "operators", "sensors")]
    assert not [name for name in names if name not in text]


@each_system
def test_airflow_is_told_about_its_modules(key):
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors"):
        named = [module for entry in info[kind] for module in entry["python-modules"]]
        assert f"airflow_workflow_provider.{kind}.{key}" in named

"""Systems of other distributions: found by key, loaded at their first use, harmless when they are broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_workflow_provider import sdk
from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.model import RunState
from airflow_workflow_provider.systems import SYSTEMS, known_keys, registry, system_class
from tests.systems.installing import installations
from tests.systems.test_rest import AcmeSystem

CLASH = "Other.states = {'done': R.SUCCEEDED, 'bad': R.FAILED, 'Done ': R.FAILED}"
GOOD = "from tests.systems.test_rest import AcmeSystem\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install distributions, each with a module and an entry point, for one test."""
    with installations(tmp_path, monkeypatch) as install:
        yield install


def test_a_registered_key_is_a_system_like_any_other(installed):
    installed("good", "acme", GOOD)
    assert known_keys() == [*SYSTEMS, "acme"]
    assert "plug_good" not in sys.modules
    assert system_class("acme") is AcmeSystem
    with pytest.raises(InvalidArgument, match=r"system: 'nothing' is unknown; known: carto, .*, acme"):
        system_class("nothing")


@pytest.mark.parametrize(
    ("code", "value", "says"),
    [
        (
            "raise RuntimeError('no licence')",
            None,
            "cannot be loaded from plug_bad:AcmeSystem. RuntimeError: no licence",
        ),
        ("import a_module_that_is_not_there", None, "ModuleNotFoundError: No module named"),
        ("raise SystemExit('bye')", None, "SystemExit: bye"),
        ("x = 1", None, "has no attribute 'AcmeSystem'"),
        ("AcmeSystem = 5", None, "it is no subclass of WorkflowSystem, but 5"),
        ("class AcmeSystem: pass", None, "it is no subclass of WorkflowSystem"),
        (
            "from airflow_workflow_provider.sdk import WorkflowSystem\nclass AcmeSystem(WorkflowSystem): pass",
            None,
            "it lacks get_run, read, start, test",
        ),
        (f"{GOOD}class Other(AcmeSystem): key = 'other'", "Other", "its field 'key' is 'other', and the entry point"),
        (f"{GOOD}class Other(AcmeSystem): needs_sdk = (1, 99)", "Other", "it needs version 1.99 of the SDK"),
        (f"{GOOD}class Other(AcmeSystem): needs_sdk = (2, 0)", "Other", "it needs version 2.0 of the SDK"),
        (f"{GOOD}class Other(AcmeSystem): pass\nOther.states = {{}}", "Other", "its field 'states' is missing, empty"),
        (
            f"{GOOD}class Other(AcmeSystem): poll_interval = 0",
            "Other",
            "Other.poll_interval: is 0; expected a number",
        ),
        (f"{GOOD}class Other(AcmeSystem): poll_interval = '15'", "Other", "Other.poll_interval: is '15'"),
        (f"{GOOD}class Other(AcmeSystem): needs_sdk = '1.0'", "Other", "its field 'needs_sdk' is '1.0'; expected two"),
        (f"{GOOD}class Other(AcmeSystem): needs_sdk = 1.0", "Other", "its field 'needs_sdk' is 1.0; expected two"),
        (
            f"{GOOD}from airflow_workflow_provider.sdk import RunState as R\nclass Other(AcmeSystem): pass\n{CLASH}",
            "Other",
            "contradicts itself: 'done' stands for RunState.SUCCEEDED and 'Done ' for RunState.FAILED",
        ),
    ],
)
def test_what_cannot_be_used_names_the_distribution_and_harms_no_other(installed, code, value, says):
    installed("bad", "acme", code, value)
    with pytest.raises(InvalidArgument) as caught:
        system_class("acme")
    assert "plug-bad 1.2" in str(caught.value)
    assert says in str(caught.value)
    assert system_class("carto").key == "carto"
    assert "acme" in known_keys()
    with pytest.raises(InvalidArgument) as again:
        system_class("acme")
    assert str(again.value) == str(caught.value)


def test_a_module_that_fails_is_imported_once(installed, tmp_path):
    count = "from pathlib import Path\np = Path(__file__ + '.log')\n"
    count += "p.write_text((p.read_text() if p.exists() else '') + 'x')\n"
    installed("bad", "acme", f"{count}raise RuntimeError('no')")
    for _ in range(3):
        with pytest.raises(InvalidArgument):
            system_class("acme")
    assert (tmp_path / "plug_bad.py.log").read_text() == "x"


def test_a_key_is_a_word(installed):
    installed("odd", "Acme-1", f"{GOOD}class Other(AcmeSystem): key = 'Acme-1'", "Other")
    with pytest.raises(InvalidArgument, match=r"Other\.key: is 'Acme-1'; a key has lower case letters"):
        system_class("Acme-1")


def test_a_key_that_two_distributions_register_is_refused(installed):
    installed("one", "acme", GOOD)
    installed("two", "acme", GOOD)
    with pytest.raises(InvalidArgument, match=r"registered by plug-(one|two) 1.2 and plug-(one|two) 1.2; uninstall"):
        system_class("acme")


def test_a_key_of_this_package_cannot_be_taken(installed):
    installed("thief", "carto", GOOD)
    assert system_class("carto").__module__ == "airflow_workflow_provider.systems.carto.system"
    assert known_keys() == list(SYSTEMS)
    assert "plug_thief" not in sys.modules


def test_states_that_disagree_are_refused():
    class Other(AcmeSystem):
        pass

    Other.states = {"ok": RunState.SUCCEEDED, "bad": "failed"}
    with pytest.raises(InvalidArgument, match="'states' has 'bad'"):
        registry.check(Other, "acme", "here")


def test_a_provider_gets_a_form_and_a_hook(installed):
    """Airflow finds the hook of a registered system by a dotted name, which is made for it."""
    installed("good", "acme", GOOD)
    info = sdk.provider_info(AcmeSystem, "plug-good")
    (entry,) = info["connection-types"]
    assert (entry["connection-type"], entry["hook-name"]) == ("acme", "Acme")
    assert entry["conn-fields"]["verify"]["label"] == "Verify TLS"
    from airflow_workflow_provider.hooks import registered
    from airflow_workflow_provider.hooks.workflow import WorkflowHook

    module, _, name = entry["hook-class-name"].rpartition(".")
    assert module == registered.__name__
    hook = getattr(registered, name)
    assert issubclass(hook, WorkflowHook)
    assert (hook.conn_type, hook.conn_name_attr, hook.hook_name) == ("acme", "acme_conn_id", "Acme")
    assert hook(acme_conn_id="mine").conn_id == "mine"
    assert hook().conn_id == "acme_default"
    with pytest.raises(AttributeError):
        registered.nothing  # noqa: B018  # that it raises is the test


def test_a_slow_or_broken_plug_in_costs_others_nothing(installed, tmp_path):
    """Ten plug-ins, one that sleeps on import and one that raises: the others and the command line go on."""
    for number in range(8):
        installed(f"n{number}", f"n{number}", GOOD)
    for key in ("slow", "bad"):
        touched = "from pathlib import Path\nPath(__file__ + '.imported').touch()\n"
        installed(key, key, f"{touched}raise RuntimeError('no')")
    code = "from airflow_workflow_provider.cli.list_status import systems\n"
    code += "print([row['system'] for row in systems(None, None).rows])"
    environment = {
        "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}",
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "-W", "ignore", "-c", code]
    answer = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert b"'slow'" in answer.stdout
    assert not list(tmp_path.glob("*.imported"))


def test_a_form_is_given_while_airflow_is_imported():
    """Airflow asks a provider for its form during its own import, so the module for forms imports nothing of it."""
    code = (
        "import sys, airflow_workflow_provider.forms\nprint([one for one in sys.modules if one.startswith('airflow.')])"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert answer.stdout.strip() == b"[]"


def test_errors_name_the_distribution_of_the_class_itself(installed):
    """A system that is derived from the system of another distribution is not that distribution's."""
    installed("good", "acme", GOOD)
    loaded = system_class("acme")

    class Derived(loaded):
        pass

    assert loaded.declared("key") == f"{loaded.__name__}.key of plug-good 1.2"
    assert Derived.declared("key") == "Derived.key"

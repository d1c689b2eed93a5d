"""The pytest plugin and its helpers, as a user's own tests load them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from airflow_workflow_provider.sandbox.systems import systems
from airflow_workflow_provider.testing import plugin

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent.parent
PLUGIN = "airflow_workflow_provider.testing.plugin"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "testing.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_page_has_three_examples():
    assert len(EXAMPLES) == 3


@pytest.mark.system
def test_the_examples_of_the_page_pass(pytester, monkeypatch):
    """They are the test files of a project whose pytest has loaded the plugin."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(**{f"test_example_{place}": code for place, code in enumerate(EXAMPLES)})
    result = pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider")
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes()["passed"] == 2 + 2 + 2


def test_pyproject_registers_the_plugin():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert PLUGIN in points["pytest11"].values()


def test_the_plugin_imports_nothing_heavy():
    """Pytest imports it in every project where the package is installed."""
    code = f"import sys, pytest\nbefore = set(sys.modules)\nimport {PLUGIN}\nprint(*sorted(set(sys.modules) - before))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name for name in answer.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name.partition(".")[0] for name in loaded} == {"airflow_workflow_provider"}
    assert len(loaded) == 4, loaded


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.key)
def test_every_system_has_a_setting_that_makes_its_runs_quick(system):
    assert set(plugin.RUN_TIMES) & set(system.settings.to_json())

"""The contract that authors of other systems inherit, played against the systems of this package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest

from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.testing.system_contract import SystemContract

# What the sandbox has for each system: a workflow that succeeds, one that fails, one that runs on.
WORKFLOWS = {
    "carto": ("every_type", "failing", "slow"),
    "alteryx": (None, None, None),
    "stevesie": (None, None, None),
    "chorus": (None, None, None),
    "invision": (None, None, None),
}
FAST = {"carto": {"pending_seconds": 0, "running_seconds": 0}}


def contract_of(key):
    """The contract of one system, with the sandbox as its server."""

    class Contract(SystemContract):
        system = SYSTEMS[key]
        fields: ClassVar[dict] = {
            "login": "a-user",
            "password": "a-secret-0123456789",
            "extra": {"data_api_key": "k-01"},
        }

    Contract.__name__ = Contract.__qualname__ = f"Test{SYSTEMS[key].__name__}"
    return Contract


for _key in SYSTEMS:
    globals()[f"Test{SYSTEMS[_key].__name__}"] = contract_of(_key)


class TestCartoAgainstTheSandbox(SystemContract):
    """All of the contract, against a server."""

    system = SYSTEMS["carto"]
    parameters: ClassVar[dict] = {}

    @pytest.fixture(autouse=True)
    def _workflows(self, sandbox):
        sandbox.settings("carto", **FAST["carto"])
        known = {one.name: one.workflow for one in sandbox.app.systems["carto"].describe()}
        cls = type(self)
        cls.workflow, cls.failing_workflow = known["every_type"], known["failing"]
        cls.endless_workflow = f"CALL `{known['slow']}`(60)"

    @pytest.fixture
    def connection(self, sandbox):
        """The sandbox's connection."""
        one = sandbox.connections()["carto_default"]
        return {name: one[name] for name in ("host", "login", "password", "extra") if name in one}


def example_of(page, name="AcmeSystem"):
    """The class that a page of the documentation shows."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if f"class {name}(" in block]
    found: dict = {"__name__": "docs"}
    exec(compile(code, page, "exec"), found)  # noqa: S102  # the pages are ours
    return found[name]


class TestTheExampleOfTheArchitecture(SystemContract):
    """The system that docs/architecture.md shows holds the same contract."""

    system = example_of("architecture.md")


class TestTheExampleOfTheTutorial(SystemContract):
    """The system that docs/write_a_system.md shows, too."""

    system = example_of("write_a_system.md")

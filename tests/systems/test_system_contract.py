"""The contract that authors of other systems inherit, played against the systems of this package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest

from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.testing.system_contract import SystemContract
from tests.stories.table import CASES

# So that a stopped process of Chorus has a result at once; without one, its end is certain after half a minute only.
STOPPED = {"chorus": {"stopped_status": "FAILURE"}}
# A workfile that is stopped stores no result, so its end is certain after a minute only.
ENDS_LATE = {"chorus-workfile"}


def contract_against_the_sandbox(case):
    """All of the contract, in one of the ways to run workflows, with the sandbox as the server."""

    class Contract(SystemContract):
        system = SYSTEMS[case.system]
        fields: ClassVar[dict] = {
            "login": "a-user",
            "password": "a-secret-0123456789",
            "extra": {"data_api_key": "k-01"},
        }
        workflow, parameters = case.good.workflow, dict(case.good.parameters or {})
        failing_workflow, failing_parameters = case.bad.workflow, dict(case.bad.parameters or {})
        endless_workflow = "" if case.name in ENDS_LATE else case.slow.workflow
        endless_parameters: ClassVar[dict] = dict(case.slow.parameters or {})
        options: ClassVar[dict] = dict(case.options)
        run_timeout, run_poll_interval = 25.0, 0.05

        @pytest.fixture
        def connection(self, sandbox):
            """The sandbox's connection."""
            sandbox.settings(case.system, **case.quick, **STOPPED.get(case.system, {}))
            one = sandbox.connections()[case.conn_id]
            return {name: one[name] for name in ("host", "login", "password", "extra") if name in one}

    Contract.__name__ = Contract.__qualname__ = f"Test{case.name.title().replace('-', '')}"
    return Contract


for _case in CASES:
    _contract = contract_against_the_sandbox(_case)
    globals()[_contract.__name__] = _contract


def test_every_system_plays_the_contract_against_a_server():
    assert {case.system for case in CASES} == set(SYSTEMS)


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

"""The pytest plugin: a sandbox with all systems, its connections in the environment, and what it has seen.

pytest imports this module in every project that has the package installed, so it imports nothing heavy: the sandbox is
loaded by the first test that asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_workflow_provider.sandbox.server import RunningSandbox

# Settings of the sandbox that say how long a run takes, and the value that a test gets, in seconds.
RUN_TIMES = (
    "enqueued_seconds",
    "node_seconds",
    "notice_seconds",
    "pending_seconds",
    "queued_seconds",
    "result_seconds",
    "running_seconds",
)
QUICK = 0.05
EXTRA = "pip install 'airflow-workflow-provider[sandbox]'"


@pytest.fixture(scope="session")
def workflow_sandbox_server() -> Iterator[RunningSandbox]:
    """One sandbox per test session, on a free port of the loopback interface. Tests use ``workflow_sandbox``."""
    try:
        from airflow_workflow_provider.sandbox.server import run_sandbox
    except ModuleNotFoundError as error:
        raise pytest.UsageError(f"the fixture workflow_sandbox needs {error.name!r}: {EXTRA}") from error
    with run_sandbox() as running:
        yield running


@pytest.fixture
def workflow_sandbox(
    workflow_sandbox_server: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningSandbox]:
    """A sandbox of all systems without runs and faults, and its Airflow connections in the environment.

    Runs take about a tenth of a second. ``workflow_sandbox.settings("carto", running_seconds=5)`` makes them slower,
    ``workflow_sandbox.fault(system="carto", kind="status", status=503)`` makes the next request fail.
    """
    workflow_sandbox_server.reset()
    for key, system in workflow_sandbox_server.app.systems.items():
        known = system.settings.to_json()
        workflow_sandbox_server.settings(key, **{name: QUICK for name in RUN_TIMES if name in known})
    for conn_id, connection in workflow_sandbox_server.connections().items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    yield workflow_sandbox_server
    workflow_sandbox_server.reset()


@pytest.fixture
def workflow_runs(workflow_sandbox: RunningSandbox) -> Callable[..., list[dict[str, Any]]]:
    """A function that gives the runs which the sandbox has seen, oldest first: ``workflow_runs("carto")``.

    Each is a dict with ``system``, ``id``, ``workflow``, ``state``, ``parameters``, ``started_at``, ``ended_at`` and
    ``details``. Without a system the function gives the runs of all systems.
    """
    return workflow_sandbox.runs

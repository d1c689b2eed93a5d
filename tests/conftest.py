"""What every test shares: an Airflow home of its own, the sandbox, and how the tests are spread over processes."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from scripts.airflow_home import own_airflow_home

TESTS = Path(__file__).parent

if TYPE_CHECKING:
    from airflow_workflow_provider.sandbox.server import RunningSandbox


# A property test takes as long as it takes, also on a loaded machine, and looks at the same examples each time.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize="FUZZ_SECONDS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("steady")


# Before any test module imports Airflow, which reads its configuration there and then.
AIRFLOW_HOME = own_airflow_home()

# A test of a real Airflow that fails by one of these is run once more: a wait that ran out on a busy machine, or an
# error of Airflow itself on SQLite (its triggerer deletes the row of a trigger while a cleared task still refers to
# it). A wrong figure, such as a run that was started twice, fails at once. pytest's closing line counts the repeats.
PASSING_TROUBLE = (
    "TimeoutError",
    "s still not: ",
    "FOREIGN KEY constraint failed",
    "database is locked",
    "ReadTimeout",
    "ConnectionError",
)

# Folders whose tests do not depend on the version of Airflow: they cover what is below the hooks.
WITHOUT_AIRFLOW = ("client", "fuzz", "golden", "outputs", "protocol", "samples", "sandbox", "systems")
FILES_WITHOUT_AIRFLOW = ("test_docs.py", "test_imports.py", "test_samples.py")
# The tests of loads that depend on the database and the file alone: Airflow gives them a connection and no more.
LOADS_WITHOUT_AIRFLOW = (
    "test_adbc.py",
    "test_checks.py",
    "test_exact_values.py",
    "test_file_copies.py",
    "test_killed_loads.py",
    "test_killed_partitions.py",
    "test_one_load_at_a_time.py",
    "test_resolve.py",
    "test_sql_copy_csv.py",
    "test_sql_copy_failures.py",
    "test_sql_copy_pages.py",
    "test_sql_retries.py",
    "test_sql_values.py",
    "test_table_of_guarantees.py",
    "test_warehouse_bulk.py",
    "test_warehouses.py",
    "test_what_a_load_touches.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--airflow-side`` leaves out the tests that need to run once only, not once per Airflow."""
    parser.addoption("--airflow-side", action="store_true", help="only the tests that depend on the version of Airflow")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what ``--airflow-side`` does not ask for."""
    if not config.getoption("--airflow-side"):
        return None
    inside = collection_path.relative_to(TESTS).parts if collection_path.is_relative_to(TESTS) else ()
    if inside[:1] == ("transfers",):
        return True if inside[-1] in LOADS_WITHOUT_AIRFLOW else None
    return True if inside and inside[0] in (*WITHOUT_AIRFLOW, *FILES_WITHOUT_AIRFLOW) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that start a real Airflow begin first, for they take longest."""
    if unstable := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(
            f"a test's id holds an address, so that processes cannot share the tests: {unstable[:3]}"
        )
    items.sort(key=lambda item: item.get_closest_marker("system") is None)
    for item in items:
        if item.get_closest_marker("system"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=list(PASSING_TROUBLE)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread the tests over processes: two of those that start a real Airflow at a time, the others as they come.

    The marker ``xdist_group`` of pytest-xdist 3.8 has no effect with pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            if path.startswith("tests/system/"):
                return f"real Airflow {path in FIRST_HALF}"
            return path if _is_slow(path) else nodeid

    return Scheduling(config, log)


# About half of the time that the tests of a real Airflow take.
FIRST_HALF = ("tests/system/test_logs.py", "tests/system/test_assets.py", "tests/system/test_browser.py")


@functools.cache
def _is_slow(path: str) -> bool:
    """Whether a file has tests that are marked ``system``; they stay with the others of their file."""
    return "mark.system" in (TESTS.parent / path).read_text()


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[RunningSandbox]:
    """The sandbox, in a thread of the test process."""
    from airflow_workflow_provider.sandbox.server import run_sandbox

    with run_sandbox() as running:
        yield running


@pytest.fixture
def sandbox(sandbox_server: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> RunningSandbox:
    """The sandbox as if just started, with its Airflow connections in the environment."""
    from airflow_workflow_provider.systems.carto.system import CartoSystem

    sandbox_server.reset()
    CartoSystem.signatures.clear()  # as in a new process, so that a test's requests do not depend on those before it
    for conn_id, connection in sandbox_server.connections().items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    return sandbox_server

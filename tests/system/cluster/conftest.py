"""Leaves the cluster out unless it is asked for, and prints the figures at the end."""

from __future__ import annotations

import pytest

from scripts.airflow_home import AIRFLOW_3

collect_ignore = [] if AIRFLOW_3 else ["test_cluster.py"]
FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "cluster: a story of the cluster, which only `make test-cluster` plays")
    config.stash[FIGURES] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the stories unless ``-m cluster`` asks for them."""
    if "cluster" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("cluster")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a line for each story."""
    if config.stash[FIGURES]:
        terminalreporter.section("cluster")
        for line in config.stash[FIGURES]:
            terminalreporter.line(line)

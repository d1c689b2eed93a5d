"""Plays the stories of this folder and tells the figures at the end."""

from __future__ import annotations

import pytest

from scripts.airflow_home import AIRFLOW_3
from tests.system.faults.story import STORIES
from tests.system.faults.theatre import Evening, perform

# Airflow 2 has neither a task state store nor word of a kill; what is promised there is tested without a cluster.
collect_ignore = [] if AIRFLOW_3 else ["test_faults.py"]
EVENING = pytest.StashKey[Evening]()
MARKERS = (
    "faults: a story of the fault suite; without -m faults only the fast ones run",
    "fast: a story that is part of every test run",
    "story(name): the story that a test is about",
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow stories unless faults are asked for, as ``make test-faults`` does."""
    if "faults" in config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("faults") and not item.get_closest_marker("fast")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session")
def evening(request: pytest.FixtureRequest, tmp_path_factory, start_airflow) -> Evening:
    """Play every story whose test is to run; the first test that asks waits for all."""
    wanted = [mark.args[0] for item in request.session.items for mark in item.iter_markers("story")]
    stories = [STORIES[name] for name in wanted] or [one for one in STORIES.values() if one.fast]
    played = perform(stories, tmp_path_factory.mktemp("faults"), start_airflow)
    request.config.stash[EVENING] = played
    return played


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell the figures."""
    evening = config.stash.get(EVENING, None)
    if evening is None:
        return
    outcomes = list(evening.outcomes.values())
    terminalreporter.section("faults")
    for outcome in outcomes:
        terminalreporter.line(outcome.row)
    figures = {
        "runs doubled": sum(outcome.doubled for outcome in outcomes),
        "runs orphaned": sum(outcome.orphaned for outcome in outcomes),
        "results lost": sum(outcome.lost for outcome in outcomes),
        f"of {evening.secrets} secrets found": len(evening.leaks),
    }
    started = sum(outcome.started for outcome in outcomes)
    told = ", ".join(f"{name} {count}" for name, count in figures.items())
    terminalreporter.line(f"stories tried {len(outcomes)}, runs started {started}, {told} ({evening.seconds:.0f} s)")

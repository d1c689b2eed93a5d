"""Every story is told of every case, and in both modes where it asks for a ``story``."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.operators.staging import MODES
from tests.stories.stage import Story
from tests.stories.table import CASES


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request):
    """One way to run workflows."""
    return request.param


@pytest.fixture(params=MODES)
def mode(request):
    """How a task waits."""
    return request.param


@pytest.fixture
def story(case, mode, sandbox, monkeypatch) -> Story:
    """A case in a mode."""
    return Story(case, mode, sandbox, monkeypatch)


@pytest.fixture
def logged(caplog, capfd) -> Callable[[], str]:
    """Everything that is logged or printed until it is asked for."""
    caplog.set_level(logging.DEBUG)
    # It would show whole URLs, and thereby the session that Chorus wants there; in Airflow's logs that is masked.
    caplog.set_level(logging.INFO, "urllib3")

    def text() -> str:
        out, err = capfd.readouterr()
        return f"{caplog.text}{out}{err}"

    return text


@pytest.fixture
def staged(sandbox, monkeypatch) -> Callable[..., Story]:
    """Make the stage of one case by its name, for what only one system has."""
    by_name = {case.name: case for case in CASES}
    return lambda name, mode="sync": Story(by_name[name], mode, sandbox, monkeypatch)

"""Every way to run workflows, in both modes or one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.operators.carto_stage import CartoStage
from tests.operators.staging import MODES
from tests.stories.stage import Story
from tests.stories.table import CASES


@pytest.fixture
def carto(sandbox_server, monkeypatch) -> CartoStage:
    """The sandbox's CARTO, with jobs that take a moment."""
    return CartoStage(sandbox_server, monkeypatch)


@pytest.fixture(params=[(case, mode) for case in CASES for mode in MODES], ids=lambda one: f"{one[0].name}-{one[1]}")
def story(request, sandbox, monkeypatch) -> Story:
    """A case in a mode."""
    case, mode = request.param
    return Story(case, mode, sandbox, monkeypatch)


@pytest.fixture
def staged(sandbox, monkeypatch) -> Callable[..., Story]:
    """Make the stage of one case by its name."""
    by_name = {case.name: case for case in CASES}
    return lambda name, mode="sync": Story(by_name[name], mode, sandbox, monkeypatch)

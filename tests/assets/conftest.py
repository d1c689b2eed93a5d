"""Every way to run workflows, in both modes, and CARTO on the sandbox for what is the same for all."""

from __future__ import annotations

import pytest

from tests.operators.carto_stage import CartoStage
from tests.operators.staging import MODES
from tests.stories.stage import Story
from tests.stories.table import CASES


@pytest.fixture
def carto(sandbox_server, monkeypatch) -> CartoStage:
    """The sandbox's CARTO, with jobs that take a moment."""
    return CartoStage(sandbox_server, monkeypatch)


@pytest.fixture(params=MODES)
def mode(request) -> str:
    """How a task waits."""
    return request.param


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def story(request, mode, sandbox, monkeypatch) -> Story:
    """A case in a mode."""
    return Story(request.param, mode, sandbox, monkeypatch)

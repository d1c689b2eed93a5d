"""Every way to run workflows, in both modes."""

from __future__ import annotations

import pytest

from tests.operators.staging import MODES
from tests.stories.stage import Story
from tests.stories.table import CASES


@pytest.fixture(params=MODES)
def mode(request) -> str:
    """How a task waits."""
    return request.param


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def story(request, mode, sandbox, monkeypatch) -> Story:
    """A case in a mode."""
    return Story(request.param, mode, sandbox, monkeypatch)

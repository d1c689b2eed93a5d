"""CARTO on the sandbox."""

from __future__ import annotations

import pytest

from tests.operators.carto_stage import CartoStage


@pytest.fixture
def carto(sandbox_server, monkeypatch) -> CartoStage:
    """The sandbox's CARTO, with jobs that take a moment."""
    return CartoStage(sandbox_server, monkeypatch)

"""A server that records, and the two drivers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.driving import MODES
from tests.client.recording import RecordingServer, recording_server


@pytest.fixture(scope="session")
def one_server() -> Iterator[RecordingServer]:
    with recording_server() as server:
        yield server


@pytest.fixture
def server(one_server: RecordingServer) -> RecordingServer:
    """A recording server that has heard nothing yet."""
    one_server.script([])
    return one_server


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it runs on a worker and in the triggerer."""
    return str(request.param)

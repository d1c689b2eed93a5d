"""The sandbox, quick, and the environment that the commands have in a shell."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick(sandbox, monkeypatch):
    """The sandbox with runs that take a moment, and its connections in the environment."""
    sandbox.settings("carto", pending_seconds=0.1, running_seconds=0.2)
    sandbox.settings("alteryx", queued_seconds=0.1, running_seconds=0.2)
    sandbox.settings("stevesie", running_seconds=0.2)
    sandbox.settings("chorus", node_seconds=0.1, result_seconds=0.1)
    sandbox.settings("invision", pending_seconds=0.1, running_seconds=0.2)
    # A command sets it for its process, which is ours here.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    return sandbox

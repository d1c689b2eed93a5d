"""Every way to run workflows, in both modes."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.transport.file import FileConfig, FileTransport

from tests.lineage.client import checked, events_in
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


@pytest.fixture
def told(tmp_path):
    """Send what a task tells through the client, and give the event as it arrives, once the client has checked it."""
    file = tmp_path / "events.jsonl"
    client = OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=str(file), append=True)))

    def tell(lineage, state=RunState.COMPLETE):
        run, job = Run(str(uuid4()), lineage.run_facets), Job("airflow", "dag.task", lineage.job_facets)
        client.emit(
            RunEvent(
                eventType=state,
                eventTime=datetime.now(UTC).isoformat(),
                producer="https://example.com",
                run=run,
                job=job,
                inputs=lineage.inputs,
                outputs=lineage.outputs,
            )
        )
        event = events_in(file)[-1]
        checked(event)
        return event

    return tell

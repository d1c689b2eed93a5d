"""Secrets are masked by the thread and in the event loop that Airflow allows to talk to its supervisor."""

from __future__ import annotations

import asyncio
import threading
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

import pytest

from airflow_workflow_provider.hooks.connections import amask, mask
from airflow_workflow_provider.triggers.kill import was_killed
from scripts.airflow_home import AIRFLOW_3, AIRFLOW_VERSION

ONE_THREAD = AIRFLOW_VERSION.startswith(("3.0.", "3.1."))
needs_supervisor = pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 has no supervisor")


def redacted(text: str) -> str:
    """What Airflow makes of a line of the log in this process."""
    for name in ("airflow.sdk._shared.secrets_masker", "airflow.sdk.execution_time.secrets_masker"):
        try:
            return str(import_module(name).redact(text))
        except ImportError:
            continue
    return str(import_module("airflow.utils.log.secrets_masker").redact(text))


class Supervisor:
    """The triggerer's connection to its supervisor: it belongs to one event loop, as Airflow's own."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []

    def send(self, message: Any) -> Any:
        """Send from synchronous code, as `TriggerCommsDecoder` does."""
        from asgiref.sync import async_to_sync

        return async_to_sync(self.asend)(message)

    async def asend(self, message: Any) -> Any:
        """Take note of the loop that sends."""
        self.messages.append((type(message).__name__, asyncio.get_running_loop()))
        return SimpleNamespace(task_states={"r": {"t": "deferred"}})


@pytest.fixture
def supervisor(monkeypatch):
    """A supervisor that answers every message."""
    from airflow.sdk.execution_time import task_runner

    made = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    return made


@needs_supervisor
def test_a_trigger_masks_in_the_loop_that_owns_the_connection(supervisor):
    """A message from another loop or thread ends the triggerer of Airflow 3.0 and 3.1."""

    async def trigger() -> asyncio.AbstractEventLoop:
        await asyncio.gather(*(amask(f"minted-in-a-trigger-{number}") for number in range(5)))
        return asyncio.get_running_loop()

    loop = asyncio.run(trigger())
    assert supervisor.messages == [("MaskSecret", loop)] * 5
    assert "minted-in-a-trigger-3" not in redacted("the token is minted-in-a-trigger-3")


@needs_supervisor
def test_a_trigger_asks_for_its_tasks_state_in_the_loop_that_owns_the_connection(supervisor):
    """The question whether a task was killed is a message as well."""
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)

    async def trigger() -> asyncio.AbstractEventLoop:
        assert not await was_killed(cast("Any", SimpleNamespace(task_instance=ti, trigger_id=1)))
        return asyncio.get_running_loop()

    loop = asyncio.run(trigger())
    assert supervisor.messages == [("GetTaskStates", loop)]


@needs_supervisor
def test_another_thread_of_a_task_sends_nothing_where_answers_would_be_mixed_up(supervisor):
    """The secret is redacted in the task's process everywhere."""
    mask("minted-in-main-thread")
    assert [name for name, _ in supervisor.messages] == ["MaskSecret"]
    thread = threading.Thread(target=mask, args=("minted-in-another-thread",))
    thread.start()
    thread.join()
    assert len(supervisor.messages) == (1 if ONE_THREAD else 2)
    assert "minted" not in redacted("tokens: minted-in-main-thread, minted-in-another-thread")


def test_a_secret_is_redacted_whoever_masks_it():
    """On every Airflow, also without a supervisor."""
    mask("masked-by-a-worker")
    asyncio.run(amask("masked-by-a-trigger"))
    assert "masked-by" not in redacted("masked-by-a-worker and masked-by-a-trigger")

"""A trigger that is cancelled while it asks Airflow for something leaves the other triggers of the process alone.

The requests go over a real socket, by the class that the installed Airflow uses in its triggerer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_workflow_provider.hooks.connections import aload_system, amask
from airflow_workflow_provider.hooks.supervisor import AT_ONCE, ask, finished
from airflow_workflow_provider.triggers.event_watch import _call
from airflow_workflow_provider.triggers.kill import was_killed
from airflow_workflow_provider.triggers.task_log import get_xcom, set_xcom
from scripts.airflow_home import AIRFLOW_3

if not AIRFLOW_3:
    pytest.skip("the triggerer of Airflow 2 asks its database and no supervisor", allow_module_level=True)

TASK = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)
TRIGGER: Any = SimpleNamespace(task_instance=TASK, trigger_id=1)


class Supervisor:
    """The other end of the socket; it answers a request when the test says so."""

    def __init__(self, end):
        self.end, self.answers = end, 0
        self.requests = asyncio.Queue()

    async def read(self):
        """Take down each request."""
        from airflow.sdk.execution_time.comms import _RequestFrame
        from msgspec import msgpack

        reader, self.writer = await asyncio.open_connection(sock=self.end)
        while size := await reader.readexactly(4):
            body = await reader.readexactly(int.from_bytes(size, "big"))
            self.requests.put_nowait(msgpack.decode(body, type=_RequestFrame))

    async def request(self):
        """The next request."""
        return await asyncio.wait_for(self.requests.get(), 10)

    def answer(self, request, body):
        """Answer a request."""
        from airflow.sdk.execution_time.comms import _ResponseFrame

        self.writer.write(_ResponseFrame(id=request.id, body=body).as_bytes())

    async def ok(self):
        """Answer all further requests with nothing."""
        while True:
            self.answer(await self.requests.get(), None)


@pytest.fixture
async def supervisor(monkeypatch):
    """A supervisor, and this process as its triggerer."""
    from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder
    from airflow.sdk.execution_time import task_runner

    ours, its = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    decoder = TriggerCommsDecoder(async_reader=reader, async_writer=writer, socket=ours)
    if hasattr(decoder, "start_reader"):
        await decoder.start_reader()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", decoder, raising=False)
    made = Supervisor(its)
    made.decoder = decoder
    reading = asyncio.ensure_future(made.read())
    yield made
    for task in (reading, getattr(decoder, "_reader_task", None)):
        if task:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, asyncio.IncompleteReadError):
                await task
    for one in (writer, made.writer):
        one.close()


class Store:
    """An asset state store as Airflow 3.3.0 has it, whose calls are requests to the supervisor."""

    def get(self, key):
        """Ask for a variable, which every version can."""
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import GetVariable

        return task_runner.SUPERVISOR_COMMS.send(GetVariable(key=key))


CALLS = {
    "a connection": lambda: aload_system("carto", "carto_unheard_of"),
    "a mask": lambda: amask("a-secret-value"),
    "reading an XCom": lambda: get_xcom(TASK),
    "writing an XCom": lambda: set_xcom(TASK, {"a": 1}),
    "the state of a task": lambda: was_killed(TRIGGER),
    "a cursor": lambda: _call(Store(), "get", "key"),
}


@pytest.mark.parametrize("what", CALLS)
async def test_a_cancelled_request_is_finished(what, supervisor):
    """The answer that comes later is not taken for that of the next request."""
    from airflow.sdk.execution_time.comms import GetVariable

    call = asyncio.ensure_future(CALLS[what]())
    request = await supervisor.request()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    following = asyncio.ensure_future(supervisor.decoder.asend(GetVariable(key="next")))
    await asyncio.sleep(0)
    supervisor.answer(request, None)
    while (request := await supervisor.request()).body.get("key") != "next":
        supervisor.answer(request, None)
    supervisor.answer(request, {"key": "next", "value": "its own", "type": "VariableResult"})
    found = await asyncio.wait_for(following, 10)
    assert found.value == "its own"


async def test_the_work_goes_on():
    """What is cancelled is the waiting; the work is done, and its error disturbs no one."""
    may_end, done = asyncio.Event(), []

    async def work():
        await may_end.wait()
        done.append(1)
        raise ValueError("late")

    waiting = asyncio.ensure_future(finished(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not done
    may_end.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert done == [1]


async def test_the_result_and_the_error_are_handed_on():
    """Who is not cancelled gets what the work gives."""

    async def work(error):
        if error:
            raise error
        return 5

    assert await finished(work(None)) == 5
    with pytest.raises(ValueError, match="no"):
        await finished(work(ValueError("no")))


async def test_requests_that_wait_for_their_turn_are_given_up():
    """While Airflow is slow, cancelled requests do not pile up; those that were sent are finished."""
    may_end, sent, answered = asyncio.Event(), [], []

    async def request(number):
        sent.append(number)
        await may_end.wait()
        answered.append(number)

    asked = [asyncio.ensure_future(ask(lambda number=number: request(number))) for number in range(3 * AT_ONCE)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert sent == list(range(AT_ONCE))
    for one in asked[: 2 * AT_ONCE]:
        one.cancel()
    may_end.set()
    await asyncio.gather(*asked, return_exceptions=True)
    expected = [*range(AT_ONCE), *range(2 * AT_ONCE, 3 * AT_ONCE)]
    assert (sent, answered) == (expected, expected)
    assert [one.cancelled() for one in asked] == [True] * 2 * AT_ONCE + [False] * AT_ONCE

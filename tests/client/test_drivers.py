"""What both drivers promise to a flow."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.exceptions import AuthenticationFailed, InvalidArgument, RunCancelled, WorkflowError
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import Chunk, Note, Now, Request, Secret, Shared, Sleep
from tests.client.driving import EPOCH, driven
from tests.client.recording import Reply


def asking(*effects):
    """A flow that asks for these in turn and gives what it was sent."""

    def flow():
        replies = []
        for effect in effects:
            reply = yield effect
            replies.append(reply)
        return replies

    return flow


def test_a_flow_gets_what_it_asks_for(mode):
    drive = driven(mode, asking(Now(), Sleep(5), Now(), Secret("hidden"), Note("for the log", "warning")))
    assert drive.value == [EPOCH, None, EPOCH + 5, None, None]
    assert (drive.masked, drive.noted) == (["hidden"], ["WARNING: for the log"])


def test_the_same_note_is_logged_once(mode):
    """A poll that says the same thing a thousand times does not fill the log."""
    assert driven(mode, asking(*[Note("again")] * 3, Note("another"))).noted == ["INFO: again", "INFO: another"]


def test_an_answer_has_its_status_its_headers_in_lower_case_and_its_bytes(mode, server):
    server.script([Reply(418, b"\xff\x00", {"X-Thing": "Value"})])
    (response,) = driven(mode, asking(Request("GET", server.url))).value
    assert (response.status, response.headers["x-thing"], response.body) == (418, "Value", b"\xff\x00")


def test_a_shared_flow_gives_its_value_to_who_asks(mode):
    drive = driven(mode, asking(Shared("key", asking(Now())), Shared("key", asking(Sleep(1), Now()))))
    assert drive.value == [[EPOCH], [None, EPOCH + 1]]


def test_the_error_of_a_shared_flow_is_raised_where_it_was_asked_for(mode):
    """Or a hiccup of a log-in could not be waited out by the flow that needs it."""

    def refused():
        raise AuthenticationFailed("no")
        yield

    def flow():
        try:
            yield Shared("key", refused)
        except AuthenticationFailed as error:
            return f"caught {error}"

    assert driven(mode, flow).value == "caught no"


def test_a_flow_is_closed_whatever_happens(mode):
    closed = []

    def flow():
        try:
            yield Now()
            raise WorkflowError("it went wrong")
        finally:
            closed.append(True)

    assert str(driven(mode, flow).error) == "it went wrong"
    assert closed == [True]


def test_what_is_no_effect_is_a_mistake_in_our_code(mode):
    with pytest.raises(TypeError, match="which is no effect"):
        driven(mode, asking("nonsense"))


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "http://exa mple.com"),
        Request("GET", "nonsense"),
        Request("GET", "http://127.0.0.1:99999/"),
        Request("GET", "http://127.0.0.1/", headers={"X": "a\nb"}),
        Request("POST", "http://127.0.0.1/", json={"n": float("nan")}),
    ],
    ids=lambda request: str(request)[:30],
)
def test_a_request_that_cannot_be_built_is_not_sent(mode, request_):
    drive = driven(mode, asking(request_))
    assert isinstance(drive.error, InvalidArgument)
    assert "cannot be sent" in str(drive.error)


def test_a_client_drives_any_number_of_flows(mode, server):
    """One after the other over one connection."""
    server.script([Reply(200, "x")])
    before = len(server.open_sockets)
    driven(mode, asking(*[Request("GET", server.url)] * 10))
    assert len(server.heard) == 10
    assert len(server.open_sockets) - before == 1


def test_a_worker_hands_out_the_chunks_of_a_stream_as_they_come():
    """Two at most are made ahead: one waits, one is in work."""
    client, seen = WorkerClient(Transport()), []

    def flow():
        for number in range(9):
            seen.append(number)
            yield Chunk(number)

    stream = client.stream(flow())
    assert next(stream) == 0
    assert len(seen) <= 3
    assert (list(stream), seen) == (list(range(1, 9)), list(range(9)))
    client.close()


def test_a_stream_that_is_left_early_closes_its_flow():
    client, closed = WorkerClient(Transport()), []

    def flow():
        try:
            yield Chunk(1)
            yield Chunk(2)
        finally:
            closed.append(True)

    stream = client.stream(flow())
    next(stream)
    stream.close()
    assert closed == [True]
    client.close()


def test_a_worker_that_is_told_to_stop_ends_its_wait():
    """A signal handler only sets a flag; the wait, however long, ends with the next nap."""
    client = WorkerClient(Transport())
    threading.Timer(0.05, client.stop).start()
    with pytest.raises(WorkflowError, match="told to stop"):
        client.run(asking(Sleep(3600))())
    client.close()


def test_being_told_to_stop_is_not_the_end_of_the_run():
    """Otherwise a killed task could count as one whose run was cancelled, and be skipped."""
    client = WorkerClient(Transport())
    client.stop()
    with pytest.raises(WorkflowError) as caught:
        client.run(asking(Sleep(3600))())
    assert not isinstance(caught.value, RunCancelled)
    client.close()


async def test_a_thousand_flows_share_sixteen_sockets(server):
    """However many runs wait, their server sees few connections."""
    server.script([Reply(200, "x")])
    before = len(server.open_sockets)
    async with TriggererClient(Transport(timeout=30)) as client:
        await asyncio.gather(*(client.run(asking(Request("GET", server.url))()) for _ in range(1000)))
    assert len(server.heard) == 1000
    assert len(server.open_sockets) - before <= 16


async def test_one_waiter_that_goes_away_does_not_end_the_flow_that_others_share(server):
    going = asyncio.Event()
    made = []

    def log_in():
        made.append(1)
        yield Sleep(0)
        return "token"

    async def sleep(seconds):
        await going.wait()

    async with TriggererClient(Transport(), sleep=sleep) as client:
        waiters = [asyncio.create_task(client.run(asking(Shared("key", log_in))())) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiters[0].cancel()
        going.set()
        assert await asyncio.gather(*waiters[1:]) == [["token"], ["token"]]
    assert (waiters[0].cancelled(), made) == (True, [1])


async def test_a_triggerers_client_wants_to_be_opened():
    with pytest.raises(RuntimeError, match="not open"):
        await TriggererClient(Transport()).run(asking(Request("GET", "http://127.0.0.1/"))())


def test_an_error_of_a_system_shows_no_credential(mode):
    """Also where the system words it from an answer, in its causes, and however the credential is spelled."""

    def flow():
        yield Now()
        try:
            int("s3cret/word")
        except ValueError as error:
            failure = WorkflowError("the server says: s3cret/word, s3cret%2Fword", status=418)
            failure.add_note("while reading s3cret/word")
            raise failure from KeyError("s3cret/word", error)

    error = driven(mode, flow, secrets=("s3cret/word",)).error
    assert (str(error), error.status, error.__notes__) == ("the server says: ***, ***", 418, ["while reading ***"])
    assert error.__cause__.args[0] == "***"
    assert str(error.__context__) == "invalid literal for int() with base 10: '***'"

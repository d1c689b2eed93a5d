"""The table: each flow, played in both modes against one server, asks for the same things in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    CancelRefused,
    InvalidArgument,
    ProtocolError,
    RunTimedOut,
    ServerUnavailable,
    UnknownStart,
)
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Flow
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.protocol.retry import Retry, persist
from airflow_workflow_provider.systems.carto import CartoSystem
from tests.client.driving import EPOCH, MODES, driven
from tests.client.recording import HTML_503, RESET, Reply

STEADY = Retry(random=lambda: 0.5)
TABLE = "p.d.wfproc_1_out_2"
RUN = Run("carto", "carto_c", "p.d.wfproc_1", "job/1 é", outputs=(Output("wfproc_1_out_2", "table", TABLE),))
CALL = "CALL `p.d.wfproc_1`(@n)"

JOB, STATUS = "POST /api/v3/sql/carto_dw/job", "GET /api/v3/sql/carto_dw/job/job%2F1%20%C3%A9"
CANCEL, QUERY = "DELETE /api/v3/sql/carto_dw/job/job%2F1%20%C3%A9", "POST /api/v3/sql/carto_dw/query"
TOKEN, JOBS = "POST /oauth/token", "GET /api/v3/sql/jobs"

CREATED = Reply(200, {"externalId": "job_1", "jobMetadata": {"workflowOutputTableName": TABLE}})
GOING = Reply(200, {"status": {"state": "RUNNING"}})
DONE = Reply(200, {"status": {"state": "DONE"}})
FAILED = Reply(200, {"externalId": "job_1", "status": "failure", "error": "Query error: no such column"})
ROWS = Reply(200, {"rows": [{"a": 1}], "schema": [{"name": "a", "type": "number"}]})
DUMMY = Reply(200, {"rows": [{"dummy": 1}], "schema": [{"name": "dummy", "type": "number"}]})
A_TOKEN = Reply(200, {"access_token": "minted-token", "expires_in": 86400, "token_type": "Bearer"})
SIGNATURE = Reply(200, {"rows": [{"parameter_name": "n", "ordinal_position": 1}]})
NO = Reply(401, {"error": "Token expired", "status": 401})
BUSY = Reply(429, {"error": "slow down"}, {"Retry-After": "7"})


def start(workflow: str = CALL, parameters: Any = None, **options: Any) -> Callable[[CartoSystem], Flow[Run]]:
    """The start as the hook makes it."""
    return lambda system: persist(
        lambda: system.start(workflow, {"n": 5} if parameters is None else parameters, options), STEADY
    )


def look(system: CartoSystem) -> Flow[Run]:
    """One look as the hook makes it."""
    return persist(lambda: system.look(RUN), STEADY)


def cancel(system: CartoSystem) -> Flow[None]:
    """The cancel as the hook makes it."""
    return persist(lambda: system.cancel(RUN), STEADY)


def waiting(seconds: float | None = None) -> Callable[[CartoSystem], Flow[Run]]:
    """The wait of operators, sensors and triggers."""
    deadline = None if seconds is None else EPOCH + seconds
    return lambda system: wait(system.look, RUN, poll_interval=5.0, deadline=deadline, watch=STEADY)


def check(system: CartoSystem) -> Flow[str]:
    """The connection test."""
    return system.test()


@dataclass(frozen=True)
class Case:
    """A flow, what the server answers, what it is to be asked, and what comes of it."""

    flow: Callable[[CartoSystem], Flow[Any]]
    replies: list[Reply]
    asked: list[str]
    comes_to: Any
    oauth: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    slept: float = 0.0


TABLE_OF_CASES = {
    "start": Case(start(), [CREATED], [JOB], RunState.QUEUED),
    "start without parameters": Case(start("p.d.wfproc_1", {}), [CREATED], [JOB], RunState.QUEUED),
    "start with unicode": Case(
        start("CALL p(@s)", {"s": "Zürich 東京 🛩 \u2028 \"'"}), [CREATED], [JOB], RunState.QUEUED
    ),
    "start a whole CALL": Case(start("CALL `p.d.x`(@n)"), [CREATED], [JOB], RunState.QUEUED),
    "start by position": Case(
        start("p.wf", [5, "a"]), [CREATED], [JOB], RunState.QUEUED, extra={"warehouse": "snowflake"}
    ),
    "start elsewhere": Case(
        start(carto_connection="my dw/1"), [CREATED], ["POST /api/v3/sql/my%20dw%2F1/job"], RunState.QUEUED
    ),
    "start by name": Case(start("p.d.wfproc_1"), [SIGNATURE, CREATED], [QUERY, JOB], RunState.QUEUED),
    "start by name, signature not readable": Case(
        start("p.d.wfproc_1"), [Reply(403), CREATED], [QUERY, JOB], RunState.QUEUED
    ),
    "start by name, unknown parameter": Case(start("p.d.wfproc_1", {"m": 5}), [SIGNATURE], [QUERY], InvalidArgument),
    "start, 429": Case(start(), [BUSY, CREATED], [JOB, JOB], RunState.QUEUED, slept=7.5),
    "start, answer lost": Case(start(), [RESET], [JOB], UnknownStart),
    "start, half an answer": Case(start(), [replace(CREATED, breaks="half")], [JOB], UnknownStart),
    "start, no HTTP": Case(start(), [Reply(breaks="garbage")], [JOB], UnknownStart),
    "start, 503 html": Case(start(), [HTML_503], [JOB], UnknownStart),
    "start, 401": Case(start(), [NO], [JOB], AuthenticationFailed),
    "start, OAuth": Case(start(), [A_TOKEN, CREATED], [TOKEN, JOB], RunState.QUEUED, oauth=True),
    "start, OAuth, 401 then renewed": Case(
        start(), [A_TOKEN, NO, A_TOKEN, CREATED], [TOKEN, JOB, TOKEN, JOB], RunState.QUEUED, oauth=True
    ),
    "start, OAuth server 503": Case(
        start(), [HTML_503, A_TOKEN, CREATED], [TOKEN, TOKEN, JOB], RunState.QUEUED, oauth=True, slept=0.5
    ),
    "start, OAuth server resets": Case(
        start(), [RESET, A_TOKEN, CREATED], [TOKEN, TOKEN, JOB], RunState.QUEUED, oauth=True, slept=0.5
    ),
    "start, OAuth refused": Case(start(), [NO], [TOKEN], AuthenticationFailed, oauth=True),
    "look, going": Case(look, [GOING], [STATUS], RunState.RUNNING),
    "look, failed": Case(look, [FAILED], [STATUS], RunState.FAILED),
    "look, succeeded": Case(look, [DONE, ROWS], [STATUS, QUERY], RunState.SUCCEEDED),
    "look, succeeded with a dummy": Case(look, [DONE, DUMMY], [STATUS, QUERY], RunState.SUCCEEDED),
    "look, output not readable": Case(look, [DONE, NO], [STATUS, QUERY], RunState.SUCCEEDED),
    "look, output by its own token": Case(
        look, [DONE, ROWS], [STATUS, QUERY], RunState.SUCCEEDED, extra={"read_token": "read-token"}
    ),
    "look, compressed": Case(look, [replace(GOING, headers={"Content-Encoding": "gzip"})], [STATUS], RunState.RUNNING),
    "look, cookie": Case(
        look, [replace(DONE, headers={"Set-Cookie": "session=1"}), ROWS], [STATUS, QUERY], RunState.SUCCEEDED
    ),
    "look, redirect": Case(look, [Reply(302, "", {"Location": "/login"})], [STATUS], ProtocolError),
    "look, 503 html": Case(look, [HTML_503, GOING], [STATUS, STATUS], RunState.RUNNING, slept=0.5),
    "look, reset": Case(look, [RESET, GOING], [STATUS, STATUS], RunState.RUNNING, slept=0.5),
    "look, half an answer": Case(
        look, [replace(GOING, breaks="half"), GOING], [STATUS, STATUS], RunState.RUNNING, slept=0.5
    ),
    "look, 429": Case(look, [BUSY, GOING], [STATUS, STATUS], RunState.RUNNING, slept=7.5),
    "look, 401": Case(look, [NO], [STATUS], AuthenticationFailed),
    "look, OAuth, 401 then renewed": Case(
        look, [A_TOKEN, NO, A_TOKEN, GOING], [TOKEN, STATUS, TOKEN, STATUS], RunState.RUNNING, oauth=True
    ),
    "wait": Case(waiting(), [GOING, GOING, DONE, ROWS], [STATUS] * 3 + [QUERY], RunState.SUCCEEDED, slept=10.0),
    "wait through faults": Case(
        waiting(),
        [HTML_503, RESET, BUSY, NO, Reply(404), Reply(400), Reply(200, "<html>"), FAILED],
        [STATUS] * 8,
        RunState.FAILED,
        slept=61.0,
    ),
    "wait, 401 for good": Case(waiting(), [NO], [STATUS] * 5, ServerUnavailable, slept=20.0),
    "wait, out of time": Case(waiting(12), [GOING], [STATUS] * 4, RunTimedOut, slept=12.0),
    "wait, OAuth server 503": Case(
        waiting(), [HTML_503, A_TOKEN, FAILED], [TOKEN, TOKEN, STATUS], RunState.FAILED, oauth=True, slept=5.0
    ),
    "wait, OAuth server 404": Case(
        waiting(), [Reply(404), A_TOKEN, FAILED], [TOKEN, TOKEN, STATUS], RunState.FAILED, oauth=True, slept=5.0
    ),
    "cancel": Case(cancel, [Reply(200, {"status": "cancelled"})], [CANCEL], None),
    "cancel, no body": Case(cancel, [Reply(204)], [CANCEL], None),
    "cancel, had ended": Case(
        cancel, [Reply(400, {"error": ["Job is already finished"]}), DONE], [CANCEL, STATUS], None
    ),
    "cancel, gone": Case(cancel, [Reply(404), Reply(404)], [CANCEL, STATUS], None),
    "cancel, refused": Case(cancel, [Reply(409), GOING], [CANCEL, STATUS], CancelRefused),
    "cancel, 503 html": Case(cancel, [HTML_503, Reply(200)], [CANCEL, CANCEL], None, slept=0.5),
    "test": Case(check, [Reply(200, [])], [JOBS], "CARTO accepts the credentials"),
    "test, 401": Case(check, [NO], [JOBS], AuthenticationFailed),
    "test, OAuth": Case(check, [A_TOKEN, Reply(200, [])], [TOKEN, JOBS], "CARTO accepts the credentials", oauth=True),
}


def system_for(case, server):
    """CARTO below a path prefix of the recording server."""
    login = {"login": "client-id", "extra": {"token_url": f"{server.url}/oauth/token"}} if case.oauth else {}
    values = ConnectionValues("carto_c", host=f"{server.url}/api/", password="given-secret", **login)
    return CartoSystem(replace(values, extra={**values.extra, **case.extra}))


def played(case, mode, server):
    """Play a case in one mode."""
    server.script(case.replies)
    CartoSystem.signatures.clear()  # what a mode has read is not known to the other one
    system = system_for(case, server)
    return driven(mode, lambda: case.flow(system), system.transport)


def told(value):
    """What counts of an outcome for the table: a run's state, an error's kind."""
    return value.state if isinstance(value, Run) else value


@pytest.mark.parametrize("case", TABLE_OF_CASES.values(), ids=TABLE_OF_CASES)
def test_both_modes_ask_for_the_same_in_the_same_way(case, server):
    """Method, path, query, every header and the body are equal, and so is what comes of it."""
    heard, drives = [], []
    for mode in MODES:
        drives.append(played(case, mode, server))
        heard.append(server.heard)
        assert server.asked == case.asked
        outcome = type(drives[-1].error) if drives[-1].error else told(drives[-1].value)
        assert outcome == case.comes_to
        assert drives[-1].slept == pytest.approx(case.slept)
    worker, triggerer = drives
    assert heard[0] == heard[1]
    assert worker.value == triggerer.value
    assert (worker.masked, worker.noted) == (triggerer.masked, triggerer.noted)


def test_a_request_carries_what_it_should(server):
    """One request in full, as both modes send it."""
    for mode in MODES:
        played(TABLE_OF_CASES["start"], mode, server)
        (heard,) = server.heard
        del heard.headers["host"]
        assert heard.headers == {
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "authorization": "Bearer given-secret",
            "content-length": str(len(heard.body)),
            "content-type": "application/json",
            "user-agent": "airflow-workflow-provider",
        }
        assert heard.body == b'{"query": "CALL `p.d.wfproc_1`(@n)", "queryParameters": {"n": 5}}'


def test_the_table_has_every_flow_that_both_modes_play():
    """A new flow of a system wants its rows; what only a worker does is reading results."""
    assert {"start", "look", "wait", "cancel", "test"} <= {name.partition(",")[0] for name in TABLE_OF_CASES}

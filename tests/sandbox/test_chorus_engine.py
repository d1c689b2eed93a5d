"""Chorus' engine API: run with variables, query, stop, and who may."""

from __future__ import annotations

import json
import re
import time

import pytest
import requests

WEATHER, AIRPORTS, SLOW, FAILING, SQL_FILE = 1000004, 1000005, 1000007, 1000008, 1000014
ENDED = "invalid processId or workflow already stopped.\n"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def eventually(holds):
    """Wait until something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.01)


class Engine:
    """Both APIs as a caller with ``requests`` sees them."""

    def __init__(self, sandbox, login=("sandbox", "sandbox-chorus-password")):
        self.sandbox = sandbox
        self.root, self.api = f"{sandbox.url}/chorus/alpinedatalabs/api/v1/json", f"{sandbox.url}/chorus/api"
        fields = dict(zip(("username", "password"), login, strict=True)) | {"session_id": "NULL"}
        self.token = requests.post(f"{self.api}/sessions", data=fields, timeout=5).json()["response"]["session_id"]

    def call(self, method, path, **more):
        """One request with the token in its header."""
        headers = {"x-token": self.token} | more.pop("headers", {})
        return requests.request(method, self.root + path, headers=headers, timeout=10, **more)

    def run(self, workflow, params=None, **variables):
        """Start a flow with variables; the answer."""
        named = [{"name": f"@{name}", "value": value} for name, value in variables.items()]
        body = {"meta": {"version": 1}, "variables": named}
        return self.call("POST", f"/workflows/{workflow}/run", json=body if named else None, params=params)

    def start(self, workflow, params=None, **variables):
        """Start a flow; the id of the process."""
        answer = self.run(workflow, params, **variables)
        assert answer.status_code == 200, answer.text
        return answer.json()["meta"]["processId"]

    def query(self, process):
        """The answer about a process."""
        return self.call("GET", f"/processes/{process}/query")

    def results(self, workflow, process):
        """The text inside the answer's JSON string."""
        return self.call("GET", f"/workflows/{workflow}/results/{process}").json()

    def over(self, process):
        """Wait until nothing is known of a process any more."""
        eventually(lambda: self.query(process).text == ENDED)


@pytest.fixture
def engine(sandbox):
    """A member of the workspaces; flows take as long as their SQL."""
    sandbox.settings("chorus", node_seconds=0.02, result_seconds=0)
    return Engine(sandbox)


def test_run_answers_the_process(sandbox, engine):
    """200 with ids as text; without a body the defaults count."""
    answer = engine.run(AIRPORTS)
    content = answer.json()
    process = content["meta"].pop("processId")
    assert content == {
        "meta": {"workflowId": str(AIRPORTS), "user": "1000006", "state": "STARTED"},
        "message": "workflow started",
        "results": "",
    }
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    (run,) = sandbox.runs("chorus")
    assert (run["id"], run["workflow"], run["parameters"]) == (process, str(AIRPORTS), {"@state": "TX"})


def test_query_tells_the_operator_while_it_runs(engine):
    """JSON with a state in progress, and the operator's note as JSON inside the message."""
    process = engine.start(SLOW)
    eventually(lambda: engine.query(process).json()["meta"]["state"] == "IN_PROGRESS")
    content = engine.query(process).json()
    assert content["message"].startswith("In progress, processing node: Sleep, message:{")
    note = json.loads(content["message"].partition("message:")[2])
    assert (note["analyticNodeName"], note["messageType"], note["props"]) == ("Sleep", "Info", {})
    assert re.fullmatch(r"[A-Z][a-z]{2} \d\d?, \d{4} \d\d?:\d\d:\d\d [AP]M", note["timeStamp"])


def test_states_on_the_way(sandbox, engine):
    """Each operator starts, is in progress and has finished; a state that nobody knows is a switch."""
    sandbox.settings("chorus", node_seconds=0.2)
    process, seen = engine.start(WEATHER), set()
    while (answer := engine.query(process)).text != ENDED:
        seen.add(answer.json()["meta"]["state"])
    assert {"NODE_STARTED", "IN_PROGRESS"} <= seen <= {"STARTED", "NODE_STARTED", "IN_PROGRESS", "NODE_FINISHED"}
    sandbox.settings("chorus", state_word="PAUSED")
    assert engine.query(engine.start(SLOW)).json()["meta"]["state"] == "PAUSED"


@pytest.mark.parametrize(
    ("style", "text"),
    [("processId", ENDED), ("processID", "invalid processID or workflow already stopped.\n"),
     ("not_started", "Workflow not started or already stopped.\n")],
)  # fmt: skip
def test_ended_failed_and_unknown_are_the_same_text(sandbox, engine, style, text):
    """Status 200, plain text that calls itself JSON."""
    sandbox.settings("chorus", finished_text=style)
    failed = engine.start(FAILING)
    eventually(lambda: sandbox.runs("chorus")[0]["state"] == "failed")
    for process in (failed, UNKNOWN):
        answer = engine.query(process)
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"


@pytest.mark.parametrize(
    ("style", "taken", "over"),
    [("json", '{"status":"Flow stopped.\\n"}', {"status": ENDED}), ("text", "request accepted.\n", ENDED)],
)
def test_stop_in_both_dialects(sandbox, engine, style, taken, over):
    """Accepted, then gone from the query; a stopped run has no results unless a switch says so."""
    sandbox.settings("chorus", stop_style=style)
    process = engine.start(SLOW)
    assert engine.call("POST", f"/processes/{process}/stop").text == taken
    engine.over(process)
    again = engine.call("POST", f"/processes/{process}/stop")
    assert (again.json() if style == "json" else again.text) == over
    assert engine.results(SLOW, process) == ""
    sandbox.settings("chorus", stopped_status="FAILURE")
    assert json.loads(engine.results(SLOW, process))["flowMetaInfo"]["status"] == "FAILURE"


def test_stop_is_asynchronous_and_may_do_nothing(sandbox, engine):
    """What is accepted takes time, or is never done."""
    sandbox.settings("chorus", stop_seconds=0.4)
    process = engine.start(SLOW)
    engine.call("POST", f"/processes/{process}/stop")
    assert engine.query(process).json()["meta"]["processId"] == process
    engine.over(process)
    sandbox.settings("chorus", stop_ignored=True)
    process = engine.start(SLOW)
    sandbox.settings("chorus", stop_seconds=0)
    assert engine.call("POST", f"/processes/{process}/stop").status_code == 200
    time.sleep(0.1)
    assert engine.query(process).json()["meta"]["processId"] == process


def test_token_in_header_or_query(sandbox, engine):
    """Either way; none, a wrong one and one whose session is over are 401 in plain text."""
    path = f"{engine.root}/processes/{UNKNOWN}/query"
    assert requests.get(path, params={"token": engine.token}, timeout=5).text == ENDED
    text = "The resource requires authentication, which was not supplied with the request"
    sandbox.settings("chorus", session_seconds=0.0)
    time.sleep(0.01)
    for headers in ({}, {"x-token": "nonsense"}, {"x-token": engine.token}):
        answer = requests.get(path, headers=headers, timeout=5)
        assert (answer.status_code, answer.text) == (401, text)
        assert answer.headers["Content-Type"].split(";")[0] == "text/plain"


@pytest.mark.parametrize(("touches", "status"), [(False, 401), (True, 200)])
def test_engine_calls_do_not_keep_a_session(sandbox, engine, monkeypatch, touches, status):
    """Polling the engine lets the Rails session end; a switch says otherwise."""
    sandbox.settings("chorus", engine_touches_session=touches)
    sessions, now = sandbox.app.systems["chorus"].sessions, time.monotonic()
    for later, expected in ((20_000, 200), (40_000, status)):
        monkeypatch.setattr(sessions, "clock", lambda: now + later)  # noqa: B023 - asked while it is set
        assert engine.query(UNKNOWN).status_code == expected


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"meta": {"version": 2}}', "invalid API version: 2"),
        ('{"meta": {"version": 1}, "variables": [{"name": "@nosuch", "value": "1"}]}', "unknown variable: @nosuch"),
        ('{"meta": {"version": 1}, "variables": [{"name": "@state", "value": 1}]}', "variable @state is not a string"),
        ("nonsense", "invalid request body"),
        ("{}", "invalid request body"),
    ],
)
def test_bodies_that_are_refused(sandbox, engine, body, text):
    """422 in plain text, and nothing starts."""
    answer = engine.call("POST", f"/workflows/{AIRPORTS}/run", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert text in answer.text
    assert answer.headers["Content-Type"].split(";")[0] == "text/plain"
    assert sandbox.runs("chorus") == []


def test_unknown_variables_may_be_ignored(sandbox, engine):
    """What the engine does with them is not known, hence a switch."""
    sandbox.settings("chorus", unknown_variable="ignored")
    assert engine.run(AIRPORTS, nosuch="1").status_code == 200


def test_start_that_takes_too_long_is_an_error(sandbox, engine):
    """``startTimeOut`` is over before the flow starts; it starts all the same."""
    sandbox.settings("chorus", start_seconds=0.1)
    assert engine.run(AIRPORTS, {"startTimeOut": "0.02"}).status_code == 500
    assert engine.run(AIRPORTS).status_code == 200
    eventually(lambda: [run["state"] for run in sandbox.runs("chorus")] == ["succeeded", "succeeded"])


def test_who_and_what_may_not_run(sandbox, engine):
    """Unknown flows, SQL files, strangers, no licence, no engine."""
    viewer = Engine(sandbox, ("viewer", "sandbox-chorus-viewer-password"))
    assert [engine.run(number).status_code for number in (1, SQL_FILE)] == [404, 404]
    assert viewer.run(WEATHER).status_code == 403
    sandbox.settings("chorus", api_enabled=False)
    assert engine.run(WEATHER).status_code == 403
    sandbox.settings("chorus", engine_down=True)
    answer = engine.run(WEATHER)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (502, "text/html")
    assert sandbox.runs("chorus") == []

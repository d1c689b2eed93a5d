"""Profitbase Flow beside InVision: submit, poll, log, list, and the synchronous run."""

from __future__ import annotations

import time

import pytest
import requests

EXECUTION, DATA, _, FLOW, TENANT, WORKSPACE = (f"5a9d000{at}-0000-4000-8000-00000000ab0{at}" for at in range(1, 7))
EMPLOYMENT, WARNING, ROWS, SLOW, FAILING = (f"6e1f000{at}-8d2a-4b7c-b6f4-0d5eed00000{at}" for at in range(1, 6))


class Flow:
    """The API as a caller with ``requests`` sees it."""

    def __init__(self, sandbox):
        self.base = f"{sandbox.url}/invision"

    def send(self, method, path, key=FLOW, prefix="/corellia", place=(TENANT, WORKSPACE), **more):
        """One request with the key in its header."""
        root = f"{self.base}{prefix}/api/v1/tenants/{place[0]}/workspaces/{place[1]}/flows/"
        headers = {"x-api-key": key} if key else {}
        return requests.request(method, root + path, headers=headers, timeout=10, **more)

    def submit(self, flow, env="Production", **arguments):
        """Submit a Flow; the id of the job."""
        answer = self.send("POST", f"{flow}/submit", params={"env": env}, json=arguments)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"jobId"}
        return answer.json()["jobId"]

    def poll(self, flow, job, after=0):
        """The answer of a poll."""
        answer = self.send("GET", f"{flow}/diagnostics/executions/{job}/poll", params={"logItemId": after})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ended(self, flow, job):
        """The state of a job once it has ended."""
        deadline = time.monotonic() + 10
        while (state := self.poll(flow, job)["executionState"]) < 2:
            assert time.monotonic() < deadline, "the job does not end"
            time.sleep(0.01)
        return state


@pytest.fixture
def flow(sandbox):
    """A caller; runs take as long as their SQL."""
    sandbox.settings("invision", pending_seconds=0, running_seconds=0)
    return Flow(sandbox)


def test_states_are_numbers(sandbox, flow):
    """Submitted, running, completed."""
    sandbox.settings("invision", pending_seconds=0.1, running_seconds=0.1)
    job, seen = flow.submit(EMPLOYMENT), []
    while not seen or seen[-1] < 2:
        state = flow.poll(EMPLOYMENT, job)["executionState"]
        seen += [state] if state not in seen[-1:] else []
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(("which", "state"), [(EMPLOYMENT, 2), (WARNING, 3), (FAILING, 4)])
def test_three_ways_to_end(flow, which, state):
    """Completed, completed with a warning, failed."""
    assert flow.ended(which, flow.submit(which)) == state


def test_log_in_steps_and_at_once(flow):
    """A poll has the items after the one that it names; the log has all."""
    job = flow.submit(FAILING)
    flow.ended(FAILING, job)
    items = flow.poll(FAILING, job)["logItems"]
    assert [item["type"] for item in items] == [2, 5]
    assert set(items[0]) == {"flowId", "jobId", "nodeId", "data", "type", "logTimeStamp", "logItemId"}
    assert (items[1]["jobId"], "Could not convert" in items[1]["data"]) == (job, True)
    assert flow.poll(FAILING, job, items[0]["logItemId"])["logItems"] == items[1:]
    assert flow.send("GET", f"{FAILING}/diagnostics/executions/{job}/log").json() == items


def test_payload_are_arguments_and_rows_carry_the_job(sandbox, flow):
    """The body of the trigger decides what is written; the data API reads it."""
    job = flow.submit(EMPLOYMENT, sector="utilities", fromMonth="2015-10-01")
    flow.ended(EMPLOYMENT, job)
    rows = requests.get(
        f"{flow.base}/api/pub/v1/db/objects/Employment by Sector/data",
        {"q": f'{{RunId == "{job}"}}'},
        headers={"x-api-key": DATA},
        timeout=5,
    ).json()
    assert [row["Sector"] for row in rows] == ["utilities"] * 3
    assert sandbox.runs("invision")[0]["details"]["environment"] == "Production"


def test_executions_of_an_environment(flow):
    """Names and numbers of an environment are the same; others have runs of their own."""
    job, other = flow.submit(FAILING, "Test"), flow.submit(FAILING, "0")
    flow.ended(FAILING, job)
    flow.ended(FAILING, other)
    path = f"{FAILING}/diagnostics/executions"
    (run,) = flow.send("GET", path, params={"env": "1"}).json()
    assert (run["jobId"], run["environment"], run["state"]) == (job, 1, 4)
    assert (run["tenantId"], run["workspaceId"], run["flowId"]) == (TENANT, WORKSPACE, FAILING)
    assert "Could not convert" in run["message"]
    assert run["startTime"] <= run["endTime"]
    assert [one["jobId"] for one in flow.send("GET", path, params={"env": "development"}).json()] == [other]
    assert flow.send("GET", path, params={"env": "Production"}).json() == []


def test_synchronous_run(sandbox, flow):
    """The Flow's value, with the job's id in a header; a failure is 500, too long a run 504."""
    answer = flow.send("POST", f"{ROWS}/run", params={"env": "2"}, json={"rows": 7})
    assert (answer.status_code, answer.json()) == (200, {"rows": 7})
    assert flow.poll(ROWS, answer.headers["flow-job-id"])["executionState"] == 2
    assert flow.send("POST", f"{FAILING}/run").status_code == 500
    sandbox.settings("invision", flow_run_seconds=0.05)
    assert flow.send("POST", f"{SLOW}/run").status_code == 504


def test_older_path_and_binary_payload(flow):
    """Older pages have no ``corellia`` in the path; a payload that is no JSON carries no arguments."""
    assert flow.send("POST", f"{EMPLOYMENT}/submit", prefix="", data=b"\x00\x01").status_code == 200


def test_refusals(flow):
    """Its own key, in one place; known ids; a known environment."""
    job = flow.submit(EMPLOYMENT)
    poll = f"{EMPLOYMENT}/diagnostics/executions/{job}/poll"
    assert [flow.send("GET", poll, key=key).status_code for key in (None, "wrong", EXECUTION)] == [401, 401, 401]
    assert flow.send("GET", poll, params={"api_key": FLOW}).status_code == 400
    assert flow.send("GET", poll, key=None, params={"api_key": FLOW}).status_code == 200
    assert flow.send("GET", poll, place=(TENANT, TENANT)).status_code == 404
    assert flow.send("POST", "nosuch/submit").status_code == 404
    assert flow.send("GET", f"{WARNING}/diagnostics/executions/{job}/poll").status_code == 404
    assert flow.send("POST", f"{EMPLOYMENT}/submit", params={"env": "Staging"}).status_code == 400

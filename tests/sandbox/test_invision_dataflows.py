"""InVision's data flows: start and status, keys, the little that is documented and the traps that are not."""

from __future__ import annotations

import http.client
import re
import time
from urllib.parse import urlsplit

import pytest
import requests

EXECUTION, DATA, MONITORING, FLOW = (f"5a9d000{at}-0000-4000-8000-00000000ab0{at}" for at in range(1, 5))
EMPLOYMENT = "2f0c0001-3b1e-4c55-9a10-0d5eed000001"
SLOW = "2f0c0004-3b1e-4c55-9a10-0d5eed000004"
FAILING = "2f0c0005-3b1e-4c55-9a10-0d5eed000005"
PRICES = "stockprices"
NO_RUN = "00000000-0000-4000-8000-000000000000"


class Invision:
    """The execution API as a caller with ``requests`` sees it."""

    def __init__(self, sandbox):
        self.base = f"{sandbox.url}/invision"

    def send(self, method, path, key=EXECUTION, **more):
        """One request with the key in its header; redirects are not followed."""
        more["headers"] = ({"x-api-key": key} if key else {}) | more.get("headers", {})
        path = f"{self.base}/api/pub/v1/dataflows/{path}"
        return requests.request(method, path, timeout=10, allow_redirects=False, **more)

    def start(self, flow, **more):
        """Start a data flow; the answer."""
        return self.send("POST", f"{flow}/start", **more)

    def run_id(self, flow, **more):
        """Start a data flow; the id of the run."""
        answer = self.start(flow, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["runId"]

    def status(self, flow, run):
        """The status of a run."""
        answer = self.send("GET", f"{flow}/runs/{run}/status")
        assert answer.status_code == 200, answer.text
        return answer.json()["status"]

    def ended(self, flow, run):
        """The status of a run once it has ended."""
        deadline = time.monotonic() + 10
        while (status := self.status(flow, run)) not in ("Succeeded", "Failed"):
            assert time.monotonic() < deadline, "the run does not end"
            time.sleep(0.01)
        return status


@pytest.fixture
def invision(sandbox):
    """A caller; runs take as long as their SQL."""
    sandbox.settings("invision", pending_seconds=0, running_seconds=0)
    return Invision(sandbox)


def test_start_answers_run_id_and_status(invision):
    """200, a GUID and the status; no body is needed."""
    answer = invision.start(EMPLOYMENT)
    assert answer.status_code == 200
    assert set(answer.json()) == {"runId", "status"}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer.json()["runId"])
    assert answer.json()["status"] == "Pending"
    assert invision.ended(EMPLOYMENT, answer.json()["runId"]) == "Succeeded"


def test_states_follow_each_other(sandbox, invision):
    """Pending, Running, Succeeded."""
    sandbox.settings("invision", pending_seconds=0.1, running_seconds=0.1)
    run, seen = invision.run_id(PRICES), []
    while not seen or seen[-1] != "Succeeded":
        status = invision.status(PRICES, run)
        seen += [status] if status not in seen[-1:] else []
    assert seen == ["Pending", "Running", "Succeeded"]


def test_failure_is_a_200(invision):
    """The status says Failed, the code does not."""
    assert invision.ended(FAILING, invision.run_id(FAILING)) == "Failed"


def test_each_start_is_another_run(sandbox, invision):
    """Nothing prevents overlap."""
    first, second = invision.run_id(SLOW), invision.run_id(SLOW)
    assert first != second
    assert [run["id"] for run in sandbox.runs("invision")] == [first, second]


def test_await_answers_at_the_end(invision):
    """``await=true`` blocks until the status is terminal, which may be Failed."""
    began = time.monotonic()
    body = {"globalArguments": {"seconds": 0.2}}
    assert invision.start(SLOW, params={"await": "true"}, json=body).json()["status"] == "Succeeded"
    assert time.monotonic() - began >= 0.2
    assert invision.start(FAILING, params={"await": "true"}).json()["status"] == "Failed"


def test_run_goes_on_when_the_awaiting_caller_has_gone(sandbox, invision):
    """The connection breaks, the run id is lost, the data flow does not care."""
    path, body = f"{invision.base}/api/pub/v1/dataflows/{SLOW}/start", {"globalArguments": {"seconds": 0.3}}
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(path, params={"await": "true"}, headers={"x-api-key": EXECUTION}, json=body, timeout=0.1)
    (run,) = sandbox.runs("invision")
    assert invision.ended(SLOW, run["id"]) == "Succeeded"


def test_terminal_status_may_be_in_the_answer_to_the_start(sandbox, invision):
    """A fast flow has ended before the start is answered."""
    sandbox.settings("invision", terminal_in_start=True, pending_seconds=5)
    assert [invision.start(flow).json()["status"] for flow in (PRICES, FAILING)] == ["Succeeded", "Failed"]


def test_arguments_reach_the_data_flow(sandbox, invision):
    """The format of the Flow action: global arguments, those of activities over them; unknown names are ignored."""
    activity = {"activityName": "Run Update Script", "arguments": [{"name": "fromMonth", "value": "2015-07-01"}]}
    body = {"globalArguments": {"sector": "retail_trade", "fromMonth": "2015-01-01", "nosuch": 1}, "dataContext": ""}
    answer = invision.start(EMPLOYMENT, json=body | {"activitiesExecutionData": [activity]})
    invision.ended(EMPLOYMENT, answer.json()["runId"])
    (run,) = sandbox.runs("invision")
    assert run["parameters"] == {"sector": "retail_trade", "fromMonth": "2015-07-01"}
    assert run["details"]["rows"] == 6
    sandbox.settings("invision", accept_arguments=False)
    invision.start(EMPLOYMENT, json=body)
    assert sandbox.runs("invision")[1]["parameters"]["sector"] == "manufacturing"


def test_argument_of_a_wrong_type_fails_the_run(invision):
    """Nothing is checked at the start."""
    run = invision.run_id(EMPLOYMENT, json={"globalArguments": {"fromMonth": "soon"}})
    assert invision.ended(EMPLOYMENT, run) == "Failed"


def test_json_may_be_required(sandbox, invision):
    """A site may answer 415 without a JSON content type, and 400 to an empty or broken body."""
    sandbox.settings("invision", require_json=True)
    assert invision.start(PRICES).status_code == 415
    assert invision.start(PRICES, headers={"Content-Type": "application/json"}).status_code == 400
    assert invision.start(PRICES, json={}).status_code == 200
    assert invision.start(PRICES, json=[1]).status_code == 400


def test_key_in_header_or_query_but_not_both(invision):
    """Either opens; both at once are refused."""
    assert invision.start(PRICES, key=None, params={"api_key": EXECUTION}).status_code == 200
    assert invision.start(PRICES, params={"api_key": EXECUTION}).status_code == 400
    assert invision.start(PRICES, key=EXECUTION.upper()).status_code == 200


@pytest.mark.parametrize("key", [None, "wrong", DATA, MONITORING, FLOW])
def test_keys_open_one_area_only(sandbox, invision, key):
    """500 is all that is documented; with the switch it is 401."""
    assert (invision.start(PRICES, key=key).status_code, invision.start(PRICES, key=key).content) == (500, b"")
    sandbox.settings("invision", error_style="precise")
    answer = invision.start(PRICES, key=key)
    assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")
    assert sandbox.runs("invision") == []


def test_unknown_flow_and_run(sandbox, invision):
    """500, or 404 with the switch; a run is known only together with its own data flow."""
    run = invision.run_id(PRICES)
    wrong = [
        ("POST", "nosuch/start"),
        ("GET", f"{PRICES}/runs/{NO_RUN}/status"),
        ("GET", f"{EMPLOYMENT}/runs/{run}/status"),
    ]
    assert {invision.send(*call).status_code for call in wrong} == {500}
    sandbox.settings("invision", error_style="precise")
    assert {invision.send(*call).status_code for call in wrong} == {404}


def test_log_in_page_instead_of_an_error(sandbox, invision):
    """A site may send who has no key, or the wrong one, to a page in HTML; also from a wrong path."""
    sandbox.settings("invision", login_redirect="missing")
    answer = invision.start(PRICES, key=None)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/invision/account/login?ReturnUrl=%2F")
    page = requests.get(f"{sandbox.url}/invision/account/login", timeout=5)
    assert (page.status_code, page.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert invision.start(PRICES, key="wrong").status_code == 500
    sandbox.settings("invision", login_redirect="refused")
    assert invision.start(PRICES, key="wrong").status_code == invision.send("GET", "nosuch/path").status_code == 302


def test_recycling_and_wrong_paths_are_pages_of_the_web_server(sandbox, invision):
    """503 and 404 in HTML."""
    assert invision.send("GET", "nosuch/path").headers["Content-Type"].split(";")[0] == "text/html"
    sandbox.settings("invision", recycling=True)
    assert (invision.start(PRICES).status_code, "<HTML>" in invision.start(PRICES).text) == (503, True)


def test_spelling_of_the_answer(sandbox, invision):
    """The documentation's JSON is no JSON, so keys and words may be spelled otherwise."""
    sandbox.settings("invision", pascal_case=True, status_case="upper")
    assert set(invision.start(PRICES).json()) == {"RunId", "Status"}
    assert invision.start(PRICES).json()["Status"] == "PENDING"


def test_case_of_paths_and_ids_does_not_matter(sandbox, invision):
    """As on IIS; an independent client reads the status under another spelling."""
    run = invision.run_id(PRICES)
    invision.ended(PRICES, run)
    parts = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    path = f"/InVision/API/Pub/v1/DataFlows/StockPrices/Runs/{run.upper()}/Status"
    connection.request("GET", path, headers={"X-API-KEY": EXECUTION})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, f'{{"runId":"{run}","status":"Succeeded"}}'.encode())
    connection.close()


def test_crashed_worker(sandbox, invision):
    """Since 2023.6 the run is submitted again; before, it runs for ever."""
    sandbox.settings("invision", resubmitted=True, pending_seconds=0.1, running_seconds=0.1)
    run, seen = invision.run_id(PRICES), []
    while not seen or seen[-1] != "Succeeded":
        status = invision.status(PRICES, run)
        seen += [status] if status not in seen[-1:] else []
    assert seen == ["Pending", "Running", "Pending", "Running", "Succeeded"]
    sandbox.settings("invision", resubmitted=False, stays_running=True, pending_seconds=0, running_seconds=0)
    run = invision.run_id(PRICES)
    time.sleep(0.1)
    assert invision.status(PRICES, run) == "Running"


def test_old_runs_are_forgotten(sandbox, invision):
    """How long is not known, hence a switch."""
    run = invision.run_id(PRICES)
    invision.ended(PRICES, run)
    sandbox.settings("invision", retention_seconds=0.0)
    assert invision.send("GET", f"{PRICES}/runs/{run}/status").status_code == 500


def test_there_is_no_way_to_cancel_or_list(invision):
    """Start and status are all there is."""
    run = invision.run_id(SLOW)
    for method, path in (
        ("DELETE", f"{SLOW}/runs/{run}"),
        ("POST", f"{SLOW}/runs/{run}/stop"),
        ("GET", f"{SLOW}/runs"),
    ):
        assert invision.send(method, path).status_code == 404
    assert invision.status(SLOW, run) in ("Pending", "Running")

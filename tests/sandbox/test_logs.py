"""Logs of runs that go on: numbered lines, late ones, logs that were cut off, and servers that do not give them."""

from __future__ import annotations

import re
import time

import pytest
import requests

FLOW_KEY, TENANT, WORKSPACE = (f"5a9d000{at}-0000-4000-8000-00000000ab0{at}" for at in (4, 5, 6))
SLOW = "6e1f0004-8d2a-4b7c-b6f4-0d5eed000004"
NUMBER = re.compile(r"line (\d+) of")


class Flow:
    """Profitbase Flow as a caller with ``requests`` sees it."""

    def __init__(self, sandbox):
        self.root = f"{sandbox.url}/invision/corellia/api/v1/tenants/{TENANT}/workspaces/{WORKSPACE}/flows/{SLOW}"

    def submit(self, seconds):
        """Start a run of so many seconds."""
        answer = requests.post(
            f"{self.root}/submit", headers={"x-api-key": FLOW_KEY}, json={"seconds": seconds}, timeout=10
        )
        return answer.json()["jobId"]

    def poll(self, job, after=0):
        """One poll."""
        url = f"{self.root}/diagnostics/executions/{job}/poll"
        return requests.get(url, headers={"x-api-key": FLOW_KEY}, params={"logItemId": after}, timeout=10)

    def followed(self, job):
        """The numbers of the lines in the order in which they came, by the cursor, up to the end of the run."""
        after, numbers, deadline = 0, [], time.monotonic() + 20
        while True:
            document = self.poll(job, after).json()
            for item in document["logItems"]:
                after = max(after, item["logItemId"])
                numbers += map(int, NUMBER.findall(item["data"]))
            if document["executionState"] > 1 and not document["logItems"]:
                return numbers
            assert time.monotonic() < deadline, "the run does not end"


@pytest.fixture
def flow(sandbox):
    """A caller; runs take as long as their SQL."""
    sandbox.settings("invision", pending_seconds=0, running_seconds=0)
    return Flow(sandbox)


def test_a_run_writes_numbered_lines_while_it_goes_on(sandbox, flow):
    sandbox.settings("invision", log_lines=5000, log_seconds=0.4)
    assert flow.followed(flow.submit(0.5)) == list(range(1, 5001))


def test_lines_can_appear_later_than_their_time(sandbox, flow):
    sandbox.settings("invision", log_lines=10, log_late_seconds=0.2)
    job = flow.submit(0)
    while flow.poll(job).json()["executionState"] < 2:
        time.sleep(0.01)
    assert not NUMBER.findall(flow.poll(job).text)
    deadline = time.monotonic() + 10
    while len(NUMBER.findall(flow.poll(job).text)) < 10:
        assert time.monotonic() < deadline, "the lines do not appear"
        time.sleep(0.01)


def test_a_log_can_be_cut_off_and_refused_and_hold_what_nobody_expects(sandbox, flow):
    sandbox.settings("invision", log_lines=50, log_text="secret-0001", log_line_length=300, log_kept=7)
    job = flow.submit(0)
    deadline = time.monotonic() + 10
    while len(items := flow.poll(job).json()["logItems"]) < 7 or "line 50 of" not in str(items):
        assert time.monotonic() < deadline, "the lines do not appear"
        time.sleep(0.01)
    assert len(items) == 7
    (last,) = (item["data"] for item in items if "line 50 of" in item["data"])
    assert "secret-0001..." in last
    assert len(last) >= 300
    sandbox.settings("invision", log_status=500)
    assert flow.poll(job).status_code == 500
    assert flow.poll(job, 2**31 - 1).status_code == 200
    sandbox.settings("invision", log_status=None, log_forgets=True)
    assert flow.poll(job, items[0]["logItemId"]).status_code == 400


def test_a_line_can_hold_bytes_that_are_no_text(sandbox, flow):
    sandbox.settings("invision", log_lines=2, log_invalid_utf8=True)
    job = flow.submit(0)
    deadline = time.monotonic() + 10
    while b"line 2 of" not in flow.poll(job).content:
        assert time.monotonic() < deadline, "the lines do not appear"
    with pytest.raises(UnicodeDecodeError):
        flow.poll(job).content.decode()

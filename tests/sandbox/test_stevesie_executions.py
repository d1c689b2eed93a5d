"""The executions of the sandbox's Stevesie account: how they are started, and what they say of themselves."""

from __future__ import annotations

import json
import re
import time
import uuid

import pytest
import requests

TOKEN = "5e7e51e0-0000-4000-8000-00000000cafe"
PRICES, ECHO, SLOW, EMPTY, BROKEN = (f"5e7e51e0-0001-4000-8000-00000000000{at}" for at in (1, 5, 6, 7, 8))
PROXY = {"type": "shared", "location": "nyc"}
KEYS = {"id", "workflow_id", "execution_parameters", "created_at", "completed_at", "results"}


class Api:
    """The API as a caller with ``requests`` sees it."""

    def __init__(self, sandbox, session):
        self.sandbox, self.session, self.base = sandbox, session, f"{sandbox.url}/stevesie/cloud/api/v1"
        session.headers["Token"] = TOKEN

    def send(self, method, path, body=None):
        """One request."""
        return self.session.request(method, self.base + path, json=body, timeout=5)

    def get(self, path):
        """What is in the envelope of a GET that must succeed."""
        answer = self.send("GET", path)
        assert answer.status_code == 200, answer.text
        (found,) = answer.json().values()
        return found

    def start(self, workflow, parameters=None, **body):
        """Start an execution; its id."""
        whole = {"proxy": PROXY} | ({"execution_parameters": parameters} if parameters is not None else {}) | body
        answer = self.send("POST", f"/workflows/{workflow}/executions", whole)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()["object"]) == ["id"]
        return answer.json()["object"]["id"]

    def execution(self, execution):
        """An execution as the API shows it."""
        return self.get(f"/workflows/executions/{execution}")

    def ended(self, workflow, parameters=None, **body):
        """Run a workflow until the sandbox itself says that it has ended; the execution as the API shows it."""
        execution, deadline = self.start(workflow, parameters, **body), time.monotonic() + 10
        while next(run["state"] for run in self.sandbox.runs("stevesie") if run["id"] == execution) == "running":
            assert time.monotonic() < deadline, "the execution does not end"
            time.sleep(0.005)
        return self.execution(execution)


@pytest.fixture
def api(sandbox):
    """A caller with the right token; executions are as fast as their work."""
    sandbox.settings("stevesie", running_seconds=0)
    with requests.Session() as session:
        yield Api(sandbox, session)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("proxy", {}),
        ("proxy", {"proxy": "nyc"}),
        ("proxy", {"proxy": {"type": "free", "location": "nyc"}}),
        ("proxy", {"proxy": {"type": "shared", "location": "moon"}}),
        ("proxy", {"proxy": {"type": "custom"}}),
        ("execution_parameters", {"proxy": PROXY, "execution_parameters": '{"a": 1}'}),
        ("maximum_requests_count", {"proxy": PROXY, "maximum_requests_count": "5"}),
        ("output_aggregation_format", {"proxy": PROXY, "output_aggregation_format": "xml"}),
        ("do_proxy_hot_swap", {"proxy": PROXY, "do_proxy_hot_swap": "yes"}),
    ],
)
def test_start_refuses(api, field, body):
    """A 400 names the field, and nothing is started."""
    answer = api.send("POST", f"/workflows/{PRICES}/executions", body)
    assert (answer.status_code, list(answer.json()["errors"][0])) == (400, [field])
    assert api.sandbox.runs("stevesie") == []
    api.sandbox.settings("stevesie", error_style="text")
    with pytest.raises(ValueError, match="Expecting value"):
        api.send("POST", f"/workflows/{PRICES}/executions", body).json()


@pytest.mark.parametrize(
    "proxy",
    [
        PROXY,
        {"type": "dedicated", "location": "fra"},
        {"type": "dedicated", "proxy_id": "1"},
        {"type": "custom", "url": "user:secret@proxy.example:3128"},
    ],
)
def test_proxies(api, proxy):
    """All three kinds are taken; the sandbox keeps no proxy's URL."""
    api.start(ECHO, proxy=proxy)
    assert "secret" not in json.dumps(api.sandbox.runs("stevesie"))


def test_proxy_may_be_optional(api):
    """The page marks it neither way, so there is a switch; so is there for the code of a start."""
    api.sandbox.settings("stevesie", proxy_required=False, start_status=201)
    assert api.send("POST", f"/workflows/{ECHO}/executions", {}).status_code == 201


def test_execution_before_and_after_its_end(api):
    """No status: ``completed_at`` and results tell; the parameters come back as JSON in a string."""
    api.sandbox.settings("stevesie", running_seconds=0.4)
    parameters = {"min_timestamp": 1230768000, "max_timestamp": 1262304000}
    execution = api.start(PRICES, parameters)
    body = api.execution(execution)
    assert set(body) == KEYS
    assert (body["workflow_id"], body["completed_at"], body["results"]) == (PRICES, None, [])
    assert body["execution_parameters"] == '{"min_timestamp": 1230768000, "max_timestamp": 1262304000}'
    while body["completed_at"] is None:
        body = api.execution(execution)
    assert set(body) == KEYS
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body[at]) for at in ("created_at", "completed_at")
    )
    assert [set(one) for one in body["results"]] == [{"id", "url"}]
    assert uuid.UUID(body["id"]).version == uuid.UUID(body["results"][0]["id"]).version == 4
    assert api.ended(ECHO)["execution_parameters"] is None


def test_list_of_executions(api):
    """Newest first, as whole as a single one, or as little as a list of ids, or not at all."""
    ids = [api.ended(ECHO, {"n": at})["id"] for at in range(3)]
    listed = api.get(f"/workflows/{ECHO}/executions")
    assert [json.loads(one["execution_parameters"])["n"] for one in listed] == [2, 1, 0]
    assert all(set(one) == KEYS for one in listed)
    assert api.get(f"/workflows/{PRICES}/executions") == []
    api.sandbox.settings("stevesie", executions_list="ids")
    assert api.get(f"/workflows/{ECHO}/executions") == [{"id": one} for one in reversed(ids)]
    api.sandbox.settings("stevesie", executions_list="absent")
    assert api.send("GET", f"/workflows/{ECHO}/executions").status_code == 404


def test_execution_that_ends_without_result(api):
    """Zero rows and failures look alike."""
    for body in (api.ended(EMPTY), api.ended(BROKEN), api.ended(PRICES, {"min_timestamp": 4102444800})):
        assert set(body) == KEYS
        assert body["completed_at"]
        assert body["results"] == []


@pytest.mark.parametrize(
    ("style", "completed", "key"),
    [
        ("error", True, "error"),
        ("errors", True, "errors"),
        ("status", True, "status"),
        ("failed_at", False, "failed_at"),
        ("never", False, None),
    ],
)
def test_how_a_failure_may_show(api, style, completed, key):
    """Nobody knows, so there are several ways; bad parameters break an execution as well."""
    api.sandbox.settings("stevesie", failure_style=style)
    for body in (api.ended(BROKEN), api.ended(PRICES, {"min_timestamp": "yesterday"})):
        assert bool(body["completed_at"]) is completed
        assert set(body) - KEYS == ({key} if key else set())
        assert key is None or body[key]


def test_outcome_of_every_execution(api):
    """The switch wins over what the workflow would do; extra keys may come with any execution."""
    api.sandbox.settings("stevesie", outcome="empty", extra_keys=True)
    body = api.ended(PRICES)
    assert (body["results"], body["error"], body["requests_count"]) == ([], None, 5)
    api.sandbox.settings("stevesie", outcome="never")
    assert api.execution(api.start(PRICES))["completed_at"] is None


def test_results_may_come_late(api):
    """``completed_at`` is set first, the results follow."""
    api.sandbox.settings("stevesie", results_late_seconds=0.6)
    body = api.ended(PRICES)
    assert body["completed_at"]
    assert body["results"] == []
    deadline = time.monotonic() + 5
    while not api.execution(body["id"])["results"]:
        assert time.monotonic() < deadline


def test_slow_takes_its_seconds(api):
    """The time is a parameter."""
    began = time.monotonic()
    assert api.ended(SLOW, {"seconds": 0.2})["results"]
    assert time.monotonic() - began > 0.2

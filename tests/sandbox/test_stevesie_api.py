"""The sandbox's Stevesie API: its token, workflows, collections, unknown ids and limits."""

from __future__ import annotations

import http.client
import json
import time

import pytest
import requests

TOKEN = "5e7e51e0-0000-4000-8000-00000000cafe"
PRICES, USERS, ECHO, NEVER = (f"5e7e51e0-0001-4000-8000-00000000000{at}" for at in (1, 3, 5, 9))
USER_IDS = "5e7e51e0-0003-4000-8000-000000000003"
UNKNOWN = "5e7e51e0-0009-4000-8000-000000000001"
PROXY = {"type": "shared", "location": "nyc"}


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

    def start(self, workflow):
        """Start an execution; its id."""
        body = {"proxy": {"type": "shared", "location": "nyc"}}
        return self.send("POST", f"/workflows/{workflow}/executions", body).json()["object"]["id"]


@pytest.fixture
def api(sandbox):
    """A caller with the right token; executions are as fast as their work."""
    sandbox.settings("stevesie", running_seconds=0)
    with requests.Session() as session:
        yield Api(sandbox, session)


@pytest.mark.parametrize("header", [{}, {"Token": "wrong"}, {"Authorization": f"Bearer {TOKEN}"}])
def test_token_goes_in_its_own_header(sandbox, header):
    """Without ``Token``, or with another, everything is a 401."""
    for path in ("/workflows", f"/workflows/executions/{UNKNOWN}", f"/collections/{USER_IDS}"):
        answer = requests.get(f"{sandbox.url}/stevesie/cloud/api/v1{path}", headers=header, timeout=5)
        assert (answer.status_code, list(answer.json())) == (401, ["errors"])


def test_token_that_was_renewed(api):
    """The old one is refused from one moment to the next."""
    api.sandbox.settings("stevesie", token_revoked=True)
    assert api.send("GET", "/workflows").status_code == 401


def test_standard_library_is_enough(sandbox):
    """A request without any HTTP library's habits."""
    connection = http.client.HTTPConnection(sandbox.url.split("/")[2], timeout=5)
    try:
        connection.request("GET", "/stevesie/cloud/api/v1/workflows", headers={"token": TOKEN})
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "application/json"
        assert json.loads(answer.read())["objects"][0] == {"id": PRICES, "name": "Stock prices"}
    finally:
        connection.close()


def test_workflow_shows_its_mapping(api):
    """A workflow tells which collection feeds which variable."""
    assert api.get(f"/workflows/{USERS}") == {
        "id": USERS,
        "name": "Users",
        "mappings": [
            {
                "id": "5e7e51e0-0002-4000-8000-000000000003",
                "target_variable_name": "user_id",
                "source_collection_id": USER_IDS,
                "source_collection_json_key": None,
            }
        ],
    }
    assert api.get(f"/workflows/{ECHO}")["mappings"] == []


def test_destroy_removes_the_definition(api):
    """It cancels nothing: the execution goes on and can be seen."""
    execution = api.start(NEVER)
    assert api.send("DELETE", f"/workflows/{NEVER}").status_code == 200
    assert api.send("GET", f"/workflows/{NEVER}").status_code == 404
    assert NEVER not in [one["id"] for one in api.get("/workflows")]
    assert api.get(f"/workflows/executions/{execution}")["completed_at"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/workflows/{UNKNOWN}"),
        ("POST", f"/workflows/{UNKNOWN}/executions"),
        ("GET", f"/workflows/executions/{UNKNOWN}"),
        ("GET", f"/workflows/{PRICES}/executions/{UNKNOWN}"),
        ("DELETE", f"/workflows/executions/{UNKNOWN}"),
        ("GET", f"/collections/{UNKNOWN}"),
        ("GET", "/workflows/"),
    ],
)
def test_unknown_ids_and_paths(api, method, path):
    """They are 404, or 401 as the vendor's older client hints; there is no cancelling and no nested status."""
    assert api.send(method, path, {"proxy": PROXY}).status_code == 404
    api.sandbox.settings("stevesie", unknown_status=401)
    assert api.send(method, path, {"proxy": PROXY}).status_code == 401


def test_collection_add_and_remove(api):
    """Each change answers the collection with its new count; adding what is there changes nothing."""
    path, removed = f"/collections/{USER_IDS}", ["43823188", "50834309"]
    assert api.get(path) == {
        "id": USER_IDS,
        "name": "User IDs",
        "count": 4,
        "items": ["43823188", "50834309", "54546072", "192946169"],
    }
    answer = api.send("POST", path, {"method": "remove", "items": removed})
    assert answer.json()["object"]["count"] == 2
    for _ in range(2):
        answer = api.send("POST", path, {"method": "add", "items": [43823188, "50834309"]})
        assert answer.json()["object"]["items"] == ["54546072", "192946169", *removed]
    api.sandbox.settings("stevesie", duplicate_items=True, collection_answer="count")
    assert api.send("POST", path, {"method": "add", "items": removed}).json() == {"object": {"count": 6}}


@pytest.mark.parametrize(
    "body", [{}, {"method": "replace", "items": []}, {"method": "add", "items": "1"}, {"method": "add", "items": [{}]}]
)
def test_collection_refuses(api, body):
    """There are two methods, and items are a list of values."""
    assert api.send("POST", f"/collections/{USER_IDS}", body).status_code == 400
    assert api.get(f"/collections/{USER_IDS}")["count"] == 4


def test_rate_limit(api):
    """What comes too fast within a second is a 429, with or without a hint."""
    api.sandbox.settings("stevesie", rate_limit=2)
    codes = [api.send("GET", "/workflows").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    assert api.send("GET", "/workflows").headers["retry-after"] == "1"
    api.sandbox.settings("stevesie", retry_after=None)
    assert "retry-after" not in api.send("GET", "/workflows").headers
    time.sleep(1.05)
    assert api.send("GET", "/workflows").status_code == 200


def test_reset_restores_everything(api):
    """Destroyed workflows and changed collections are back, executions are gone."""
    api.start(NEVER)
    api.send("DELETE", f"/workflows/{PRICES}")
    api.send("POST", f"/collections/{USER_IDS}", {"method": "remove", "items": ["43823188"]})
    api.sandbox.reset()
    assert api.get(f"/workflows/{PRICES}")["name"] == "Stock prices"
    assert api.get(f"/collections/{USER_IDS}")["count"] == 4
    assert api.sandbox.runs("stevesie") == []

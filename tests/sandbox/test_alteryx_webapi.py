"""The sandbox's Alteryx web API: what V1, V2 and V3 answer about workflows, questions and runs."""

from __future__ import annotations

import json
import re
import time
import zipfile
from io import BytesIO

import pytest
import requests

KEY, SECRET = "sandbox-alteryx-key", "sandbox-alteryx-secret"
WEATHER, ECHO, RESTRICTED, DEMO = (f"5f0e2c0000000000000000{at}" for at in ("01", "07", "0c", "0d"))
UNKNOWN = "5f0e2c0000000000000000ff"
SECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


class WebApi:
    """The web API as a caller with ``requests`` sees it."""

    def __init__(self, sandbox, session):
        self.sandbox, self.session, self.base = sandbox, session, f"{sandbox.url}/alteryx/webapi"
        form = {"grant_type": "client_credentials"}
        answer = session.post(f"{self.base}/oauth2/token", data=form, auth=(KEY, SECRET), timeout=5)
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def send(self, method, path, **more):
        """One request."""
        return self.session.request(method, self.base + path, timeout=5, **more)

    def get(self, path, **query):
        """The JSON of a GET that must succeed."""
        answer = self.send("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def start(self, app, version="v3", **body):
        """Start a job; the answer."""
        answer = self.send("POST", f"/{version}/workflows/{app}/jobs", json={"questions": []} | body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, job, state):
        """Wait until the sandbox itself says that a job is in a state."""
        deadline = time.monotonic() + 10
        while next(run["state"] for run in self.sandbox.runs("alteryx") if run["id"] == job) != state:
            assert time.monotonic() < deadline, f"the job does not become {state}"
            time.sleep(0.005)
        return job


@pytest.fixture
def webapi(sandbox):
    """A signed-in caller; jobs are as fast as their work."""
    sandbox.settings("alteryx", queued_seconds=0, running_seconds=0)
    with requests.Session() as session:
        yield WebApi(sandbox, session)


def test_slashes_do_not_matter(webapi):
    """Two for one and one at the end are taken, without a redirect."""
    for path in ("//v3/workflows", "/v3//workflows/", "//v1/workflows/subscription/"):
        answer = webapi.send("GET", path, allow_redirects=False)
        assert answer.status_code == 200


def test_v3_workflows(webapi):
    """The list is complete, the name filter finds parts of names, and equal names exist."""
    found = webapi.get("/v3/workflows")
    assert set(found[0]) == {
        "id", "sourceAppId", "name", "ownerId", "dateCreated", "publishedVersionNumber", "isAmp", "executionMode",
    }  # fmt: skip
    assert [one["name"] for one in webapi.get("/v3/workflows", name="demo app")] == ["Demo app", "Demo app 2"]
    assert len({one["id"] for one in webapi.get("/v3/workflows", name="Twin")}) == 2
    webapi.sandbox.settings("alteryx", name_filter="exact")
    assert [one["name"] for one in webapi.get("/v3/workflows", name="Demo app")] == ["Demo app"]
    assert webapi.send("GET", "/v3/workflows?view=Odd").json()["modelState"].keys() == {"contract.view"}


def test_v3_workflow(webapi):
    """One workflow with its version; an unknown one is a 404 without a body."""
    whole = webapi.get(f"/v3/workflows/{WEATHER}")
    assert whole["versions"][0]["details"]["name"] == whole["name"] == "Seattle weather"
    assert whole["publishedVersionId"] == whole["versions"][0]["versionId"]
    assert webapi.get("/v3/workflows", view="Full", name="Seattle weather") == [whole]
    answer = webapi.send("GET", f"/v3/workflows/{UNKNOWN}")
    assert (answer.status_code, answer.content) == (404, b"")


def test_questions_are_spelled_by_version(webapi):
    """V1 says ``type`` and writes ``multiple`` as text, V3 says ``questionType`` and writes a boolean."""
    v1, v3 = (webapi.get(f"/{version}/workflows/{WEATHER}/questions") for version in ("v1", "v3"))
    assert [one["name"] for one in v1] == [one["name"] for one in v3] == ["Start", "End", "Weather"]
    assert set(v1[2]) == {"name", "type", "description", "value", "multiple", "items"}
    assert (v1[0]["type"], v1[0]["multiple"], v1[2]["multiple"]) == ("QuestionDate", "False", "True")
    assert (v3[2]["questionType"], v3[2]["multiple"]) == ("QuestionListBox", True)
    assert v3[2]["items"][0] == {"key": "drizzle", "value": "drizzle"}


def test_subscription_list(webapi):
    """V1's list has search, limit and offset; the package type is a word here."""
    names = [one["metaInfo"]["name"] for one in webapi.get("/v1/workflows/subscription")]
    assert len(names) == 16
    part = webapi.get("/v1/workflows/subscription", limit=2, offset=1)
    assert [one["metaInfo"]["name"] for one in part] == names[1:3]
    assert part[0]["packageType"] == "App"
    assert webapi.send("GET", "/v1/workflows/subscription?limit=x").status_code == 400


def test_there_is_no_v1_path_of_a_workflow(webapi):
    """No source knows one; an unknown path answers with ASP.NET's words."""
    answer = webapi.send("GET", f"/v1/workflows/{WEATHER}")
    assert answer.status_code == 404
    assert answer.json()["message"].startswith("No HTTP resource was found that matches the request URI")


def test_job_is_spelled_by_version(webapi):
    """V1 has createDate, null for the app and name/formats; V3 createDateTime, the app's id and fileName."""
    v3 = webapi.start(DEMO, priority="High", workerTag="big")
    assert (v3["appId"], v3["status"], v3["disposition"], v3["outputs"]) == (DEMO, "Queued", "None", [])
    assert (v3["priority"], v3["workerTag"]) == ("High", "big")
    assert re.fullmatch(SECONDS + r"\.\d{7}Z", v3["createDateTime"])
    v1 = webapi.start(DEMO, "v1", priority="Low")
    assert (v1["appId"], v1["workerTag"], v1["priority"]) == (None, "", "Low")
    assert re.fullmatch(SECONDS + r"\.\d{7}Z", v1["createDate"])
    v1, v3 = webapi.get(f"/v1/jobs/{webapi.until(v1['id'], 'success')}"), webapi.get(f"/v3/jobs/{v1['id']}")
    assert re.fullmatch(SECONDS + "Z", v1["createDate"])
    assert v1["createDate"] == v3["createDateTime"]
    assert (v1["appId"], v1["workerTag"], v3["appId"]) == (None, None, DEMO)
    assert set(v1["outputs"][0]) == {"id", "name", "formats"}
    assert set(v3["outputs"][0]) == {"id", "availableFormats", "fileName"}
    assert v1["messages"] == [{"status": 1, "text": "1 records were written to demo.csv", "toolId": 20}]
    assert webapi.get(f"/v1/jobs/{v1['id']}", includeMessages="false")["messages"] == []


def test_v1_byte_order_mark(webapi):
    """The web API has none by default; with the switch ``requests`` alone cannot read it."""
    webapi.sandbox.settings("alteryx", v1_bom="always", webapi_v1_priority="number")
    answer = webapi.send("POST", f"/v1/workflows/{DEMO}/jobs", json={"priority": "High"})
    assert answer.content.startswith(b"\xef\xbb\xbf{")
    with pytest.raises(ValueError, match="BOM"):
        answer.json()
    assert json.loads(answer.content.decode("utf-8-sig"))["priority"] == 2


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("priority", {"priority": "0"}),
        ("priority", {"priority": "Urgent"}),
        ("questions", {"questions": {"Start": "2012-01-01"}}),
        ("questions", {"questions": [{"value": "x"}]}),
        ("credentialId", {"credentialId": UNKNOWN}),
        ("workerTag", {"workerTag": 1}),
    ],
)
def test_bad_body(webapi, field, body):
    """A 400 names the field as the documented body does, and nothing is started."""
    answer = webapi.send("POST", f"/v3/workflows/{WEATHER}/jobs", json=body)
    assert answer.status_code == 400
    assert answer.json()["message"] == "The request is invalid."
    assert list(answer.json()["modelState"]) == [f"contract.{field}"]
    assert webapi.sandbox.runs("alteryx") == []


def test_body_that_is_no_json(webapi):
    """Other media types are a 415, broken JSON is a 400, no body at all is a run with the defaults."""
    path = f"/v3/workflows/{DEMO}/jobs"
    assert webapi.send("POST", path, data={"questions": ""}).status_code == 415
    headers = {"Content-Type": "application/json"}
    assert webapi.send("POST", path, data="{", headers=headers).status_code == 400
    assert webapi.send("POST", path).status_code == 200


def test_unknown_questions(webapi):
    """They are ignored, or refused where the switch says so."""
    asked = [{"name": "Nonsense", "value": "1"}]
    webapi.start(DEMO, questions=asked)
    webapi.sandbox.settings("alteryx", unknown_questions="refused")
    assert webapi.send("POST", f"/v3/workflows/{DEMO}/jobs", json={"questions": asked}).status_code == 400


def test_restricted_workflow(webapi):
    """It may be seen; executing it is a 403."""
    assert webapi.get(f"/v3/workflows/{RESTRICTED}")["othersCanExecute"] is False
    answer = webapi.send("POST", f"/v3/workflows/{RESTRICTED}/jobs", json={})
    assert (answer.status_code, answer.content) == (403, b"")
    assert (
        webapi.send("POST", f"/v1/workflows/{RESTRICTED}/jobs", json={}).json()["exceptionName"] == "ForbiddenException"
    )


def test_run_with_a_credential(webapi):
    """V2 and V3 can choose one; it shows in what the app was started with."""
    credential = webapi.get("/user/v2/credentials")[0]
    assert set(credential) == {"id", "userName"}
    answer = webapi.send("POST", f"/user/v2/workflows/{ECHO}/jobs", json={"credentialId": credential["id"]})
    webapi.until(answer.json()["id"], "success")
    assert webapi.sandbox.runs("alteryx")[0]["details"]["credential_id"] == credential["id"]


def test_package(webapi):
    """The .yxzp is a zip with the workflow."""
    for path in (f"/v1/{ECHO}/package", f"/v1/workflows/{ECHO}/package", f"/v3/workflows/{ECHO}/package"):
        with zipfile.ZipFile(BytesIO(webapi.send("GET", path).content)) as archive:
            assert b"Check Box (5)" in archive.read("Echo.yxwz")

"""The frame: one port, the control API, the journal, the helper for tests."""

from __future__ import annotations

import pytest
import requests


def control(sandbox, method: str, path: str, **more):
    """A request to the control API."""
    return requests.request(method, f"{sandbox.url}/_sandbox{path}", timeout=5, **more)


def test_description_names_systems_workflows_connections_and_settings(sandbox):
    """GET /_sandbox tells a newcomer everything there is to call."""
    found = control(sandbox, "GET", "").json()
    carto = found["systems"]["carto"]
    assert carto["urls"] == [f"{sandbox.url}/carto"]
    assert carto["connections"]["carto_default"] == sandbox.connections()["carto_default"]
    assert {"name", "workflow", "summary", "parameters", "conn_id"} == set(carto["workflows"][0])
    assert carto["settings"]["row_cap"] == 200_000
    assert set(found["fault_kinds"]) == {"status", "html", "reset", "lost", "slow", "late", "truncate"}


def port_of(sandbox):
    """Its port, as part of a Host header."""
    return sandbox.url.rpartition(":")[2]


@pytest.mark.parametrize("name", ["attacker.example", "attacker.example.", "127.0.0.1.attacker.example", "", "[x"])
def test_a_foreign_host_is_refused(sandbox, name):
    """A page can give this machine's address to a name of its own; the request then carries that name."""
    for path in ("/_sandbox", "/carto/v3/sql/jobs"):
        answer = requests.get(sandbox.url + path, headers={"Host": f"{name}:{port_of(sandbox)}"}, timeout=5)
        assert answer.status_code == 403 or (not name and answer.status_code == 400)
        assert "carto_default" not in answer.text


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "LocalHost", "[::1]", "10.0.0.7", "here.localhost", "sandbox", "my-box"]
)
def test_addresses_and_names_of_this_machine_are_served(sandbox, name):
    answer = requests.get(f"{sandbox.url}/_sandbox", headers={"Host": f"{name}:{port_of(sandbox)}"}, timeout=5)
    assert answer.status_code == 200


@pytest.mark.parametrize("origin", ["https://attacker.example", "http://127.0.0.1", "null", "http://[x", ""])
def test_a_page_of_another_origin_is_refused(sandbox, origin):
    """A form of any page may post to this machine; the browser says whose page it is."""
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    for method, path in (("POST", "/_sandbox/reset"), ("POST", "/carto/oauth/token"), ("DELETE", "/_sandbox/faults")):
        assert requests.request(method, sandbox.url + path, headers=headers, timeout=5).status_code == 403
    own = {"Origin": sandbox.url}
    assert requests.post(f"{sandbox.url}/_sandbox/reset", headers=own, timeout=5).status_code == 200


def test_settings_merge_and_come_back_with_reset(sandbox):
    """PUT changes the keys it names and no other; reset restores the defaults."""
    before = control(sandbox, "GET", "/settings/carto").json()
    after = control(sandbox, "PUT", "/settings/carto", json={"row_cap": 5, "status_style": "string"}).json()
    assert after == before | {"row_cap": 5, "status_style": "string"}
    assert sandbox.settings("carto") == after
    assert control(sandbox, "POST", "/reset").json() == {"reset": True}
    assert sandbox.settings("carto") == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"row_cap": 7, "speed": 1}, "Unknown setting 'speed'; known are cancel_finished_status"),
        ({"row_cap": "many"}, "Setting 'row_cap' takes int, not 'many'"),
        ({"status_style": "xml"}, "takes 'object' or 'string', not 'xml'"),
        ({"cancel_ignored": 1}, "takes bool, not 1"),
        ({"pending_seconds": True}, "takes float, not True"),
        ({"revoked_tokens": [1]}, "takes a list of str"),
    ],
)
def test_wrong_setting_is_400_and_changes_nothing(sandbox, changes, said):
    """A bad key or value is named, and the good ones beside it are not taken either."""
    answer = control(sandbox, "PUT", "/settings/carto", json=changes)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert sandbox.settings("carto")["row_cap"] == 200_000


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/settings/nosuch", "", 404, "Unknown system 'nosuch'; known are carto"),
        ("PUT", "/settings/carto", "{", 400, "not JSON"),
        ("PUT", "/settings/carto", "[]", 400, "must be a JSON object"),
        ("POST", "/faults", '{"system": "nosuch", "kind": "reset"}', 400, "'system' must be one of carto"),
        ("POST", "/faults", '{"system": "carto", "kind": "boom"}', 400, "'kind' must be one of status, html"),
        ("POST", "/faults", '{"system": "carto", "kind": "reset", "path": "("}', 400, "no regular expression"),
        ("POST", "/faults", '{"system": "carto", "kind": "reset", "whem": 1}', 400, "Unknown key 'whem'"),
        ("POST", "/faults", '{"system": "carto", "kind": "slow", "seconds": "x"}', 400, "'seconds' takes float"),
        ("GET", "/nowhere", "", 404, "Not Found"),
    ],
)
def test_mistakes_are_answered_in_json(sandbox, method, path, body, status, said):
    """Whatever a caller gets wrong, the control API says so in one sentence."""
    answer = control(sandbox, method, path, data=body)
    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_path_of_no_system_is_404(sandbox):
    """A prefix must match as a whole: /cartoon is not /carto."""
    assert requests.get(f"{sandbox.url}/cartoon", timeout=5).status_code == 404
    assert sandbox.requests() == []


def test_journal_has_requests_without_secrets(sandbox, carto):
    """The journal holds paths below the mount and masks tokens; it never sees headers."""
    carto.send("GET", "/job/none?access_token=hidden&page=2")
    entry = control(sandbox, "GET", "/requests?system=carto").json()[-1]
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "system": "carto",
        "method": "GET",
        "path": "/v3/sql/carto_dw/job/none",
        "query": "access_token=%2A%2A%2A&page=2",
        "status": 404,
        "fault": None,
    }
    assert control(sandbox, "DELETE", "/requests?system=other").json() == []
    assert len(sandbox.requests()) == 1
    control(sandbox, "DELETE", "/requests")
    assert sandbox.requests() == []


def test_runs_show_what_the_sandbox_knows(sandbox, carto):
    """Each job is a run with its parameters, state and times, whatever the API says."""
    started = carto.start("airports_in_state", {"state": "VT"})
    carto.ended(started["externalId"])
    (run,) = control(sandbox, "GET", "/runs?system=carto").json()
    assert run["id"] == started["externalId"]
    assert run["system"] == "carto"
    assert run["state"] == "success"
    assert run["parameters"] == {"state": "VT"}
    assert run["started_at"] <= run["ended_at"]
    assert run["workflow"].startswith("carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_")
    assert run["details"]["output_table"] == started["jobMetadata"]["workflowOutputTableName"]
    assert control(sandbox, "GET", "/runs?system=other").json() == []


def test_reset_forgets_runs_and_tables(sandbox, carto):
    """After a reset nothing of what was run is left, not even a job that is still going."""
    table = carto.run("airports_in_state", {"state": "VT"})
    carto.start("slow", {"seconds": 60})
    sandbox.reset()
    assert sandbox.runs() == []
    assert carto.query(f"SELECT * FROM `{table}`").status_code == 400

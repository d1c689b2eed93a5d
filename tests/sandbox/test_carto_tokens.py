"""Who may do what with CARTO's API, and how a refusal looks."""

from __future__ import annotations

import time

import pytest
import requests

OAUTH = {
    "grant_type": "client_credentials",
    "client_id": "sandbox-carto-client",
    "client_secret": "sandbox-carto-client-secret",
    "audience": "carto-cloud-native-api",
}


def granted(carto, **more) -> requests.Response:
    """Ask for an OAuth token."""
    return requests.post(f"{carto.base}/oauth/token", timeout=5, **more)


@pytest.mark.parametrize("path", ["/v3/sql/jobs", "/v3/sql/carto_dw/job/x", "/v3/sql/nosuch/query?q=SELECT+1"])
def test_no_token(carto, path):
    """The recorded body of a request without a token, whatever else is wrong with it."""
    answer = requests.get(carto.base + path, timeout=5)
    assert (answer.status_code, answer.json()) == (401, {"error": "Token not defined", "status": 401})


def test_url_token_counts_for_get_only(carto):
    """`access_token` in the URL is the dialog's way for GET."""
    url = f"{carto.base}/v3/sql/carto_dw/query?access_token=sandbox-carto-token"
    assert requests.get(url, params={"q": "SELECT 1"}, timeout=5).status_code == 200
    assert requests.post(url, json={"q": "SELECT 1"}, timeout=5).status_code == 401


@pytest.mark.parametrize(
    ("token", "message"), [("wrong", "Authentication failed"), ("sandbox-carto-expired-token", "Token expired")]
)
def test_bad_token(carto, token, message):
    """An unknown token and one that is over."""
    answer = carto.signed(token).query("SELECT 1")
    assert answer.status_code == 401
    assert answer.json() == {"error": message, "status": 401, "message": message}


def test_unknown_connection_and_path(carto):
    """Both are 404, the connection is named."""
    answer = carto.on("nosuch").query("SELECT 1")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Connection not found", "status": 404, "connection_name": "nosuch"}
    for method, path in (("GET", "/nowhere"), ("PUT", "/query")):
        answer = carto.send(method, path)
        assert (answer.status_code, answer.json()) == (404, {"error": "Not Found", "status": 404})


def test_run_token_runs_but_does_not_read(carto):
    """The dialog's token may CALL; even SELECT 1 is not granted, nor is the out table."""
    runner, reader = carto.signed("sandbox-carto-run-token"), carto.signed("sandbox-carto-read-token")
    table = runner.run("airports_in_state", {"state": "VT"})
    for sql in ("SELECT 1", f"SELECT * FROM `{table}`", f"DROP TABLE IF EXISTS `{table}`"):
        answer = runner.query(sql)
        assert answer.status_code == 403
        assert answer.json() == {"error": "You don't have permissions to read this resource", "status": 403}
    assert runner.query("SELECT COUNT(*) FROM `carto-demo-data.demo_tables.airports`").status_code == 200
    assert len(reader.rows(f"SELECT * FROM `{table}`")) == 13
    assert reader.query(f"SELECT * FROM `{table}`, `carto-demo-data.demo_tables.airports`").status_code == 403


def test_read_token_does_not_run(sandbox, carto):
    """A CALL that is not granted creates no job."""
    reader = carto.signed("sandbox-carto-read-token")
    answer = reader.send("POST", "/job", json=carto.call("airports_in_state", {"state": "VT"}))
    assert answer.status_code == 403
    assert sandbox.runs() == []


@pytest.mark.parametrize("form", ["data", "json"])
def test_oauth_token_by_form_and_json(carto, form):
    """Both encodings answer the same fields, and the token works."""
    body = granted(carto, **{form: OAUTH}).json()
    assert body["token_type"] == "Bearer"
    assert (body["expires_in"], body["scope"]) == (86_400, "")
    assert carto.signed(body["access_token"]).rows("SELECT 1 AS one") == [{"one": 1}]


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "access_denied"),
        ({"client_id": ""}, 401, "access_denied"),
        ({"audience": ""}, 403, "access_denied"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_oauth_refusals(carto, change, status, error):
    """Errors have Auth0's form; the audience is mandatory."""
    answer = granted(carto, data=OAUTH | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]


def test_oauth_token_ends_in_the_middle_of_a_run(sandbox, carto):
    """The job goes on; its reader needs a new token."""
    sandbox.settings("carto", token_seconds=1)
    caller = carto.signed(granted(carto, json=OAUTH).json()["access_token"])
    job = caller.start("slow", {"seconds": 0.1})["externalId"]
    caller.status(job)
    time.sleep(1.05)
    assert caller.send("GET", f"/job/{job}").status_code == 401
    assert carto.signed(granted(carto, json=OAUTH).json()["access_token"]).ended(job)["status"] == {"state": "DONE"}


def test_revoked_token(sandbox, carto):
    """A permanent token can end too."""
    sandbox.settings("carto", revoked_tokens=["sandbox-carto-token"])
    assert carto.query("SELECT 1").status_code == 401
    sandbox.settings("carto", revoked_tokens=[])
    assert carto.query("SELECT 1").status_code == 200


def test_connections_open_what_they_say(sandbox, carto):
    """Every printed connection works as it stands."""
    connections = sandbox.connections()
    for conn_id in ("carto_default", "carto_snowflake"):
        one = connections[conn_id]
        url = f"{one['host']}/v3/sql/{one['extra']['carto_connection']}/query"
        headers = {"Authorization": f"Bearer {one['password']}"}
        assert requests.post(url, json={"q": "SELECT 1"}, headers=headers, timeout=5).status_code == 200
    oauth = connections["carto_oauth"]
    body = OAUTH | {"client_id": oauth["login"], "client_secret": oauth["password"]}
    assert requests.post(oauth["extra"]["token_url"], json=body, timeout=5).status_code == 200

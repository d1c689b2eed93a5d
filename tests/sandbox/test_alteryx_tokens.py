"""OAuth 2 of the sandbox's Alteryx web API: how tokens are granted, refused and lost, and what servers have when."""

from __future__ import annotations

import http.client
import json
import time
from base64 import b64encode

import pytest
import requests

KEY, SECRET = "sandbox-alteryx-key", "sandbox-alteryx-secret"
DENIED = {"message": "Authorization has been denied for this request."}
DEMO = "5f0e2c00000000000000000d"
FORM = {"grant_type": "client_credentials"}


@pytest.fixture
def base(sandbox):
    """The address of the web API; jobs are as fast as their work."""
    sandbox.settings("alteryx", queued_seconds=0, running_seconds=0)
    return f"{sandbox.url}/alteryx/webapi"


def grant(base, key=KEY, secret=SECRET, **fields):
    """Ask for a token by Basic."""
    return requests.post(f"{base}/oauth2/token", data=FORM | fields, auth=(key, secret), timeout=5)


def bearer(base, role=""):
    """The header with a new token of a user."""
    answer = grant(base, f"sandbox-alteryx-{role}key", f"sandbox-alteryx-{role}secret")
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def get(url, headers):
    """One request."""
    return requests.get(url, headers=headers, timeout=5)


def test_token_by_basic_and_by_form(base):
    """Both ways are granted the same; there is neither scope nor refresh token."""
    form = FORM | {"client_id": KEY, "client_secret": SECRET}
    for answer in (grant(base), requests.post(f"{base}/oauth2/token", data=form, timeout=5)):
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
        assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 3600)


def test_what_the_answer_says_of_a_token(sandbox, base):
    """Its type may be spelled otherwise, its life be left out."""
    sandbox.settings("alteryx", token_type="Bearer", expires_in=False)
    body = grant(base).json()
    assert (set(body), body["token_type"]) == ({"access_token", "token_type"}, "Bearer")


def test_token_by_the_standard_library(base):
    """A request without any HTTP library's habits."""
    connection = http.client.HTTPConnection(base.split("/")[2], timeout=5)
    try:
        headers = {"Authorization": "Basic " + b64encode(f"{KEY}:{SECRET}".encode()).decode()}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST", "/alteryx/webapi//oauth2/token/", "grant_type=client_credentials", headers)
        assert "access_token" in json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("key", "secret", "grant_type", "error"),
    [
        (KEY, "wrong", "client_credentials", "invalid_client"),
        ("sandbox-alteryx-studio-key", SECRET, "client_credentials", "invalid_client"),
        (KEY, SECRET + " ", "client_credentials", "invalid_client"),
        (KEY, SECRET, "password", "unsupported_grant_type"),
    ],
)
def test_token_refused(base, key, secret, grant_type, error):
    """A wrong pair or grant is a 400, also when a space was copied with the secret."""
    answer = grant(base, key, secret, grant_type=grant_type)
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_token_request_is_a_form(base):
    """JSON is refused, and so is a header that is no base 64."""
    answer = requests.post(f"{base}/oauth2/token", json=FORM, auth=(KEY, SECRET), timeout=5)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})
    headers = {"Authorization": "Basic ?"}
    answer = requests.post(f"{base}/oauth2/token", data=FORM, headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_client"})


def test_token_ends_with_its_time(sandbox, base):
    """A token is good for as long as it was granted for."""
    sandbox.settings("alteryx", token_seconds=0.5)
    header = bearer(base)
    assert get(f"{base}/v3/workflows", header).status_code == 200
    time.sleep(0.55)
    for path in ("/v3/workflows", "/v1/workflows/subscription"):
        answer = get(base + path, header)
        assert (answer.status_code, answer.json()) == (401, DENIED)


def test_tokens_are_revoked_at_once(sandbox, base):
    """Raising the generation revokes every older token; a revoked key pair gets no new one."""
    header = bearer(base)
    sandbox.settings("alteryx", token_generation=1)
    assert get(f"{base}/v3/workflows", header).status_code == 401
    assert get(f"{base}/v3/workflows", bearer(base)).status_code == 200
    sandbox.settings("alteryx", keys_revoked=True)
    assert grant(base).json() == {"error": "invalid_client"}


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}])
def test_no_token(base, header):
    """Nothing else opens the API."""
    answer = get(f"{base}/v3/workflows", header)
    assert (answer.status_code, answer.json()) == (401, DENIED)


def test_role_too_low(base):
    """A viewer gets a token that is good for nothing."""
    answer = get(f"{base}/v1/workflows/subscription", bearer(base, "viewer-"))
    assert (answer.status_code, answer.json()) == (401, DENIED)


def test_what_came_with_which_version(sandbox, base):
    """V3 came with 2022.1 for curators and 2023.1 for all, messages with 2024.2, the list of jobs with 2025.2."""
    user, curator, codes = bearer(base), bearer(base, "curator-"), {}
    job = requests.post(f"{base}/v3/workflows/{DEMO}/jobs", headers=user, timeout=5).json()["id"]
    for version in ("2021.3", "2021.4", "2022.1", "2023.1", "2024.2", "2025.1", "2025.2"):
        sandbox.settings("alteryx", server_version=version)
        asked = [get(base + path, user) for path in ("/v1/workflows/subscription", "/v3/workflows")]
        asked += [get(base + path, curator) for path in ("/v3/workflows", f"/v3/jobs/{job}/messages", "/v3/jobs")]
        codes[version] = [answer.status_code for answer in asked]
    assert codes == {
        "2021.3": [404, 404, 404, 404, 404],
        "2021.4": [200, 404, 404, 404, 404],
        "2022.1": [200, 401, 200, 404, 404],
        "2023.1": [200, 200, 200, 404, 404],
        "2024.2": [200, 200, 200, 200, 404],
        "2025.1": [200, 200, 200, 200, 404],
        "2025.2": [200, 200, 200, 200, 200],
    }

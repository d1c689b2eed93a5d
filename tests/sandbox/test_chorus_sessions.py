"""Chorus' log-in: sessions, cookies, forgery protection, expiry, and what can be asked about the installation."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlsplit

import pytest
import requests

LOGIN = {"username": "sandbox", "password": "sandbox-chorus-password"}
COOKIE = "_chorus_session"


@pytest.fixture
def api(sandbox):
    """The root of the Rails side."""
    return f"{sandbox.url}/chorus/api"


@pytest.fixture
def browser(api):
    """A client that is logged in by its cookie alone."""
    with requests.Session() as session:
        assert session.post(f"{api}/sessions", params={"session_id": "NULL"}, data=LOGIN, timeout=5).status_code == 201
        yield session


@pytest.fixture
def clock(sandbox, monkeypatch):
    """The clock of the sessions, as a list of the one moment that it shows."""
    moments = [1000.0]
    monkeypatch.setattr(sandbox.app.systems["chorus"].sessions, "clock", lambda: moments[0])
    return moments


def log_in(api, **more):
    """Log in as the vendor's client does."""
    return requests.post(f"{api}/sessions", params={"session_id": "NULL"}, timeout=5, **({"data": LOGIN} | more))


def session_id(api):
    """The id of a fresh session."""
    return log_in(api).json()["response"]["session_id"]


def current(api, session):
    """What ``GET /sessions`` answers for a session."""
    return requests.get(f"{api}/sessions", params={"session_id": session}, timeout=5)


def workfile(api, session):
    """What a call with a session as its parameter answers."""
    return requests.get(f"{api}/workfiles/1000004", params={"session_id": session}, timeout=5)


def assert_head(answer, status):
    """An answer without content: one space that calls itself HTML."""
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (status, " ", "text/html")


def test_log_in_answers_201_with_session_and_user(api):
    """Forty hex digits, the user, and a cookie for browsers."""
    answer = log_in(api)
    assert answer.status_code == 201
    content = answer.json()["response"]
    assert re.fullmatch(r"[0-9a-f]{40}", content["session_id"])
    assert content["complete_json"] is True
    user = content["user"]
    assert (user["id"], user["username"], user["user_type"]) == (1000006, "sandbox", "analytics_developer")
    assert re.fullmatch(rf"{COOKIE}=[\w-]+; HttpOnly; Path=/", answer.headers["Set-Cookie"])
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-Request-Id"])
    assert float(answer.headers["X-Runtime"]) >= 0
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "body",
    [
        {"json": LOGIN, "data": None},
        {"json": {"session": LOGIN}, "data": None},
        {"data": {f"session[{name}]": value for name, value in LOGIN.items()}},
    ],
    ids=["json", "json below session", "form below session"],
)
def test_log_in_takes_forms_and_json(api, body):
    """The fields may stand alone or below ``session``."""
    assert log_in(api, **body).status_code == 201


def test_log_in_without_session_id_is_a_forgery(api):
    """The protection against forgery covers the log-in, too; any session_id at all gets past it."""
    assert_head(requests.post(f"{api}/sessions", data=LOGIN, timeout=5), 403)
    wrong = requests.post(f"{api}/sessions", data=LOGIN | {"session_id": "whatever"}, timeout=5)
    assert wrong.status_code == 201


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"username": "nobody"}])
def test_wrong_credentials(api, changes):
    """401 that does not tell which of the two was wrong."""
    answer = log_in(api, data=LOGIN | changes)
    assert answer.status_code == 401
    assert answer.json() == {"errors": {"fields": {"username_or_password": {"INVALID": {}}}}}


def test_blank_credentials(api):
    """401 that names the blank fields."""
    answer = log_in(api, data={"username": ""})
    assert answer.status_code == 401
    assert answer.json() == {"errors": {"fields": {"username": {"BLANK": {}}, "password": {"BLANK": {}}}}}


@pytest.mark.parametrize(
    ("failure", "status", "errors"),
    [
        (
            "ldap_no_user",
            401,
            {"fields": {"base": {"GENERIC": {"message": "User authenticated with LDAP but is not a Chorus user"}}}},
        ),
        ("ldap_unreachable", 400, {"message": "Could not connect to the LDAP server"}),
        ("license_expired", 503, {"service": "LICENSE_EXPIRED"}),
    ],
)
def test_log_in_that_fails_for_other_reasons(sandbox, api, failure, status, errors):
    """LDAP that is not there is 400, an expired licence 503."""
    sandbox.settings("chorus", login_failure=failure)
    answer = log_in(api)
    assert (answer.status_code, answer.json()) == (status, {"errors": errors})


def test_cookie_reads_but_does_not_write(api, browser):
    """With the cookie alone a GET is answered and a POST is a forgery."""
    assert browser.get(f"{api}/workfiles/1000004", timeout=5).status_code == 200
    assert_head(browser.post(f"{api}/workfiles/1000004/run", timeout=5), 403)


def test_cookie_with_its_token_writes(api, browser):
    """Log-out answers the token of the next cookie."""
    token = browser.delete(f"{api}/sessions", params={"session_id": "NULL"}, timeout=5).json()["csrf_token"]
    headers = {"X-CSRF-Token": token}
    assert browser.post(f"{api}/sessions", data=LOGIN, headers=headers, timeout=5).status_code == 201
    assert browser.post(f"{api}/workfiles/1000014/run", headers=headers, timeout=5).status_code == 202


def test_parameter_counts_before_the_cookie(api, browser):
    """An empty or wrong session_id means not logged in, whatever the cookie says."""
    for wrong in ("", "0" * 40):
        assert_head(browser.get(f"{api}/workfiles/1000004", params={"session_id": wrong}, timeout=5), 401)


def test_forgery_protection_can_be_off(sandbox, api, browser):
    """The installation that generated the vendor's pages had none, and another name for the cookie."""
    sandbox.settings("chorus", csrf=False)
    assert browser.post(f"{api}/workfiles/1000014/run", timeout=5).status_code == 202
    sandbox.settings("chorus", cookie_name="_session_id")
    assert "_session_id=" in log_in(api).headers["Set-Cookie"]


def test_token_header_on_the_rails_side_is_a_switch(sandbox, api):
    """The vendor's client of 2019 runs jobs with ``x-token`` only."""
    headers = {"x-token": session_id(api)}
    assert_head(requests.post(f"{api}/jobs/1000001/run", headers=headers, timeout=5), 403)
    sandbox.settings("chorus", token_on_rails=True)
    assert requests.post(f"{api}/jobs/1000001/run", headers=headers, timeout=5).status_code == 202


def test_without_session(api):
    """No session, an unknown one and one that is logged out are all the same."""
    assert_head(requests.get(f"{api}/workfiles/1000004", timeout=5), 401)
    assert_head(workfile(api, "f" * 40), 401)
    session = session_id(api)
    out = requests.delete(f"{api}/sessions", params={"session_id": session}, timeout=5)
    assert (out.status_code, list(out.json())) == (200, ["csrf_token"])
    assert_head(workfile(api, session), 401)
    again = requests.delete(f"{api}/sessions", params={"session_id": session}, timeout=5)
    assert again.status_code == 200


def test_session_slides_with_calls(api, clock):
    """Calls make a session last eight hours more, questions about the session itself do not."""
    session = session_id(api)
    for _ in range(3):
        clock[0] += 28_000
        assert workfile(api, session).status_code == 200
    clock[0] += 28_000
    assert current(api, session).json()["response"]["session_id"] == session
    clock[0] += 1_000
    assert_head(current(api, session), 401)
    assert_head(workfile(api, session), 401)


def test_session_is_touched_only_now_and_then(sandbox, api, clock):
    """A call within five minutes after the last touch does not count, so the session ends all the same."""
    sandbox.settings("chorus", session_seconds=400.0)
    session = session_id(api)
    clock[0] += 290
    assert workfile(api, session).status_code == 200
    clock[0] += 120
    assert_head(workfile(api, session), 401)


def test_open_questions(api):
    """Status and version want no session; one is JSON without an envelope, the other plain text."""
    status = requests.get(f"{api}/status", timeout=5)
    assert (status.json()["status"], status.json()["user_count_exceeded"]) == ("Chorus is running", False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status.json()["updated_at"])
    version = requests.get(f"{api}/VERSION", timeout=5)
    assert (version.text, version.headers["Content-Type"].split(";")[0]) == ("6.3.0.0.5410-4ef43d3c9\n", "text/plain")


def test_license_tells_what_is_on(sandbox, api):
    """The licence wants a session and follows the switches."""
    assert_head(requests.get(f"{api}/license", timeout=5), 401)
    sandbox.settings("chorus", api_enabled=False, jobs_enabled=False)
    found = requests.get(f"{api}/license", params={"session_id": session_id(api)}, timeout=5).json()["response"]
    assert (found["workflow_enabled"], found["is_enabled_api"], found["limit_jobs"]) == (True, False, True)


def test_older_clients_leave_the_prefix_out(sandbox, api):
    """Everything is at the root as well as below ``/api``."""
    assert workfile(f"{sandbox.url}/chorus", session_id(api)).json()["response"]["id"] == 1000004


def test_http_port_redirects(sandbox):
    """A redirect to the https port, also for a POST, which careless clients turn into a GET."""
    sandbox.settings("chorus", redirect_http=True)
    parts = urlsplit(sandbox.url)
    for path in ("/chorus/api/workfiles/1000004/run", "/chorus/alpinedatalabs/api/v1/json/workflows/1000004/run"):
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
        connection.request("POST", path)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (302, f"https://{parts.hostname}:8443{path}")
        connection.close()


def test_unknown_path_is_a_page(api):
    """Rails answers its own page for a path that it does not have."""
    answer = requests.get(f"{api}/nosuch", timeout=5)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (404, "text/html")

"""V1 on the sandbox's Alteryx Gallery: independent signing clients, and the shapes that OAuth 1 brings with it."""

from __future__ import annotations

import json
import re
import time

import pytest
import requests
from oauthlib.oauth1 import SIGNATURE_TYPE_QUERY, Client
from requests_oauthlib import OAuth1

KEY, SECRET = "sandbox-alteryx-key", "sandbox-alteryx-secret"
DEMO, UPLOAD = "5f0e2c00000000000000000d", "5f0e2c000000000000000008"
BAD_SIGNATURE = "The provided signature(oauth_signature) is invalid."
BAD_KEY = "The provided API Key(oauth_consumer_key) is invalid."


@pytest.fixture
def gallery(sandbox):
    """The address of V1 below the Gallery; jobs end at once."""
    sandbox.settings("alteryx", queued_seconds=0, running_seconds=0)
    return f"{sandbox.url}/alteryx/gallery/api/v1"


def session(signature_type="AUTH_HEADER", key=KEY, secret=SECRET, **more):
    """A client that signs with requests-oauthlib."""
    made = requests.Session()
    made.auth = OAuth1(key, secret, signature_type=signature_type, **more)
    return made


@pytest.mark.parametrize("signature_type", ["AUTH_HEADER", "QUERY"])
@pytest.mark.parametrize("search", ["Demo app", "Demo app 2", "a&b=c+d~e/f%g", "Zürich"])
def test_independent_client(gallery, signature_type, search):
    """requests-oauthlib signs in header and query; every query parameter is signed."""
    answer = session(signature_type).get(
        f"{gallery}/workflows/subscription/", params={"search": search, "limit": 10}, timeout=5
    )
    assert answer.status_code == 200
    names = [app["metaInfo"]["name"] for app in json.loads(answer.content.decode("utf-8-sig"))]
    assert all(search in name for name in names)
    assert bool(names) == search.startswith("Demo")


def test_post_signs_no_json(gallery):
    """The body is outside the signature; slashes may be doubled or missing as long as they are signed so."""
    for path in (f"/workflows/{DEMO}/jobs/", f"/workflows/{DEMO}/jobs", f"//workflows//{DEMO}/jobs/"):
        answer = session().post(f"{gallery}{path}", json={"questions": [], "priority": "3"}, timeout=5)
        assert answer.status_code == 200
        assert json.loads(answer.content.decode("utf-8-sig"))["priority"] == 3


def test_recorded_shapes(sandbox, gallery):
    """Start and status of a job as they were recorded: BOM, seven digits and an empty tag first, then neither."""
    url = f"{gallery}/workflows/{UPLOAD}/jobs/"
    started = session().post(url, json={"questions": [], "priority": "3"}, timeout=5).content
    assert started.startswith(b"\xef\xbb\xbf{")
    job = json.loads(started.decode("utf-8-sig"))
    created = job.pop("createDate")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", created)
    same = {"id": job["id"], "appId": None, "outputs": [], "priority": 3, "runWithE2": True}
    assert job == same | {"status": "Queued", "disposition": "None", "messages": [], "workerTag": ""}
    deadline = time.monotonic() + 10
    while job["status"] != "Completed":
        assert time.monotonic() < deadline
        job = json.loads(session().get(f"{gallery}/jobs/{job['id']}/", timeout=5).content.decode("utf-8-sig"))
    assert job.pop("createDate") == f"{created[:19]}Z"
    assert [one["status"] for one in job.pop("messages")] == [3, 3, 3, 1]
    assert job == same | {"status": "Completed", "disposition": "Error", "workerTag": None}
    sandbox.settings("alteryx", v1_bom="never")
    assert session().post(url, timeout=5).json()["priority"] == 0


def test_priorities_are_numbers(gallery):
    """Names are for the web API; a number may be text or not."""
    url = f"{gallery}/workflows/{DEMO}/jobs/"
    answers = [session().post(url, json={"priority": one}, timeout=5) for one in ("0", "1", 2, "4", "High", True)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 400, 400]
    assert [json.loads(answer.content.decode("utf-8-sig"))["priority"] for answer in answers[:3]] == [0, 1, 2]


def test_package_type_is_a_number(gallery):
    """Zero is an app."""
    answer = session().get(f"{gallery}/workflows/subscription/", params={"packageType": "0", "limit": 1}, timeout=5)
    (app,) = json.loads(answer.content.decode("utf-8-sig"))
    assert (app["packageType"], app["isChained"], app["fileName"]) == (0, False, "Seattle weather.yxwz")


def test_wrong_key_and_wrong_secret(sandbox, gallery):
    """Each has its sentence; so does a key pair that was revoked."""
    url = f"{gallery}/workflows/subscription/"
    assert session(secret="wrong").get(url, timeout=5).json()["message"] == BAD_SIGNATURE
    assert session(key="sandbox-alteryx-studio-key").get(url, timeout=5).json()["message"] == BAD_KEY
    sandbox.settings("alteryx", keys_revoked=True)
    assert session().get(url, timeout=5).json()["message"] == BAD_KEY


def test_bearer_token_is_no_signature(gallery):
    """The Gallery knows no tokens."""
    answer = requests.get(f"{gallery}/workflows/subscription/", headers={"Authorization": "Bearer x"}, timeout=5)
    assert answer.status_code == 401


def test_configured_base_address_is_what_must_be_signed(sandbox, gallery):
    """Behind a proxy that changes the address, only the configured one is valid."""
    url = f"{gallery}/workflows/subscription/"
    sandbox.settings("alteryx", base_address="https://alteryx.example.com/gallery/")
    assert session().get(url, timeout=5).json()["message"] == BAD_SIGNATURE
    client = Client(KEY, client_secret=SECRET, signature_type=SIGNATURE_TYPE_QUERY)
    signed, _, _ = client.sign("https://alteryx.example.com/gallery/api/v1/workflows/subscription/")
    assert requests.get(f"{url}?{signed.partition('?')[2]}", timeout=5).status_code == 200


def test_oauth1_ends_with_2021_4(sandbox, gallery):
    """A server since 2022.1 has no such API; one of 2021.3 has no other."""
    url = f"{gallery}/workflows/subscription/"
    sandbox.settings("alteryx", server_version="2022.1")
    assert session().get(url, timeout=5).status_code == 404
    sandbox.settings("alteryx", server_version="2021.3")
    assert session().get(url, timeout=5).status_code == 200
    token = requests.post(
        f"{sandbox.url}/alteryx/webapi/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(KEY, SECRET),
        timeout=5,
    )
    assert token.status_code == 404


def test_gallery_is_a_page_for_people(sandbox):
    """Outside its API the Gallery answers HTML."""
    answer = requests.get(f"{sandbox.url}/alteryx/gallery/", timeout=5)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")

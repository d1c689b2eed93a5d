"""OAuth 1.0a as the sandbox verifies it: known signatures, what is signed, what is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time
from urllib.parse import quote, urlencode, urlsplit

import pytest
import requests

from airflow_workflow_provider.sandbox.alteryx.errors import ApiError
from airflow_workflow_provider.sandbox.alteryx.oauth1 import SignedRequest, Verifier, base_string, signature
from airflow_workflow_provider.sandbox.alteryx.settings import AlteryxSettings

KEY, SECRET = "sandbox-alteryx-key", "sandbox-alteryx-secret"
ADDRESS = "http://alteryx.example.com/gallery/api/v1"
SUBSCRIPTION = f"{ADDRESS}/workflows/subscription/"
PATH = "/alteryx/gallery/api/v1/workflows/subscription/"
BAD_SIGNATURE = "The provided signature(oauth_signature) is invalid."
VECTOR = {
    "oauth_consumer_key": "8DTESTKEY",
    "oauth_nonce": "7Ck8g",
    "oauth_signature_method": "HMAC-SHA1",
    "oauth_timestamp": "1539784724",
    "oauth_version": "1.0",
}


def signed_by_hand(method, url, query, **changes):
    """All parameters of a request as RFC 5849 wants them, made without any library."""
    fresh = {"oauth_timestamp": str(int(time.time())), "oauth_nonce": secrets.token_hex(4), "oauth_consumer_key": KEY}
    parameters = VECTOR | fresh | query | changes
    pairs = "&".join(sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in parameters.items()))
    text = "&".join(quote(part, safe="~") for part in (method, url, pairs)).encode()
    digest = hmac.new(f"{SECRET}&".encode(), text, hashlib.sha1).digest()
    return parameters | {"oauth_signature": base64.b64encode(digest).decode()}


def verifier(**settings):
    """A verifier that knows one key and takes the vectors' old timestamp."""
    chosen = AlteryxSettings(**({"timestamp_window": None} | settings))
    return Verifier(chosen, {"8DTESTKEY": "topsecret", KEY: SECRET})


def vector_request(method=None, url=None, query="", **changes):
    """The first vector as a request with its parameters in the query."""
    pairs = VECTOR | {"oauth_signature": "HKuGPCnQPkj7m7oElqvtVbTnh5g="} | changes
    return SignedRequest(method or "GET", url or SUBSCRIPTION, f"search=Demo%20app&limit=10{query}&{urlencode(pairs)}")


def refusal(one, request):
    """The message of a refusal."""
    with pytest.raises(ApiError) as caught:
        one.consumer_key(request)
    assert caught.value.status == 401
    assert set(caught.value.body) == {"data", "exceptionName", "innerExceptionMessage", "message"}
    return caught.value.message


@pytest.mark.parametrize(
    ("method", "url", "query", "expected"),
    [
        ("GET", SUBSCRIPTION, {"search": "Demo app", "limit": "10"}, "HKuGPCnQPkj7m7oElqvtVbTnh5g="),
        ("POST", f"{ADDRESS}/workflows/5bc4a813156ae016dcb442bd/jobs/", {}, "E3Xg95YinQXP1atyqnLK3PgYch0="),
        (
            "POST",
            "http://Alteryx.example.com:80/gallery/api/v1/workflows/5bc4a813156ae016dcb442bd/jobs/",
            {},
            "E3Xg95YinQXP1atyqnLK3PgYch0=",
        ),
        (
            "GET",
            "https://alteryx.example.com:443/gallery/api/v1/jobs/62d470d411030000e0004177/output/o1/",
            {"format": "Csv"},
            "nqzHDaLh1A7vEcDNA0yHSpHTQQU=",
        ),
    ],
)
def test_known_signatures(method, url, query, expected):
    """Vectors that an independent implementation computed; the port that goes without saying is not signed."""
    assert signature("topsecret", base_string(method, url, [*VECTOR.items(), *query.items()])) == expected


def test_known_base_string():
    """Method, URL without its query, sorted parameters; a space is %20 and encoded twice."""
    assert base_string("get", SUBSCRIPTION, [*VECTOR.items(), ("search", "Demo app"), ("limit", "10")]) == (
        "GET&http%3A%2F%2Falteryx.example.com%2Fgallery%2Fapi%2Fv1%2Fworkflows%2Fsubscription%2F&limit%3D10%26"
        "oauth_consumer_key%3D8DTESTKEY%26oauth_nonce%3D7Ck8g%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D1539784724%26oauth_version%3D1.0%26search%3DDemo%2520app"
    )


def test_vector_is_accepted():
    """A request of the vector's form belongs to its key, whether a space in the query is %20 or +."""
    assert verifier().consumer_key(vector_request()) == "8DTESTKEY"
    plus = SignedRequest("GET", SUBSCRIPTION, vector_request().query.replace("%20", "+"))
    assert verifier().consumer_key(plus) == "8DTESTKEY"


@pytest.mark.parametrize(
    "request_",
    [
        vector_request(method="POST"),
        vector_request(url=SUBSCRIPTION.rstrip("/")),
        vector_request(url=SUBSCRIPTION.replace("http:", "https:")),
        vector_request(url=SUBSCRIPTION.replace(".com", ".com:8080")),
        vector_request(query="&format=Csv"),
        vector_request(oauth_signature="HKuGPCnQPkj7m7oElqvtVbTnh5G="),
        vector_request(oauth_signature="ä"),
        vector_request(oauth_signature_method="PLAINTEXT", oauth_signature="topsecret&"),
    ],
    ids=["method", "slash", "scheme", "port", "added parameter", "signature", "not ASCII", "plain text"],
)
def test_whatever_is_signed_matters(request_):
    """Another method, slash, scheme, port or parameter than the signed one is an invalid signature."""
    assert refusal(verifier(), request_) == BAD_SIGNATURE


def test_other_version_of_oauth_is_refused():
    """``oauth_version`` may be left out, but not be another."""
    other = signed_by_hand("GET", SUBSCRIPTION, {}, oauth_version="1.1")
    assert refusal(verifier(), SignedRequest("GET", SUBSCRIPTION, urlencode(other))) == BAD_SIGNATURE
    parameters = signed_by_hand("GET", SUBSCRIPTION, {})
    assert verifier().consumer_key(SignedRequest("GET", SUBSCRIPTION, urlencode(parameters))) == KEY


@pytest.mark.parametrize("name", [name for name in VECTOR if name != "oauth_version"])
def test_missing_parameter(name):
    """All but the version are required."""
    assert name in refusal(verifier(), vector_request(**{name: ""}))


def test_repeated_nonce_and_old_timestamp():
    """A request is good once and for five minutes; each check has its switch."""
    one = verifier()
    one.consumer_key(vector_request())
    assert "oauth_nonce" in refusal(one, vector_request())
    relaxed = verifier(refuse_reused_nonce=False)
    relaxed.consumer_key(vector_request())
    relaxed.consumer_key(vector_request())
    assert "oauth_timestamp" in refusal(verifier(timestamp_window=300.0), vector_request())


def test_header_with_realm_and_spaces():
    """``realm`` is not signed, spaces and commas between parameters do not matter."""
    parameters = signed_by_hand("GET", SUBSCRIPTION, {"search": "a b"})
    header = ", ".join(f'{name}="{quote(value, safe="~")}"' for name, value in parameters.items() if name != "search")
    request = SignedRequest("GET", SUBSCRIPTION, "search=a%20b", f'OAuth realm="x", {header}')
    assert verifier().consumer_key(request) == KEY


def test_hand_made_request(sandbox):
    """http.client with a signature made from nothing but the standard library."""
    url = urlsplit(sandbox.url + PATH)
    connection = http.client.HTTPConnection(url.netloc, timeout=5)
    try:
        query = urlencode(signed_by_hand("GET", url.geturl(), {"search": "Twin"}), quote_via=quote)
        connection.request("GET", f"{url.path}?{query}")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert answer.status == 200
    assert answer.getheader("Access-Control-Allow-Origin") == "*"
    assert [app["metaInfo"]["name"] for app in json.loads(body.decode("utf-8-sig"))] == ["Twin", "Twin"]


def test_plus_in_base_string_is_refused(sandbox):
    """A client that encodes a space as + while signing, as one well-known sample does, is refused."""
    url = sandbox.url + PATH
    parameters = VECTOR | {"oauth_consumer_key": KEY, "oauth_timestamp": str(int(time.time())), "search": "Demo app"}
    text = "&".join(quote(part, safe="~") for part in ("GET", url, urlencode(sorted(parameters.items())))).encode()
    digest = hmac.new(f"{SECRET}&".encode(), text, hashlib.sha1).digest()
    parameters["oauth_signature"] = base64.b64encode(digest).decode()
    answer = requests.get(url, params=parameters, timeout=5)
    assert answer.status_code == 401
    assert answer.json() == {
        "data": None,
        "exceptionName": "UnauthorizedException",
        "innerExceptionMessage": "",
        "message": BAD_SIGNATURE,
    }

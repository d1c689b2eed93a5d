"""OAuth 1.0a signatures: the published vectors, and whatever requests_oauthlib signs."""

from __future__ import annotations

import re

import pytest
import requests
import requests_oauthlib
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.protocol.oauth1 import OAuth1, base_string

KEY, SECRET, NONCE, MOMENT = "8DTESTKEY", "topsecret", "7Ck8g", 1539784724
SERVER = "alteryx.example.com/gallery/api/v1"
# Recomputed by hand and by oauthlib, see the vendor's API page of V1.
VECTORS = [
    ("GET", f"http://{SERVER}/workflows/subscription/?search=Demo%20app&limit=10", "HKuGPCnQPkj7m7oElqvtVbTnh5g="),
    ("POST", f"http://{SERVER}/workflows/5bc4a813156ae016dcb442bd/jobs/", "E3Xg95YinQXP1atyqnLK3PgYch0="),
    (
        "POST",
        f"http://{SERVER.replace('/', ':80/', 1)}/workflows/5bc4a813156ae016dcb442bd/jobs/",
        "E3Xg95YinQXP1atyqnLK3PgYch0=",
    ),
    ("GET", f"https://{SERVER}/jobs/62d470d411030000e0004177/output/o1/?format=Csv", "nqzHDaLh1A7vEcDNA0yHSpHTQQU="),
]
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
PATH = st.text("abcXYZ019-._~", min_size=1, max_size=8).filter(lambda part: part.strip("."))


def signer(key=KEY, secret=SECRET):
    """Signs always with the same nonce at the same moment."""
    return OAuth1(key, secret, nonce=lambda: NONCE, now=lambda: MOMENT)


def fields(header):
    """The fields of an ``Authorization`` header, decoded."""
    text = header.decode() if isinstance(header, bytes) else header
    assert text.startswith("OAuth ")
    return {name: requests.utils.unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', text)}


@pytest.mark.parametrize(("method", "url", "signature"), VECTORS)
def test_published_vectors(method, url, signature):
    assert fields(signer().header(method, url))["oauth_signature"] == signature


def test_the_base_string_is_the_published_one():
    assert base_string("GET", VECTORS[0][1], KEY, NONCE, MOMENT) == (
        "GET&http%3A%2F%2Falteryx.example.com%2Fgallery%2Fapi%2Fv1%2Fworkflows%2Fsubscription%2F&limit%3D10%26"
        "oauth_consumer_key%3D8DTESTKEY%26oauth_nonce%3D7Ck8g%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D1539784724%26oauth_version%3D1.0%26search%3DDemo%2520app"
    )


@given(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.sampled_from(["http://server", "https://Server:8443", "https://server:443", "http://127.0.0.1:80"]),
    st.lists(PATH, max_size=4),
    st.booleans(),
    st.lists(st.tuples(TEXT, TEXT), max_size=4),
    TEXT,
    TEXT,
)
def test_it_signs_as_requests_oauthlib_does(method, server, parts, slash, query, key, secret):
    """Whatever `requests` makes of a URL, both sign the same text with the same key."""
    url = "/".join([server, *parts]) + ("/" if slash else "")
    theirs = requests_oauthlib.OAuth1(key, client_secret=secret, nonce=NONCE, timestamp=str(MOMENT))
    expected = requests.Request(method, url, params=query, auth=theirs).prepare()
    ours = requests.Request(method, url, params=query, auth=signer(key, secret)).prepare()
    assert ours.url == expected.url
    assert fields(ours.headers["Authorization"]) == fields(expected.headers["Authorization"])


def test_a_json_body_is_not_signed():
    body = {"questions": []}
    ours = requests.Request("POST", VECTORS[1][1], json=body, auth=signer()).prepare()
    assert fields(ours.headers["Authorization"])["oauth_signature"] == VECTORS[1][2]


def test_a_form_body_is_signed_too():
    """As RFC 5849 wants it: with other values in the form, the signature is another one."""
    made = requests.Request("POST", VECTORS[1][1], data={"a": "b c"}, auth=OAuth1(KEY, SECRET)).prepare()
    told = fields(made.headers["Authorization"])
    theirs = requests_oauthlib.OAuth1(
        KEY, client_secret=SECRET, nonce=told["oauth_nonce"], timestamp=told["oauth_timestamp"]
    )
    same, other = (
        requests.Request("POST", VECTORS[1][1], data={"a": value}, auth=theirs).prepare() for value in ("b c", "d")
    )
    assert fields(same.headers["Authorization"]) == told
    assert fields(other.headers["Authorization"])["oauth_signature"] != told["oauth_signature"]


def test_every_signature_has_a_nonce_of_its_own():
    headers = [fields(OAuth1(KEY, SECRET).header("GET", VECTORS[0][1])) for _ in range(20)]
    assert len({header["oauth_nonce"] for header in headers}) == 20
    assert len({header["oauth_signature"] for header in headers}) == 20

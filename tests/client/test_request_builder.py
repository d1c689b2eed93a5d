"""Requests in their bytes: prepared by `requests` once, and afterwards exactly what `requests` would have made."""

from __future__ import annotations

import json

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.client.request_builder import _PLAIN, Maker, prepared
from airflow_workflow_provider.client.request_limiter import TRIES
from airflow_workflow_provider.client.triggerer import LARGE, TriggererClient, opened
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import NotSent, Request
from airflow_workflow_provider.protocol.oauth1 import OAuth1
from tests.client.recording import HTML_503, Reply

HEADERS = {"Token": "5e7e51e0-token"}
ADDRESS = st.text("abcXYZ019./:-_~%?& é", max_size=30).map(lambda text: f"https://server{text}")
PLAIN = st.from_regex(_PLAIN, fullmatch=True).filter(lambda url: len(url) < 200)


@given(st.one_of(PLAIN, ADDRESS.filter(_PLAIN.fullmatch)))
def test_an_address_that_is_taken_as_it_is_is_one_that_requests_leaves_alone(url):
    assert prepared(Request("GET", url)).url == url


@given(PLAIN)
def test_the_short_way_makes_the_bytes_of_the_long_one(url):
    maker = Maker(Transport())
    maker.made(Request("GET", "https://server/other", headers=HEADERS))
    made, expected = maker.made(Request("GET", url, headers=HEADERS)), prepared(Request("GET", url, headers=HEADERS))
    assert (made.method, str(made.url), dict(made.headers)) == ("GET", expected.url, dict(expected.headers))


@given(PLAIN, st.dictionaries(st.text("abXY09.~_- é&=+%", max_size=5), st.text("abXY09.~_- é&=+%", max_size=5)))
def test_the_short_way_with_a_query_makes_the_bytes_of_the_long_one(url, params):
    request = Request("GET", url, headers=HEADERS, params=params)
    made, expected = Maker(Transport()).made(request), prepared(request)
    assert (made.method, str(made.url), dict(made.headers)) == ("GET", expected.url, dict(expected.headers))


def test_polls_with_the_same_query_share_their_headers():
    maker, params = Maker(Transport()), {"includeMessages": "false"}
    requests_made = [Request("GET", f"https://server/jobs/{number}", params=params, lasting=True) for number in "12"]
    first, second = (maker.made(request) for request in requests_made)
    assert first.headers is second.headers
    assert first.url == "https://server/jobs/1?includeMessages=false"


def test_polls_with_a_constant_header_are_prepared_once(mocker):
    prepare = mocker.spy(requests.Request, "prepare")
    maker = Maker(Transport())
    for number in range(50):
        maker.made(Request("GET", f"https://server/jobs/{number}", headers=HEADERS, lasting=True))
    assert prepare.call_count == 1


def test_a_request_that_lasts_is_made_once_whatever_its_address(mocker):
    prepare = mocker.spy(requests.Request, "prepare")
    maker = Maker(Transport())
    request = Request("GET", "https://server/jobs/a%20b", params={"x": "ü"}, headers=HEADERS, lasting=True)
    assert maker.made(request) is maker.made(request)
    assert prepare.call_count == 1


@pytest.mark.parametrize("params", [None, {"search": "Demo app"}])
def test_a_signed_request_is_signed_each_time(params):
    maker = Maker(Transport())
    url = str(prepared(Request("GET", "https://server/jobs/1/", params=params)).url)
    signer = OAuth1("key", "secret", nonce=iter(["one", "two"]).__next__, now=lambda: 1)
    request = Request("GET", "https://server/jobs/1/", params=params, sign=signer, lasting=True)
    headers = [maker.made(request).headers["Authorization"] for _ in range(2)]
    expected = OAuth1("key", "secret", nonce=iter(["one", "two"]).__next__, now=lambda: 1)
    assert headers == [expected.header("GET", url) for _ in range(2)]


async def test_a_large_answer_is_read_already_when_the_flow_gets_it():
    rows = [{"id": number, "text": "x" * 100} for number in range(LARGE // 100)]
    response = await opened(200, {}, [json.dumps(rows).encode()])
    assert response.parsed == (rows,)
    assert response.json() is response.parsed[0]


@pytest.mark.parametrize("body", [b"<" * LARGE, b"[" * LARGE, b"\xff" * LARGE], ids=["no JSON", "deep", "no text"])
async def test_a_large_answer_that_cannot_be_read_is_not_read_again(body):
    """The flow is told so, and does not stall the loop with another try."""
    response = await opened(200, {}, [body])
    assert response.unreadable
    with pytest.raises(ValueError, match=response.unreadable):
        response.json()


def ask(url, urgent):
    response = yield Request("GET", url, urgent=urgent)
    return response.status


async def test_an_urgent_request_is_sent_to_a_server_that_counts_as_down(server):
    server.script([HTML_503])
    async with TriggererClient(Transport(timeout=5)) as client:
        for _ in range(TRIES):
            assert await client.run(ask(server.url, False)) == 503
        with pytest.raises(NotSent, match="requests to the server pause"):
            await client.run(ask(server.url, False))
        server.script([Reply(200)])
        assert await client.run(ask(server.url, True)) == 200

"""What an answer's status means, for a request that is safe to repeat and for one that starts a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    PermissionDenied,
    ProtocolError,
    RequestRejected,
    ServerUnavailable,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.api import Api, summary
from airflow_workflow_provider.protocol.auth import HeaderAuth
from airflow_workflow_provider.protocol.effects import NoAnswer, NotSent, Request, Response
from tests.protocol.playing import EPOCH, Player, answer

SECRET = "secret-token"
API = Api("c", "https://api.example.com/prefix", HeaderAuth("Authorization", SECRET), secrets=(SECRET,))
GET = Request("GET", API.url("/runs/{run_id}", run_id="7"), params={"key": SECRET})
POST = Request("POST", API.url("/runs"), json={})
DOING = "doing a thing"
HTML = "<!DOCTYPE html><html><head><title>502 &amp; so on</title></head><body>long text</body></html>"

# Status -> what a call raises, what a start raises. None is no error.
MEANING = {
    200: (None, None),
    201: (None, None),
    202: (None, None),
    204: (None, None),
    301: (ProtocolError, ProtocolError),
    302: (ProtocolError, ProtocolError),
    304: (ProtocolError, ProtocolError),
    307: (ProtocolError, ProtocolError),
    400: (RequestRejected, RequestRejected),
    401: (AuthenticationFailed, AuthenticationFailed),
    402: (RequestRejected, RequestRejected),
    403: (PermissionDenied, PermissionDenied),
    404: (WorkflowNotFound, WorkflowNotFound),
    405: (RequestRejected, RequestRejected),
    407: (RequestRejected, RequestRejected),
    408: (ServerUnavailable, UnknownStart),
    409: (RequestRejected, RequestRejected),
    410: (WorkflowNotFound, WorkflowNotFound),
    418: (RequestRejected, RequestRejected),
    422: (RequestRejected, RequestRejected),
    425: (ServerUnavailable, RequestRejected),
    429: (ServerUnavailable, ServerUnavailable),
    499: (RequestRejected, RequestRejected),
    500: (ServerUnavailable, UnknownStart),
    501: (ServerUnavailable, UnknownStart),
    502: (ServerUnavailable, UnknownStart),
    503: (ServerUnavailable, UnknownStart),
    504: (ServerUnavailable, UnknownStart),
    529: (ServerUnavailable, UnknownStart),
    599: (ServerUnavailable, UnknownStart),
}


def started(response):
    """The parser of a start that takes anything."""
    return response.status


@pytest.mark.parametrize(("status", "meaning"), MEANING.items())
def test_what_a_status_means_for_a_call_and_for_a_start(status, meaning):
    """A start that may have been taken is an `UnknownStart`; every other error of a start says that it was not."""
    for flow, error in zip((API.call(GET, DOING), API.start(POST, DOING, started)), meaning, strict=True):
        player = Player([answer(status, b"reason given")])
        if error is None:
            player.play(flow)
        else:
            with pytest.raises(error) as caught:
                player.play(flow)
            assert type(caught.value) is error
            assert caught.value.status == status
            assert all(part in str(caught.value) for part in ("connection 'c'", DOING, f"HTTP {status}"))
        assert len(player.requests) == 1


@pytest.mark.parametrize(
    ("failure", "call", "start"),
    [(NotSent("refused"), ServerUnavailable, ServerUnavailable), (NoAnswer("reset"), ServerUnavailable, UnknownStart)],
)
def test_what_a_broken_network_means(failure, call, start):
    """Only where no connection was made is it certain that nothing was started."""
    with pytest.raises(call, match=str(failure)):
        Player([failure]).play(API.call(GET, DOING))
    with pytest.raises(start, match=str(failure)):
        Player([failure]).play(API.start(POST, DOING, started))


def test_an_answer_to_a_start_that_cannot_be_read_is_an_unknown_start():
    def parse(response):
        return API.document(POST, response, DOING)

    assert Player([answer(200, {"id": 7})]).play(API.start(POST, DOING, parse)) == {"id": 7}
    for body in (HTML, "", "{", b"\xff\xfe"):
        with pytest.raises(UnknownStart, match="may have been started"):
            Player([answer(200, body)]).play(API.start(POST, DOING, parse))


@given(st.integers(100, 999), st.binary(max_size=50), st.booleans())
def test_whatever_the_answer_a_start_is_sent_once_and_ends_in_our_errors(status, body, reads_json):
    parse = (lambda response: API.document(POST, response, DOING)) if reads_json else started
    player = Player([answer(status, body)])
    try:
        player.play(API.start(POST, DOING, parse))
    except WorkflowError as error:
        assert SECRET not in str(error)  # noqa: PT017  # both ends are right, a third one is not
    else:
        assert 200 <= status < 300
    assert len(player.requests) == 1


@pytest.mark.parametrize("body", [HTML, "", "{", "[1,", b"\xff\xfe", "[" * 100_000], ids=lambda body: repr(body)[:20])
def test_an_answer_that_is_no_json_is_a_protocol_error_that_hints_at_the_host(body):
    with pytest.raises(ProtocolError, match="Check the field 'host' of connection 'c'"):
        Player([answer(200, body)]).play(API.read(GET, DOING))


def test_json_may_begin_with_a_byte_order_mark():
    assert Player([answer(200, b'\xef\xbb\xbf{"a": 1}')]).play(API.read(GET, DOING)) == {"a": 1}


def test_a_redirect_tells_where_it_leads_without_its_query():
    place = f"https://login.example.com/?token={SECRET}"
    with pytest.raises(ProtocolError, match=r"redirects to https://login\.example\.com/\. Check the field 'host'") as e:
        Player([answer(302, location=place)]).play(API.call(GET, DOING))
    assert SECRET not in str(e.value)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_as_seconds_and_as_a_date(status):
    for header in ("60", "Mon, 21 Sep 2026 14:14:20 GMT"):
        with pytest.raises(ServerUnavailable) as caught:
            Player([answer(status, retry_after=header)]).play(API.call(GET, DOING))
        assert caught.value.retry_after == 60
    assert EPOCH == 1_790_000_000  # which is 60 seconds before that date


def test_a_429_to_a_start_tells_how_long_to_wait():
    with pytest.raises(ServerUnavailable) as caught:
        Player([answer(429, retry_after="60")]).play(API.start(POST, DOING, started))
    assert caught.value.retry_after == 60


def test_a_secret_that_the_server_echoes_is_removed():
    for given_ in (answer(400, f"bad {SECRET}"), answer(500, f"<title>{SECRET}</title>"), NoAnswer(f"at {SECRET}")):
        with pytest.raises(WorkflowError) as caught:
            Player([given_]).play(API.call(GET, DOING))
        assert SECRET not in str(caught.value)


def test_an_error_shows_the_servers_own_words_but_not_a_whole_page():
    told = Api("c", API.base_url, API.auth, describe=lambda response: response.json()["error"])
    with pytest.raises(RequestRejected, match=r'^HTTP 400 from the server: "no such column"'):
        Player([answer(400, {"error": "no such column"})]).play(told.call(GET, DOING))
    with pytest.raises(RequestRejected) as caught:
        Player([answer(400, {"error": "x" * 10_000})]).play(told.call(GET, DOING))
    assert len(str(caught.value)) < 1000


def test_an_html_page_is_summed_up_by_its_title():
    assert summary(Response(502, body=HTML.encode())) == "an HTML page titled '502 & so on'"
    assert summary(Response(502, body=b"<html><body>no title</body></html>")) == "an HTML page"
    assert summary(Response(502, body=b"  plain \n text ")) == "plain text"


def test_a_path_is_appended_to_the_base_url_and_its_values_are_quoted_whole():
    assert API.url("/runs/{run_id}/x", run_id="a/b c?d#é") == f"{API.base_url}/runs/a%2Fb%20c%3Fd%23%C3%A9/x"


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_that_would_climb_out_of_its_path_is_refused(value):
    """`requests` resolves dots, so another address would be asked."""
    with pytest.raises(InvalidArgument, match="run_id"):
        API.url("/runs/{run_id}/x", run_id=value)

"""Credentials: how a request gets them, and what happens when they are refused or run out."""

from __future__ import annotations

import asyncio

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_workflow_provider.client.triggerer import TriggererClient
from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidConnection,
    ProtocolError,
    ServerUnavailable,
)
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import HeaderAuth, NoAuth, SignAuth, Token, TokenAuth, redacted
from airflow_workflow_provider.protocol.connection import Transport
from airflow_workflow_provider.protocol.effects import Now, Request, Sleep
from airflow_workflow_provider.protocol.oauth2 import client_credentials
from tests.protocol.playing import EPOCH, Player, answer

URL = "https://api.example.com/thing"


def tokens(lifetime=3600.0, early=60.0):
    """An auth that makes token 1, 2, 3, …, and the list of those that it has made."""
    made = []

    def fetch():
        yield Now()
        made.append(f"token-{len(made) + 1}")
        return Token(made[-1], lifetime)

    return TokenAuth(fetch, early=early), made


def header_of(player, auth):
    """What the next request is authorised with."""
    return player.play(auth.authorize(Request("GET", URL))).headers["Authorization"]


def test_a_constant_is_put_into_its_header_and_nothing_renews_it():
    player, auth = Player(), HeaderAuth("Authorization", "Token abc")
    request = player.play(auth.authorize(Request("GET", URL, headers={"X": "1"})))
    assert request.headers == {"X": "1", "Authorization": "Token abc"}
    assert player.play(auth.refused(request)) is False
    assert "abc" not in repr(auth)


def test_without_auth_a_request_goes_as_it_is():
    player, request = Player(), Request("GET", URL)
    assert player.play(NoAuth().authorize(request)) is request
    assert player.play(NoAuth().refused(request)) is False


def test_a_signature_is_made_anew_for_every_request():
    """A nonce must not be used twice."""
    made = iter(["first", "second"])
    auth, player = SignAuth(lambda: next(made)), Player()
    assert [player.play(auth.authorize(Request("GET", URL))).sign for _ in range(2)] == ["first", "second"]
    assert player.play(auth.refused(Request("GET", URL))) is False


def test_a_token_is_fetched_once_and_masked():
    (auth, made), player = tokens(), Player()
    assert [header_of(player, auth) for _ in range(3)] == ["Bearer token-1"] * 3
    assert (made, player.secrets) == (["token-1"], ["token-1"])
    assert "token-1" not in repr(auth)


def test_a_token_is_renewed_before_its_end():
    (auth, made), player = tokens(lifetime=3600, early=300), Player()
    header_of(player, auth)
    player.now = EPOCH + 3299
    assert header_of(player, auth) == "Bearer token-1"
    player.now = EPOCH + 3300
    assert header_of(player, auth) == "Bearer token-2"
    assert made == ["token-1", "token-2"]


def test_a_token_that_lives_shorter_than_that_is_used_for_half_its_life():
    (auth, _), player = tokens(lifetime=10, early=300), Player()
    header_of(player, auth)
    player.now = EPOCH + 4.9
    assert header_of(player, auth) == "Bearer token-1"
    player.now = EPOCH + 5
    assert header_of(player, auth) == "Bearer token-2"


@pytest.mark.parametrize("lifetime", [1e-9, 0.5, 3])
def test_a_token_of_no_life_is_not_fetched_for_each_request(lifetime):
    """Thousands of polls would each log in; the server refuses a token that is over, and only then it is fetched."""
    (auth, made), player = tokens(lifetime=lifetime), Player()
    for _ in range(100):
        header_of(player, auth)
    assert made == ["token-1"]
    player.now += 6
    assert header_of(player, auth) == "Bearer token-2"


@pytest.mark.parametrize(
    "token", ["a\nX: y", "a\N{REPLACEMENT CHARACTER}b", "\u65e5", "caf\u00e9", " ", "\t", "a\x7f"], ids=ascii
)
def test_a_token_that_no_header_takes_is_an_error_that_a_wait_endures(token):
    """Both clients refuse it in ways of their own, and one of them ended the task for good."""

    def fetch():
        yield Now()
        return Token(token, 60.0)

    with pytest.raises(ProtocolError, match="cannot be sent") as failed:
        header_of(Player(), TokenAuth(fetch))
    assert "X: y" not in str(failed.value)


def test_a_token_without_a_lifetime_is_used_until_it_is_refused():
    (auth, _), player = tokens(lifetime=None), Player()
    header_of(player, auth)
    player.now = EPOCH + 10**9
    assert header_of(player, auth) == "Bearer token-1"


def test_a_refused_token_is_renewed_once():
    """The request is sent a second time with the new token; a second 401 is the server's word."""
    (auth, made), player = tokens(), Player([answer(401), answer(200, {"ok": True})])
    api = Api("c", "https://api.example.com", auth)
    assert player.play(api.read(Request("GET", URL), "reading")) == {"ok": True}
    assert [request.headers["Authorization"] for request in player.requests] == ["Bearer token-1", "Bearer token-2"]
    refusing = Player([answer(401)])
    with pytest.raises(AuthenticationFailed):
        refusing.play(api.read(Request("GET", URL), "reading"))
    assert (len(refusing.requests), made) == (2, ["token-1", "token-2", "token-3"])


def test_a_token_that_another_flow_has_renewed_meanwhile_is_not_thrown_away():
    (auth, made), player = tokens(), Player()
    old = player.play(auth.authorize(Request("GET", URL)))
    assert player.play(auth.refused(old)) is True
    assert header_of(player, auth) == "Bearer token-2"
    assert player.play(auth.refused(old)) is True  # the late answer to a request that carried the first token
    assert (header_of(player, auth), made) == ("Bearer token-2", ["token-1", "token-2"])


async def test_flows_that_ask_at_the_same_time_share_one_log_in():
    """A thousand waiting runs do not log in a thousand times, neither first nor after the token was refused."""
    made = []

    def fetch():
        yield Sleep(0.01)
        made.append(f"token-{len(made) + 1}")
        return Token(made[-1], 3600)

    auth = TokenAuth(fetch)
    async with TriggererClient(Transport()) as client:
        first = await asyncio.gather(*(client.run(auth.authorize(Request("GET", URL))) for _ in range(50)))
        await asyncio.gather(*(client.run(auth.refused(request)) for request in first))
        second = await asyncio.gather(*(client.run(auth.authorize(Request("GET", URL))) for _ in range(50)))
    assert {request.headers["Authorization"] for request in first} == {"Bearer token-1"}
    assert {request.headers["Authorization"] for request in second} == {"Bearer token-2"}
    assert made == ["token-1", "token-2"]


def oauth(**more):
    """The client credentials grant against some server."""
    api = Api("c", "https://auth.example.com/token", NoAuth(), secrets=("client-secret",))
    request = Request("POST", "https://auth.example.com/token", form={"client_secret": "client-secret"})
    return client_credentials(api, request, **{"lifetime": 100.0, "early": 10.0, **more})


@pytest.mark.parametrize(
    ("expires_in", "renewed_after"),
    [(1000, 990), ("1000", 990), (None, 90), ("soon", 90), (True, 90), ([], 90), (10**400, None), ("nan", 90)],
    ids=lambda value: repr(value)[:20],
)
def test_the_life_of_an_oauth_token(expires_in, renewed_after):
    """Where the answer does not tell it, the documented one counts."""
    player = Player([answer(200, {"access_token": "tok", "expires_in": expires_in})])
    auth = oauth()
    header_of(player, auth)
    for seconds, requests in [(0, 1)] if renewed_after is None else [(renewed_after - 1, 1), (renewed_after, 2)]:
        player.now = EPOCH + seconds
        header_of(player, auth)
        assert len(player.requests) == requests


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(401, {"error": "access_denied"}), AuthenticationFailed),
        (answer(403, {"error": "access_denied"}), AuthenticationFailed),
        (answer(400, {"error": "invalid_client"}), AuthenticationFailed),
        (answer(404, "<html>"), InvalidConnection),
        (answer(503), ServerUnavailable),
        (answer(429), ServerUnavailable),
        (answer(302, location="https://elsewhere.example.com"), ProtocolError),
        (answer(200, "<html>"), ProtocolError),
        (answer(200, {"token": "x"}), ProtocolError),
        (answer(200, {"access_token": 5}), ProtocolError),
        (answer(200, []), ProtocolError),
    ],
)
def test_a_log_in_that_fails_says_which_connection_and_what_to_check(given, error):
    """Refused credentials are final, a server that is down is not."""
    with pytest.raises(
        error, match=r"connection 'c'(.|\n)*fetching an OAuth token\n  request: POST https://auth"
    ) as caught:
        header_of(Player([given]), oauth())
    assert isinstance(caught.value, AirflowFailException) == (400 <= given.status < 405)


def test_the_client_secret_is_not_shown_when_the_server_echoes_it():
    with pytest.raises(AuthenticationFailed) as caught:
        header_of(Player([answer(401, "unknown client client-secret")]), oauth())
    assert "client-secret" not in str(caught.value)
    assert "***" in str(caught.value)


def test_redaction_leaves_short_words_alone():
    """A secret of three characters stands in many an innocent word."""
    assert redacted("the password is s3cret, so be it", ("s3cret", "so", "")) == "the password is ***, so be it"


def test_text_forms_show_no_credential():
    """Error reporters print the variables of every frame."""
    request = Request("POST", URL, params={"key": "s3cret"}, headers={"Authorization": "s3cret"}, form={"p": "s3cret"})
    api = Api("c", URL, HeaderAuth("Authorization", "s3cret"), secrets=("s3cret",))
    assert "s3cret" not in f"{request!r} {request} {api!r} {Token('s3cret')!r}"

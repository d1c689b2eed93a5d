"""A start is sent again in three cases and in no other: refused connection, 401 (once), 429 (after its wait)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    ProtocolError,
    RequestRejected,
    ServerUnavailable,
    UnknownStart,
    WorkflowError,
)
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import HeaderAuth, Token, TokenAuth
from airflow_workflow_provider.protocol.effects import NoAnswer, NotSent, Request
from airflow_workflow_provider.protocol.retry import RETRY, UNREACHABLE_TRIES, persist
from tests.protocol.playing import Player, answer

CONSTANT = Api("c", "https://api.example.com", HeaderAuth("Authorization", "Token abc"))
START = Request("POST", CONSTANT.url("/runs"), json={"n": 1})
OK = answer(201, {"id": "7"})


def renewing():
    """An API whose token can be renewed."""
    made = iter(range(100))

    def fetch():
        return Token(f"token-{next(made)}")
        yield

    return Api("c", CONSTANT.base_url, TokenAuth(fetch))


def start(player, api=CONSTANT):
    """Start as a hook does."""

    def parse(response):
        document = api.document(START, response, "starting")
        if not isinstance(document, dict) or "id" not in document:
            raise api.unreadable(START, response, "starting", "it has no id")
        return document["id"]

    return player.play(persist(lambda: api.start(START, "starting workflow w", parse)))


@pytest.mark.parametrize(
    ("answers", "sent", "slept"),
    [
        ([OK], 1, 0),
        ([NotSent("refused"), OK], 2, 1),
        ([NotSent("refused"), NotSent("refused"), OK], 3, 2),
        ([answer(429, retry_after="7"), OK], 2, 1),
        ([answer(429), answer(429), OK], 3, 2),
    ],
)
def test_a_start_that_certainly_was_not_taken_is_sent_again(answers, sent, slept):
    player = Player(answers)
    assert start(player) == "7"
    assert (len(player.requests), len(player.sleeps)) == (sent, slept)


def test_a_start_waits_as_long_as_a_429_asks():
    player = Player([answer(429, retry_after="7"), OK])
    start(player)
    assert 7 <= player.sleeps[0] <= 8


def test_a_start_is_sent_again_once_after_a_401_with_new_credentials():
    player = Player([answer(401), OK])
    assert start(player, renewing()) == "7"
    assert [request.headers["Authorization"] for request in player.requests] == ["Bearer token-0", "Bearer token-1"]
    refused = Player([answer(401)])
    with pytest.raises(AuthenticationFailed):
        start(refused, renewing())
    assert len(refused.requests) == 2


def test_a_constant_credential_that_is_refused_is_not_tried_again():
    player = Player([answer(401), OK])
    with pytest.raises(AuthenticationFailed):
        start(player)
    assert len(player.requests) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_server_error_after_sending_is_an_unknown_start(status):
    """Also one with Retry-After: it may have come from a proxy after the server took the request."""
    player = Player([answer(status, "<html><title>down</title></html>", retry_after="1"), OK])
    with pytest.raises(
        UnknownStart, match=rf"^HTTP {status}.*titled 'down'.*connection 'c'.*\n  while: starting workflow w\n"
    ):
        start(player)
    assert (len(player.requests), player.sleeps) == (1, [])


@pytest.mark.parametrize("what", ["connection reset", "read timed out", "incomplete body"])
def test_a_broken_answer_is_an_unknown_start(what):
    player = Player([NoAnswer(what), OK])
    with pytest.raises(UnknownStart, match=rf"{what}.*look for it.*connection 'c'.*\n  while: starting workflow w\n"):
        start(player)
    assert len(player.requests) == 1


@pytest.mark.parametrize("body", ["", "<html>", "{}", "[]", '{"ident": 7}', "null"])
def test_an_unreadable_answer_is_an_unknown_start(body):
    player = Player([answer(200, body), OK])
    with pytest.raises(UnknownStart, match=r"connection 'c'.*\n  while: starting workflow w\n"):
        start(player)
    assert len(player.requests) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(302, ProtocolError), (400, RequestRejected), (403, AuthenticationFailed), (409, RequestRejected)],
)
def test_a_refusal_means_that_nothing_was_started(status, error):
    player = Player([answer(status), OK])
    with pytest.raises(error) as caught:
        start(player)
    assert not isinstance(caught.value, UnknownStart)
    assert len(player.requests) == 1


def test_a_start_gives_up_when_nobody_listens():
    player = Player([NotSent("refused")])
    with pytest.raises(ServerUnavailable, match="refused"):
        start(player)
    assert len(player.requests) == UNREACHABLE_TRIES < RETRY.attempts
    assert len(player.notes) == 1  # the first failure is logged at once
    assert "refused" in player.notes[0]


STATUSES = (200, 302, 400, 401, 403, 404, 408, 429, 500, 503)
ANSWERS = [NotSent("refused"), NoAnswer("reset"), OK, *map(answer, STATUSES)]


@given(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=12), st.booleans())
def test_whatever_happens_no_start_follows_one_that_may_have_been_taken(answers, renews):
    """Every answer but the last is one of the three that prove that nothing was started."""
    player = Player(list(answers))
    with suppress(WorkflowError):
        start(player, renewing() if renews else CONSTANT)
    given_back = [*answers, *[answers[-1]] * 50][: len(player.requests)]
    for one in given_back[:-1]:
        assert isinstance(one, NotSent) or getattr(one, "status", None) in (401, 429)

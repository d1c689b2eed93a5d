"""When a request is repeated, and how long the wait before it is."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import AuthenticationFailed, ProtocolError, ServerUnavailable, UnknownStart
from airflow_workflow_provider.protocol.retry import RETRY, Retry, is_transient, persist, retry_after_seconds
from tests.protocol.playing import Player

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Thu, 01 Jan 2026 12:02:00 GMT", 120.0),
        ("Thu, 01 Jan 2026 14:02:00 +0200", 120.0),
        ("Thu, 01 Jan 2026 12:02:00 -0000", 120.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Thursday, 01-Jan-26 12:02:00 GMT", 120.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("nan", None),
        ("Thu, 99 Foo 2026 99:99:99 GMT", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    """What cannot be used counts as not said."""
    assert retry_after_seconds(header, NOW) == seconds


@given(st.text())
def test_whatever_a_retry_after_says_gives_finite_seconds_or_none(text):
    found = retry_after_seconds(text, NOW)
    assert found is None or (isfinite(found) and found >= 0)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
def test_these_statuses_may_pass(status):
    assert is_transient(status)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 409, 410, 422])
def test_these_do_not_pass_by_themselves(status):
    assert not is_transient(status)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_random_between_nothing_and_a_doubling_bound(failures, luck):
    """Full jitter: waiters that failed together do not come back together."""
    retry = Retry(base=0.5, cap=30.0, random=lambda: luck)
    assert retry.delay(failures) == pytest.approx(luck * min(30.0, 0.5 * 2 ** min(failures, 16)))


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 300))
def test_a_wait_that_the_server_asked_for_is_kept_and_spread_by_a_second_at_most(luck, asked):
    assert asked <= Retry(random=lambda: luck).delay(3, asked) <= asked + 1


def failing(*errors):
    """A maker of flows that fail in turn, then give "done"."""
    left = list(errors)

    def flow():
        if left:
            raise left.pop(0)
        return "done"
        yield

    return flow, left


def test_a_flow_is_repeated_while_the_server_is_unavailable():
    flow, _ = failing(*[ServerUnavailable("down")] * 3)
    player = Player()
    assert player.play(persist(flow, Retry(random=lambda: 1.0))) == "done"
    assert player.sleeps == [1.0, 2.0, 4.0]


def test_it_gives_up_after_its_attempts():
    flow, left = failing(*[ServerUnavailable("down")] * 20)
    player = Player()
    with pytest.raises(ServerUnavailable):
        player.play(persist(flow))
    assert (20 - len(left), len(player.sleeps)) == (RETRY.attempts, RETRY.attempts - 1)


def test_it_waits_as_long_as_the_server_asks():
    flow, _ = failing(ServerUnavailable("busy", retry_after=17))
    player = Player()
    player.play(persist(flow, Retry(random=lambda: 0.0)))
    assert player.sleeps == [17]


def test_it_does_not_hold_a_worker_for_a_wait_that_is_too_long():
    """Airflow can retry the task later instead; the error tells when."""
    flow, left = failing(ServerUnavailable("busy", retry_after=301))
    player = Player()
    with pytest.raises(ServerUnavailable) as caught:
        player.play(persist(flow))
    assert (left, player.sleeps, caught.value.retry_after) == ([], [], 301)


@pytest.mark.parametrize("error", [UnknownStart("lost"), AuthenticationFailed("no"), ProtocolError("odd")], ids=repr)
def test_nothing_else_is_repeated(error):
    flow, left = failing(error, ServerUnavailable("down"))
    player = Player()
    with pytest.raises(type(error)):
        player.play(persist(flow))
    assert (len(left), player.sleeps) == (1, [])

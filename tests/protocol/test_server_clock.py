"""How far the clock of a server is from ours, by the date of its answers."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from airflow_workflow_provider.protocol.times import LONGEST_LAG, server_lag, server_time

NOW = 1_800_000_000.0


def dated(lag):
    """The headers of a server whose clock is so many seconds behind."""
    return {"date": formatdate(NOW - lag, usegmt=True)}


@pytest.mark.parametrize("lag", [-7200, -300, -1, 0, 1, 300, 7200])
def test_the_lag_is_what_the_date_shows(lag):
    assert server_lag(dated(lag), NOW) == lag


@pytest.mark.parametrize("text", ["", "now", "Thu, 99 Foo 2026 00:00:00 GMT", "0", "Thu, 01 Jan 99999 00:00:00 GMT"])
def test_a_date_that_cannot_be_read_shows_nothing(text):
    assert server_lag({"date": text}, NOW) is None
    assert server_time({"date": text}, NOW) == NOW
    assert server_lag({}, NOW) is None


@pytest.mark.parametrize(("lag", "time"), [(3, NOW), (300, NOW - 300), (-300, NOW + 300), (LONGEST_LAG + 60, NOW)])
def test_a_difference_that_is_small_or_wild_is_not_believed(lag, time):
    """A date has whole seconds and the answer a way to go; a date of another day is a broken one."""
    assert server_time(dated(lag), NOW) == time

"""When a run is looked at: its own moments, rarer as it grows old, oftener when it is due."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.pace import GROWTH, MOST, TICK, Pace
from airflow_workflow_provider.protocol.times import from_epoch
from tests.protocol.playing import EPOCH

RUN = Run("carto", "c", "wf", "job_1", started_at=from_epoch(EPOCH))
INTERVALS = st.floats(1, 300)


@given(INTERVALS, st.floats(0, 1, exclude_max=True), st.floats(0, 10**6))
def test_the_interval_grows_with_age_within_its_bounds(interval, phase, age):
    seconds = Pace(interval, phase).seconds(age)
    assert interval <= seconds <= interval * MOST
    assert seconds == interval or seconds <= age * GROWTH


@given(INTERVALS, st.floats(0, 1, exclude_max=True), st.floats(0, 40))
def test_no_look_comes_later_than_an_interval_after_the_last(interval, phase, age):
    pause, seconds = Pace(interval, phase).pause(RUN, EPOCH + age)
    assert seconds == interval
    assert 0 < pause <= interval * 1.01 + TICK + 1e-3


@given(INTERVALS, st.text(min_size=1, max_size=20))
def test_a_run_has_its_moment_in_the_interval_and_keeps_it(interval, name):
    pace, now = Pace.of(Run("carto", "c", "wf", name), interval), EPOCH
    gaps = []
    for _ in range(5):
        pause, _ = pace.pause(RUN, now)
        now += pause
        gaps.append(pause)
    assert all(abs(gap - interval) <= TICK + 1e-3 for gap in gaps[1:])


def test_runs_that_come_together_spread_over_the_interval():
    paces = [Pace.of(Run("carto", "c", "wf", f"job_{number}"), 10.0) for number in range(1000)]
    pauses = sorted(pace.pause(RUN, EPOCH)[0] for pace in paces)
    assert all(abs(pause - 10 * (index + 0.5) / 1000) < 0.6 for index, pause in enumerate(pauses))


def test_near_its_usual_duration_a_run_is_looked_at_more_often():
    pace = Pace(20.0, expected=1000.0)
    assert [pace.seconds(age) for age in (0, 899, 900, 1200, 1201)] == [20, 20, 5, 5, 20]
    pause, _ = pace.pause(replaced_start(890), EPOCH)
    assert pause <= 10 + TICK  # the look before does not sleep into that time


def replaced_start(age):
    """The run as one that started so long ago."""
    return Run("carto", "c", "wf", "job_1", started_at=from_epoch(EPOCH) - timedelta(seconds=age))


def test_a_short_interval_is_not_shortened_further():
    assert Pace(0.5, expected=10.0).seconds(10.0) == 0.5


def test_a_run_without_a_start_is_looked_at_as_the_user_said():
    assert Pace(10.0).pause(Run("carto", "c", "wf", "job_1"), EPOCH)[1] == 10.0


def test_after_trouble_a_run_comes_back_at_its_own_moment():
    """A thousand who were told to come back in a minute are spread over the interval after it."""
    paces = [Pace.of(Run("carto", "c", "wf", f"job_{number}"), 10.0) for number in range(1000)]
    pauses = sorted(pace.after(60.0, RUN, EPOCH) for pace in paces)
    assert pauses[0] > 60
    assert all(abs(pause - 60 - 10 * (index + 0.5) / 1000) < 0.6 for index, pause in enumerate(pauses))


@given(INTERVALS, st.floats(0, 1, exclude_max=True), st.floats(0, 10**5), st.none() | st.floats(1, 10**5))
def test_until_the_change_that_is_told_the_interval_stays(interval, phase, age, expected):
    pace = Pace(interval, phase, expected)
    change = pace.change(RUN, EPOCH + age)
    told = 10**7 if change is None else change - phase * interval
    edge = 1e-3 + age * 1e-6
    for share in (0.01, 0.5, 0.99):
        if told * share > edge and told * (1 - share) > edge:
            assert pace.seconds(age + told * share) == pace.seconds(age + edge / 2)


@pytest.mark.parametrize(
    ("age", "expected", "change"),
    [
        (0, None, 1000),
        (1500, None, 500),
        (2000, None, None),
        (0, 600.0, 540),
        (545, 600.0, 175),
        (720, 600.0, 280),
        (3000, 600.0, None),
    ],
)
def test_another_interval_holds_after_so_many_seconds(age, expected, change):
    """At 90 and 120 % of the expected duration, and where 2 % of the age are two and four intervals of 10 s."""
    assert Pace(10.0, expected=expected).change(RUN, EPOCH + age) == change


def test_of_a_run_without_a_beginning_no_age_is_known():
    assert Pace(10.0, expected=600.0).change(Run("carto", "c", "wf", "job_1"), EPOCH) is None


def test_runs_that_grow_old_together_do_not_change_together():
    paces = [Pace.of(Run("carto", "c", "wf", f"job_{number}"), 10.0, expected=600.0) for number in range(1000)]
    changes = sorted(pace.change(RUN, EPOCH) for pace in paces)
    assert all(abs(change - 540 - 10 * (index + 0.5) / 1000) < 0.6 for index, change in enumerate(changes))


@given(st.sampled_from([0.0, -1.0, 1e-12, float("nan")]))
def test_an_interval_that_would_never_end_is_none(interval):
    pace = Pace.of(RUN, interval)
    pause, seconds = pace.pause(RUN, EPOCH + 10**6)
    assert min(pause, seconds) > 0

"""Waiting for a run: transient trouble never ends it, refusals do in the end, a deadline does after a last look."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidConnection,
    PermissionDenied,
    ProtocolError,
    RequestRejected,
    RunTimedOut,
    ServerUnavailable,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.effects import Now, Rest, RunList
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.pace import Pace
from airflow_workflow_provider.protocol.poll import REFUSALS, WATCH, wait
from airflow_workflow_provider.protocol.retry import Retry
from airflow_workflow_provider.protocol.times import from_epoch
from tests.protocol.playing import EPOCH, Player

RUN = Run("carto", "c", "wf", "job_1")
QUEUED, RUNNING = RunState.QUEUED, RunState.RUNNING
TRANSIENT = (ServerUnavailable("down"), ProtocolError("an HTML page"))
REFUSED = (
    AuthenticationFailed("no", status=401),
    PermissionDenied("no", status=403),
    InvalidConnection("no token at this address", status=404),
)


class Looks:
    """A run as a series of looks at it: each is a state or an error, the last one stays."""

    def __init__(self, *series, player=None):
        self.series, self.count, self.player = list(series), 0, player or Player()

    def get_run(self, run):
        """The next look."""
        self.count += 1
        seen = self.series.pop(0) if len(self.series) > 1 else self.series[0]
        if isinstance(seen, Exception):
            raise seen
        return replace(run, state=seen)
        yield

    def wait(self, **more):
        """Play the wait."""
        more = {"poll_interval": 10.0, "watch": Retry(base=1.0, cap=60.0, random=lambda: 0.5), **more}
        return self.player.play(wait(self.get_run, RUN, **more))


@pytest.mark.parametrize("end", [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED])
def test_it_polls_until_the_run_has_ended_whatever_the_end(end):
    looks = Looks(QUEUED, RUNNING, RUNNING, end)
    assert looks.wait().state is end
    assert looks.player.sleeps == [10.0, 10.0, 10.0]


def test_a_run_that_has_ended_already_is_not_waited_for():
    looks = Looks(RunState.SUCCEEDED)
    looks.wait()
    assert (looks.count, looks.player.sleeps) == (1, [])


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_transient_trouble_never_ends_the_wait(error):
    looks = Looks(*[error] * 200, RunState.SUCCEEDED)
    assert looks.wait().state is RunState.SUCCEEDED
    assert looks.count == 201


def test_a_server_that_is_down_is_asked_ever_more_seldom_but_not_less_often_than_the_cap():
    looks = Looks(*[ServerUnavailable("down")] * 9, RunState.SUCCEEDED)
    looks.wait()
    assert looks.player.sleeps == [10, 10, 10, 10, 16, 30, 30, 30, 30]


def test_trouble_that_is_over_is_forgotten():
    looks = Looks(*[ServerUnavailable("down")] * 6, RUNNING, ServerUnavailable("down"), RunState.SUCCEEDED)
    looks.wait()
    assert looks.player.sleeps[6:] == [10.0, 10.0]


def test_the_log_says_once_that_the_run_cannot_be_looked_at():
    looks = Looks(*[ServerUnavailable("server is down")] * 5, RunState.SUCCEEDED)
    looks.wait()
    (note,) = looks.player.notes
    assert "job_1" in note
    assert "server is down" in note


def test_it_waits_as_long_as_the_server_asks():
    looks = Looks(ServerUnavailable("busy", retry_after=42), RunState.SUCCEEDED)
    looks.wait()
    assert looks.player.sleeps == [43.0]


@pytest.mark.parametrize("absurd", [10**9, float("inf")])
def test_a_retry_after_of_years_does_not_stop_the_watching(absurd):
    """Otherwise a run without a timeout would be waited for for ever, after one odd answer."""
    looks = Looks(ServerUnavailable("busy", retry_after=absurd), RunState.SUCCEEDED)
    looks.wait()
    assert looks.player.sleeps[0] <= WATCH.longest + 1


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_credentials_that_are_refused_for_good_end_the_try_and_not_the_task(error):
    """`ServerUnavailable` is retried by Airflow, and the next try attaches to the run again."""
    looks = Looks(error)
    with pytest.raises(ServerUnavailable, match=r"job_1 .* refused") as caught:
        looks.wait()
    assert (looks.count, caught.value.status) == (REFUSALS, error.status)


def test_a_run_that_is_gone_for_good_is_not_found():
    looks = Looks(WorkflowNotFound("no such job", status=404))
    with pytest.raises(WorkflowNotFound, match=r"job_1 is gone: no such job"):
        looks.wait()
    assert looks.count == REFUSALS


def test_a_run_is_gone_only_if_every_refusal_says_so():
    """A 404 after four other refusals is one more sign that the server is in disorder."""
    looks = Looks(*[AuthenticationFailed("no")] * (REFUSALS - 1), WorkflowNotFound("no such job"))
    with pytest.raises(ServerUnavailable, match="job_1"):
        looks.wait()


def test_a_poll_that_is_rejected_is_patiences_business_too():
    """A proxy's 400 must not fail the task for good while the run goes on: neither in one mode nor in the other."""
    rejected = RequestRejected("HTTP 400: an HTML page", status=400)
    assert Looks(rejected, RUNNING, rejected, RunState.SUCCEEDED).wait().state is RunState.SUCCEEDED
    looks = Looks(rejected)
    with pytest.raises(ServerUnavailable, match="job_1"):
        looks.wait()


@pytest.mark.parametrize("error", [*REFUSED, WorkflowNotFound("gone")], ids=repr)
def test_fewer_refusals_in_a_row_may_be_a_deployment(error):
    series = [*[error] * (REFUSALS - 1), RUNNING] * 3
    assert Looks(*series, RunState.SUCCEEDED).wait().state is RunState.SUCCEEDED


def test_refusals_that_a_hiccup_interrupts_are_counted_anew():
    series = [*[AuthenticationFailed("no")] * (REFUSALS - 1), ServerUnavailable("down")] * 3
    assert Looks(*series, RunState.SUCCEEDED).wait().state is RunState.SUCCEEDED


def test_when_the_deadline_passes_the_run_is_looked_at_a_last_time():
    looks = Looks(RUNNING)
    with pytest.raises(RunTimedOut, match="did not end in time; it was last seen running") as caught:
        looks.wait(deadline=EPOCH + 25)
    assert looks.player.sleeps == [10, 10, 5]
    assert caught.value.run.state is RUNNING
    assert looks.player.now == EPOCH + 25


def test_a_run_that_ended_just_in_time_has_ended():
    assert Looks(RUNNING, RUNNING, RUNNING, RunState.SUCCEEDED).wait(deadline=EPOCH + 25).state is RunState.SUCCEEDED


def test_a_deadline_that_has_passed_already_leaves_one_look():
    """A retry inherits what is left of the run's time, which may be nothing; the run may have ended nevertheless."""
    looks = Looks(RUNNING)
    with pytest.raises(RunTimedOut):
        looks.wait(deadline=EPOCH - 1)
    assert (looks.count, looks.player.sleeps) == (1, [])
    assert Looks(RunState.SUCCEEDED).wait(deadline=EPOCH - 1).state is RunState.SUCCEEDED


def test_trouble_does_not_outlast_the_deadline_and_is_told():
    looks = Looks(ServerUnavailable("server is down", retry_after=3600))
    with pytest.raises(RunTimedOut, match="the last poll failed: server is down"):
        looks.wait(deadline=EPOCH + 25)
    assert looks.player.now == EPOCH + 25


SEEN = st.sampled_from([QUEUED, RUNNING, *TRANSIENT, ServerUnavailable("busy", retry_after=5), *REFUSED])


@given(st.lists(SEEN, max_size=30), st.sampled_from([RunState.SUCCEEDED, RunState.FAILED]), st.floats(0.1, 1000))
def test_without_five_refusals_in_a_row_every_wait_sees_the_end(series, end, interval):
    refusals = "".join("r" if seen in REFUSED else "." for seen in series)
    looks = Looks(*series, end)
    if "r" * REFUSALS in refusals:
        with pytest.raises(ServerUnavailable):
            looks.wait(poll_interval=interval)
    else:
        assert looks.wait(poll_interval=interval).state is end
        assert all(slept >= interval for slept in looks.player.sleeps)


@given(st.lists(SEEN.filter(lambda seen: seen not in REFUSED), min_size=1, max_size=30), st.floats(0, 500))
def test_no_wait_goes_on_after_its_deadline(series, budget):
    looks = Looks(*series)
    with pytest.raises(RunTimedOut):
        looks.wait(deadline=EPOCH + budget)
    assert looks.player.now <= EPOCH + budget + 1e-6


def test_a_run_in_a_list_gets_its_new_interval_when_it_is_due():
    """A list call may prolong a rest, but not beyond the moment from which on it is to be looked at more often."""
    run_list = RunList("wf", lambda workflow, wanted: iter(()))

    def look(run):
        return run
        yield

    run = Run("carto", "c", "wf", "job_1", RunState.RUNNING, started_at=from_epoch(EPOCH))
    flow = wait(look, run, poll_interval=10.0, pace=Pace(10.0, expected=600.0), run_list=run_list)
    assert isinstance(next(flow), Now)
    first = flow.send(EPOCH + 100)
    assert (first.interval, first.longest) == (10.0, 440.0)
    assert isinstance(flow.send(None), Now)
    assert isinstance(flow.send(EPOCH + 541), Now)
    second = flow.send(EPOCH + 541)
    assert (second.interval, second.longest) == (2.5, 179.0)


class Reading:
    """A log that is due every 30 seconds; it keeps the moments at which it was read."""

    is_over, due = False, None

    def __init__(self):
        self.moments = []

    def left(self, now):
        return None if self.due is None else max(self.due - now, 0.0)

    def is_due(self, run, now):
        return self.due is None or now >= self.due

    def step(self, run):
        now = yield Now()
        if self.due is None or now >= self.due:
            self.moments.append(now - EPOCH)
            self.due = now + 30


def test_a_log_is_read_at_its_own_interval_also_between_two_polls():
    looks, log = Looks(*[RUNNING] * 3, RunState.SUCCEEDED), Reading()
    looks.wait(poll_interval=100.0, log=log)
    assert log.moments == [0, 30, 60, 90, 120, 150, 180, 210, 240, 270]
    assert looks.count == 4
    assert looks.player.now - EPOCH == 300


def test_a_log_is_not_asked_for_once_per_poll():
    looks, log = Looks(*[RUNNING] * 60, RunState.SUCCEEDED), Reading()
    looks.wait(poll_interval=1.0, log=log)
    assert log.moments == [0, 30]


def test_a_log_is_left_alone_while_the_run_cannot_be_polled():
    looks, log = Looks(RUNNING, *[ServerUnavailable("down")] * 8, RunState.SUCCEEDED), Reading()
    looks.wait(log=log)
    assert log.moments == [0]


def test_a_deadline_is_kept_whatever_the_log_does():
    looks, log = Looks(RUNNING), Reading()
    with pytest.raises(RunTimedOut):
        looks.wait(poll_interval=100.0, deadline=EPOCH + 70, log=log)
    assert looks.player.now - EPOCH == 70
    assert log.moments == [0, 30, 60]


def test_one_who_waits_in_a_list_is_woken_for_the_log_and_not_later():
    player = Player()
    looks, log = Looks(*[RUNNING] * 20, RunState.SUCCEEDED, player=player), Reading()
    longest = []

    class Watching(Player):
        def perform(self, effect):
            if isinstance(effect, Rest):
                longest.append(effect.longest)
            return super().perform(effect)

    looks.player = Watching()
    looks.wait(run_list=RunList("wf", lambda workflow, wanted: iter(())), log=log)
    assert longest[0] is None  # there was no step yet
    assert all(limit is not None and limit <= 30 for limit in longest[1:])

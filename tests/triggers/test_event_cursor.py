"""The cursor: what it must never forget, and how little it may hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_workflow_provider.protocol.cursor import KEPT, MOST, OPEN, OVERLAP, Cursor, newest
from airflow_workflow_provider.protocol.model import Run, RunState

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 65_535  # bytes; Airflow's limit of a value


def run(number: int, seconds: float | None = None, state: RunState = RunState.SUCCEEDED) -> Run:
    """A run that started so many seconds after the beginning; by default one every ten minutes."""
    after = number * 600.0 if seconds is None else seconds
    return Run(
        "stevesie",
        "c",
        "w",
        f"0e1fd270-0000-4000-8000-{number:012d}",
        state,
        started_at=BEGAN + timedelta(seconds=after),
    )


def stored(cursor: Cursor) -> Cursor:
    """The cursor as it comes back from the database."""
    text = json.dumps(cursor.to_json())
    assert len(text) < LIMIT
    found = Cursor.from_json(json.loads(text))
    assert found
    return found


def settled(runs: list[Run], going: list[Run] | None = None) -> Cursor:
    """A cursor that has dealt with these, fifty to a page, while others were going."""
    cursor = Cursor()
    for start in range(0, len(runs), 50):
        for one in runs[start : start + 50]:
            cursor.settle(one)
        cursor.tidy([*runs[max(0, start - 1_000) : start + 50], *(going or [])])
    return cursor


def test_few_runs_are_known_by_their_ids_alone():
    """So neither order nor time nor clock plays a part."""
    runs = [run(number) for number in range(KEPT)]
    cursor = stored(settled(runs))
    assert cursor.moment is None
    assert all(cursor.is_settled(one) for one in runs)
    assert not cursor.is_settled(run(1_000, 5.0))


def test_many_runs_stay_settled_in_bounded_space():
    runs = [run(number) for number in range(5_000)]
    cursor = stored(settled(runs))
    assert len(cursor.done) <= KEPT
    assert all(cursor.is_settled(one) for one in runs)
    assert not cursor.is_settled(run(5_001))


def test_a_run_that_was_going_when_the_moment_passed_it_is_not_forgotten():
    slow = run(0, 1.0, RunState.RUNNING)
    cursor = stored(settled([run(number) for number in range(1, 2_000)], [slow]))
    assert cursor.moment
    assert not cursor.is_settled(slow)
    cursor.settle(slow)
    assert stored(cursor).is_settled(slow)


def test_a_run_that_the_list_shows_late_is_not_forgotten():
    """Here an hour late, while hundreds of others have ended."""
    runs = [run(number, number * 5.0) for number in range(1, 1_000)]
    late = run(9_999, runs[-1].started_at.timestamp() - BEGAN.timestamp() - OVERLAP + 1)
    cursor = stored(settled(runs))
    assert not cursor.is_settled(late)
    assert all(cursor.is_settled(one) for one in runs)


def test_equal_times_are_no_trouble():
    """A burst whose starts are all the same: some have ended, some are going."""
    burst = [run(number, 7.0) for number in range(MOST + 500)]
    going = [run(10_000 + number, 7.0, RunState.RUNNING) for number in range(300)]
    cursor = stored(settled(burst, going))
    assert all(cursor.is_settled(one) for one in burst)
    assert not any(cursor.is_settled(one) for one in going)


def test_more_going_runs_than_can_be_kept_repeat_rather_than_get_lost():
    going = [run(number, 1.0 + number / 1000, RunState.RUNNING) for number in range(OPEN + 200)]
    cursor = settled([run(20_000 + number, 8_000.0 + number) for number in range(MOST + 100)], going)
    assert not any(stored(cursor).is_settled(one) for one in going)


def test_runs_without_a_start_are_known_by_their_ids():
    bare = [Run("stevesie", "c", "w", str(number), RunState.SUCCEEDED) for number in range(50)]
    cursor = stored(settled([*bare, *(run(number) for number in range(2_000))]))
    assert all(cursor.is_settled(one) for one in bare)
    assert not cursor.is_settled(Run("stevesie", "c", "w", "unheard of"))


def test_the_largest_cursor_fits_into_a_value():
    going = [run(number, float(number), RunState.RUNNING) for number in range(OPEN)]
    cursor = settled([run(20_000 + number, 90_000.123 + number / 7) for number in range(MOST + 50)], going)
    cursor.open |= {f"{number:08d}" for number in range(OPEN - len(cursor.open))}
    assert len(json.dumps({**cursor.to_json(), "watches": "w" * 1_000})) < LIMIT


def test_of_several_cursors_the_one_that_knows_most_wins_and_takes_the_ids_of_the_others():
    old, new = settled([run(1), run(2)]), settled([run(1), run(3), run(4)])
    merged = newest([None, old, new])
    assert merged
    assert all(merged.is_settled(run(number)) for number in (1, 2, 3, 4))
    assert newest([None]) is None


@pytest.mark.parametrize("value", [None, "text", {}, {"version": 2}, []])
def test_what_is_no_cursor_is_none(value):
    assert Cursor.from_json(value) is None

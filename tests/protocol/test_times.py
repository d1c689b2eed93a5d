"""Times and durations: tolerant in, one spelling out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.times import as_utc, from_epoch, iso, parse_time, time_or_none

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WHOLE = MOMENT.replace(microsecond=0)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-01-02T03:04:05.678901Z", MOMENT),
        ("2026-01-02T03:04:05.6789012Z", MOMENT),
        ("2026-01-02T03:04:05.678901+00:00", MOMENT),
        ("2026-01-02T04:04:05.678901+0100", MOMENT),
        ("2026-01-01 22:04:05.678901-05:00", MOMENT),
        (" 2026-01-02T03:04:05 ", WHOLE),
        ("2026-01-02 03:04:05+00:00", WHOLE),
        (int(WHOLE.timestamp()), WHOLE),
        (int(WHOLE.timestamp() * 1000), WHOLE),
        (str(int(WHOLE.timestamp())), WHOLE),
        (str(int(WHOLE.timestamp() * 1000)), WHOLE),
        (WHOLE.replace(tzinfo=None), WHOLE),
        (None, None),
        ("", None),
    ],
    ids=repr,
)
def test_a_time_is_read_as_any_of_the_systems_writes_it(written, read):
    assert parse_time(written) == read


@pytest.mark.parametrize(
    "value",
    [True, "soon", "12", [], {}, 1e30, float("nan"), float("inf"), 10**400, "9" * 400],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_time_is_a_value_error_or_left_out(value):
    """A strange time in a server's answer must not fail a whole run."""
    with pytest.raises(ValueError, match=r"."):
        parse_time(value)
    assert time_or_none(value) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=3,
    )
)
def test_whatever_a_server_sends_as_a_time_gives_an_aware_time_or_none(value):
    found = time_or_none(value)
    assert found is None or found.utcoffset() == timedelta(0)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2999, 1, 1)))  # noqa: DTZ001
def test_what_iso_writes_is_read_back(moment):
    """A naive datetime is UTC."""
    assert parse_time(iso(moment)) == as_utc(moment) == moment.replace(tzinfo=UTC)


def test_iso_turns_an_offset_into_z():
    assert iso(MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2026-01-02T03:04:05.678901Z"
    assert iso(None) is None


def test_seconds_since_1970_become_an_aware_datetime():
    assert from_epoch(MOMENT.timestamp()) == MOMENT


@pytest.mark.parametrize(("given_", "seconds"), [(5, 5.0), (0.5, 0.5), ("600", 600.0), (timedelta(minutes=2), 120.0)])
def test_a_duration_is_a_number_a_timedelta_or_text(given_, seconds):
    """Rendered templates are text."""
    assert seconds_of("timeout", given_) == seconds
    assert seconds_of("timeout", None) is None


@pytest.mark.parametrize("value", [0, -1, "x", "", True, timedelta(0), float("inf"), "nan", [], {}])
def test_a_duration_that_is_none_names_its_argument(value):
    with pytest.raises(InvalidArgument, match=r"^timeout: "):
        seconds_of("timeout", value)

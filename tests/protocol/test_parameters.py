"""Query parameters: from what a DAG author gives to what a request carries, each error naming its key."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.parameters import (
    READERS,
    as_text,
    checked,
    converted,
    epoch_seconds,
    spelled,
)

MOMENT = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


class Colour(Enum):
    """A value of the DAG author's own."""

    RED = "red"


@pytest.mark.parametrize(
    ("given_", "parameters"),
    [
        (None, {}),
        ({}, {}),
        ([], []),
        ({"a": 1}, {"a": 1}),
        ([1, "b"], [1, "b"]),
        ((1, 2), [1, 2]),
        ('{"a": 1}', {"a": 1}),
        (" [1, 2]", [1, 2]),
    ],
)
def test_parameters_are_a_mapping_or_a_list(given_, parameters):
    """A template that builds the whole argument renders to JSON text."""
    assert checked(given_) == parameters


@pytest.mark.parametrize("value", ["", "abc", 5, True, {1, 2}, b"{}", "{a: 1}", "[1", "null", Ellipsis], ids=repr)
def test_anything_else_names_the_argument(value):
    with pytest.raises(InvalidArgument, match=r"^query_parameters: "):
        checked(value)


@pytest.mark.parametrize("key", [1, None, "", ("a",)])
def test_a_key_is_a_name(key):
    with pytest.raises(InvalidArgument, match=r"^query_parameters: every key must be a name"):
        checked({key: 1})


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("42", "int64", 42),
        (" -9223372036854775808 ", "int64", -(2**63)),
        ("9223372036854775807", "integer", 2**63 - 1),
        (42, "int64", 42),
        (42.0, "int64", 42),
        (Decimal(42), "int64", 42),
        ("2.5", "float64", 2.5),
        ("1e3", "number", 1000.0),
        (7, "float64", 7.0),
        ("true", "bool", True),
        ("FALSE", "boolean", False),
        (0, "bool", False),
        (True, "bool", True),
        ("007", "string", "007"),
        (7, "text", "7"),
        ("2026-01-01 12:30:00+00:00", "timestamp", MOMENT),
        ("2026-01-01T12:30:00Z", "timestamp", MOMENT),
        ("2026-01-01T12:30:00", "datetime", MOMENT),
        ("2026-01-01", "timestamp", MOMENT.replace(hour=0, minute=0)),
        (date(2026, 1, 1), "timestamp", MOMENT.replace(hour=0, minute=0)),
        (MOMENT.astimezone(timezone(timedelta(hours=2))), "timestamp", MOMENT),
        ("2026-01-01", "date", date(2026, 1, 1)),
        ("2026-01-01 12:30:00+00:00", "date", date(2026, 1, 1)),
        (MOMENT, "date", date(2026, 1, 1)),
        ("12345678901234567890.123", "decimal", Decimal("12345678901234567890.123")),
        ('{"a": [1, null]}', "json", {"a": [1, None]}),
        ([1], "json", [1]),
        (None, "int64", None),
        (None, "timestamp", None),
    ],
)
def test_rendered_text_becomes_a_value(text, kind, value):
    """``{{ data_interval_start }}`` arrives as text; a value that has the type already stays itself."""
    (found,) = converted({"key": text}, {"key": kind}).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("4.5", "int64"),
        ("", "int64"),
        ("9223372036854775808", "int64"),
        (4.5, "int64"),
        (True, "int64"),
        ("abc", "float64"),
        ("nan", "float64"),
        ("inf", "float64"),
        (True, "float64"),
        ("perhaps", "bool"),
        (2, "bool"),
        ("soon", "timestamp"),
        ("None", "timestamp"),
        ("2026-02-30", "date"),
        ("abc", "decimal"),
        ("NaN", "decimal"),
        ("{", "json"),
        ([], "int64"),
        ({}, "float64"),
    ],
)
def test_a_misfit_names_its_key_and_shows_what_came(text, kind):
    with pytest.raises(InvalidArgument, match=rf"^query_parameters\['start'\]: .* is not of type {kind}$"):
        converted({"start": text}, {"start": kind})


@pytest.mark.parametrize(("types", "key"), [({"a": "float65"}, "'a'"), ({"b": "int64"}, "'b'"), ({3: "int64"}, "3")])
def test_an_unknown_type_or_key_is_named(types, key):
    with pytest.raises(InvalidArgument, match=rf"^parameter_types\[{key}\]: "):
        converted({"a": "1"}, types)


def test_positions_are_typed_by_index_or_by_a_list():
    assert converted(["1", "x", "2"], {"0": "int64", 2: "float64"}) == [1, "x", 2.0]
    assert converted(["1", "x"], ["int64", None]) == [1, "x"]
    with pytest.raises(InvalidArgument, match=r"^parameter_types\[1\]"):
        converted(["1"], {1: "int64"})


def test_what_was_given_is_not_changed():
    """A retry renders and converts the same objects again."""
    given_ = {"n": "1"}
    assert converted(given_, {"n": "int64"}) == {"n": 1}
    assert given_ == {"n": "1"}
    assert converted(given_, None) == {"n": "1"}


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.dates(), st.lists(st.integers())), st.data())
def test_whatever_the_value_a_type_fits_or_is_refused(value, data):
    kind = data.draw(st.sampled_from(sorted(READERS)))
    try:
        found = converted({"key": value}, {"key": kind})
    except InvalidArgument as error:
        assert "'key'" in str(error)  # noqa: PT017  # both ends are right, a third one is not
    else:
        json.dumps(spelled(found))


@pytest.mark.parametrize(
    ("value", "json_value"),
    [
        (MOMENT, "2026-01-01T12:30:00Z"),
        (MOMENT.replace(tzinfo=None), "2026-01-01T12:30:00Z"),
        (MOMENT.astimezone(timezone(timedelta(hours=-5))), "2026-01-01T12:30:00Z"),
        (date(2026, 1, 1), "2026-01-01"),
        (time(12, 30), "12:30:00"),
        (Decimal(5), 5),
        (Decimal("2.5"), 2.5),
        (Decimal("12345678901234567890.5"), "12345678901234567890.5"),
        (2**70, 2**70),
        (True, True),
        (None, None),
        ("007", "007"),
        (Colour.RED, "red"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": [date(2026, 1, 1), (1, None)]}, {"a": ["2026-01-01", [1, None]]}),
        ({3, 1, 2}, [1, 2, 3]),
    ],
    ids=repr,
)
def test_a_value_is_spelled_with_the_types_of_json(value, json_value):
    """A naive datetime is UTC, a moment ends in Z, and text keeps its leading zeros."""
    found = spelled({"key": value})["key"]
    assert found == json_value
    assert type(found) is type(json_value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), b"bytes", object(), timedelta(1)])
def test_what_json_cannot_spell_names_its_place(value):
    with pytest.raises(InvalidArgument, match=r"^query_parameters\['a'\]\[1\]: "):
        spelled({"a": [0, value]})


def test_a_system_spells_moments_in_its_own_way():
    assert spelled({"at": MOMENT.replace(tzinfo=None)}, moment=epoch_seconds) == {"at": 1767270600}
    assert epoch_seconds(datetime(2026, 1, 1, 12, 30)) == 1767270600  # noqa: DTZ001  # naive is UTC


@pytest.mark.parametrize(
    ("value", "text"), [("x", "x"), (1, "1"), (True, "true"), (None, "null"), ({"a": "é"}, '{"a":"é"}')]
)
def test_an_api_that_takes_text_gets_what_json_writes(value, text):
    assert as_text(value) == text

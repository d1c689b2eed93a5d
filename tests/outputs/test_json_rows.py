"""A page of JSON that Arrow has parsed gives what reading it value by value gives, or is left to that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.outputs import reading
from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.results import Page
from airflow_workflow_provider.systems.carto.json_rows import JsonRows, rows_document
from airflow_workflow_provider.systems.carto.sql import TYPES, columns
from tests.outputs.playing import Player, pages

PAD = "x" * 70_000  # small answers are not worth it
SCHEMA = {"s": "string", "n": "number", "b": "boolean", "d": "date", "l": "datetime", "t": "timestamp", "a": "other"}


def body(rows: list[dict[str, Any]] | str, schema: dict[str, str] | None = None) -> bytes:
    """The answer of a SQL API; rows may be JSON text."""
    listed = [{"name": name, "type": kind} for name, kind in (schema or {**SCHEMA, "pad": "string"}).items()]
    text = rows if isinstance(rows, str) else json.dumps(rows, ensure_ascii=False)
    return ('{"rows": ' + text + ', "schema": ' + json.dumps(listed) + "}").encode()


def page_of(document: Any) -> Page:
    """The page that a document is."""
    return Page(columns(document), document["rows"])


def read(*documents: Any) -> Any:
    """Read pages as a table."""
    return reading.batches(pages(*map(page_of, documents)), Player()).read_all()


def test_a_page_is_the_same_either_way():
    rows = [
        {"s": "æ", "n": 1, "b": True, "d": "2024-02-29", "l": "2024-01-01T10:00:00", "t": "2024-01-01T10:00:00.5+02:00",
         "a": "x", "pad": PAD},
        {"s": "", "n": -2.5, "b": None, "d": None, "l": None, "t": "2024-01-01 10:00:00 UTC", "a": None},
        {"n": None},
    ]  # fmt: skip
    fast = rows_document(body(rows), TYPES)
    assert fast is not None
    assert isinstance(fast["rows"], JsonRows)
    exact = Response(200, body=body(rows)).json(exact=True)
    assert read(fast).equals(read(exact))
    assert [row["n"] for row in fast["rows"]] == [1, -2.5, None]
    assert fast["rows"][1]["s"] == ""


@pytest.mark.parametrize("name", ["n", "a"])
@pytest.mark.parametrize("numbers", ["1.0", "652.0, 3.82", "1, 2.0", "0.0, -0.0", "10.0, 2", "100.0, 7.25, 3"])
@pytest.mark.parametrize("before", ["1", "2.5", "null", "12345678901234567.5", "1.50"])
def test_a_zero_behind_the_point_is_read_fast_and_the_same(name, numbers, before):
    """Many servers write 1.0 for a whole number; what another page holds may change the column's type."""
    first = body('[{"' + name + '": ' + before + "}]")
    listed = ", ".join('{"' + name + '": ' + number + "}" for number in numbers.split(", "))
    text = body("[" + listed + "]" + " " * len(PAD))
    fast = rows_document(text, TYPES)
    assert fast is not None
    exact = Response(200, body=text).json(exact=True)
    other = Response(200, body=first).json(exact=True)
    assert read(fast).equals(read(exact))
    assert read(other, fast).equals(read(other, exact))


@pytest.mark.parametrize("numbers", ["5.4e-05", "-9.1e-05, 2.5", "1e-07, 3", "1.5e-09, null", "0.25, 8E-5"])
@pytest.mark.parametrize("before", ["1", "2.5", "null", "12345678901234567.5", "1.50", "12345678901234567"])
def test_a_small_number_with_an_exponent_is_read_fast_where_the_schema_says_number(numbers, before):
    schema = {"n": "number", "pad": "string"}
    first = Response(200, body=body('[{"n": ' + before + "}]", schema)).json(exact=True)
    listed = ", ".join('{"n": ' + number + "}" for number in numbers.split(", "))
    text = body("[" + listed + "]" + " " * len(PAD), schema)
    fast, exact = rows_document(text, TYPES), Response(200, body=text).json(exact=True)
    assert fast is not None
    assert read(fast).equals(read(exact))
    assert read(first, fast).equals(read(first, exact))
    assert rows_document(body("[" + listed + "]" + " " * len(PAD), {**schema, "other": "any"}), TYPES) is None


@pytest.mark.parametrize(
    "rows",
    [
        '[{"n": 12345678901234567}]',
        '[{"n": 1.50}]',
        '[{"n": 2.00}]',
        '[{"n": 0.1234567890123456}]',
        '[{"n": 1e300}]',
        '[{"n": "1.5"}]',
        '[{"n": 1}, {"n": "x"}]',
        '[{"n": {"value": 1}}]',
        '[{"s": 1}]',
        '[{"s": {"x": 1}}]',
        '[{"s": "a", "s": "b"}]',
        '[{"s": "\\ud800"}]',
        '[{"d": {"value": "2024-01-01"}}]',
        '[{"a": [1]}]',
        '[{"a": "2024-01-01"}]',
        '[{"unknown": 1}]',
        "[null]",
        "[1]",
        "{}",
        "[",
    ],
)
def test_what_arrow_could_get_wrong_is_left_to_json(rows):
    padded = rows if len(rows) < 3 else rows.replace("[{", '[{"pad": "' + PAD + '"}, {', 1)
    assert rows_document(body(padded + " " * len(PAD)), TYPES) is None


@pytest.mark.parametrize("odd", [b"", b"[]", b"<html>", b'{"rows": []', b'{"rows": [], "schema": []}', b"\xff"])
def test_what_is_no_such_answer_is_left_to_json(odd):
    assert rows_document(odd + b" " * 70_000, TYPES) is None


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "s": st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
        "n": st.none() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False),
        "b": st.none() | st.booleans(),
        "d": st.none() | st.dates().map(str),
        "t": st.none() | st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        "a": st.none() | st.sampled_from(["1", "2024-01-01", "x", "", 1, 2.5, True]),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(VALUES, min_size=1, max_size=6), min_size=1, max_size=3))
def test_any_pages_are_the_same_either_way(given_pages):
    """Several pages, some of which only `json` can read, are one table of the same types."""
    bodies = [body([{"pad": PAD}, *rows]) for rows in given_pages]
    exact = [Response(200, body=one).json(exact=True) for one in bodies]
    mixed = [rows_document(one, TYPES) or other for one, other in zip(bodies, exact, strict=True)]
    assert read(*mixed).equals(read(*exact))

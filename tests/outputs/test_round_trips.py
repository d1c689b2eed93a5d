"""Whatever a table holds comes back equal, by every road that it can take."""

from __future__ import annotations

import csv
import io
import json
import math
from contextlib import suppress
from datetime import UTC
from decimal import Decimal

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.column_stats import ColumnStats
from airflow_workflow_provider.outputs.inference import infer_text
from airflow_workflow_provider.protocol.results import Page
from tests.outputs.playing import file, page, pages, table_of

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
INTS = st.integers(-(10**38) + 1, 10**38 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20)
NOT_FINITE = ("nan", "inf", "infinity")  # numbers only beside others, for they are words too
TIMES = st.datetimes(timezones=st.just(UTC))
VALUES = {
    "string": TEXT,
    "number": INTS | FLOATS | DECIMALS,
    "bool": st.booleans(),
    "date": st.dates(),
    "datetime": st.datetimes(),
    "timestamp": TIMES,
}
TO_JSON = {
    "date": lambda value: value.isoformat(),
    "datetime": lambda value: value.isoformat(),
    "timestamp": lambda value: value.isoformat().replace("+00:00", "Z"),
}


@st.composite
def tables(draw):
    """Columns with the words for their types, and pages of rows."""
    names = draw(st.lists(TEXT.filter(bool), min_size=1, max_size=4, unique=True))
    words = {name: draw(st.sampled_from(sorted(VALUES))) for name in names}
    row = st.tuples(*(st.none() | VALUES[word] for word in words.values()))
    return words, draw(st.lists(st.lists(row, max_size=5), min_size=1, max_size=4))


def same(one, other) -> bool:
    """Equal, and for numbers equal to the last digit, whatever type they have."""
    if isinstance(one, str) and isinstance(other, (int, float, Decimal)):
        one = Decimal(one)
    if isinstance(one, (int, float, Decimal)) and isinstance(other, (int, float, Decimal)):
        return exact(one) == exact(other)
    return bool(one == other)


def exact(number) -> Decimal:
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


@quick
@given(tables())
def test_declared_pages(given_table):
    """As an API gives them, with types declared: equal, in the same order, of one type."""
    words, parts = given_table
    made = [page(words, *(spelled(words, row) for row in rows)) for rows in parts]
    got = table_of(pages(*made))
    rows = [row for rows in parts for row in rows]
    assert got.schema.names == list(words)
    assert got.num_rows == len(rows)
    for index, name in enumerate(words):
        assert all(same(a, b[index]) for a, b in zip(got.column(name).to_pylist(), rows, strict=True))


def spelled(words, row):
    """A row as JSON has it."""
    return [
        value if value is None or word not in TO_JSON else TO_JSON[word](value)
        for word, value in zip(words.values(), row, strict=True)
    ]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@quick
@given(st.lists(st.lists(JSON_VALUES, min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_json_is_kept_or_spelled_out(parts):
    """What has no common type is text, from which every value can be read back."""
    got = table_of(pages(*(page({"c": "any"}, *([value] for value in rows)) for rows in parts))).column("c")
    values = [value for rows in parts for value in rows]
    for seen, value in zip(got.to_pylist(), values, strict=True):
        if pa.types.is_string(got.type) and not isinstance(value, (str, type(None))):
            assert json.loads(seen) == value
        elif isinstance(value, str) and not isinstance(seen, str):
            assert seen.isoformat()[:4] == value[:4]  # a date
        else:
            assert same(seen, value)


@quick
@given(
    st.lists(
        st.lists(TEXT | INTS.map(str) | FLOATS.map(repr) | st.dates().map(str), min_size=2, max_size=2), max_size=8
    )
)
def test_csv_loses_no_text_and_no_digit(rows):
    """A cell comes back as the text it was, or as a value that is written just so, or as a number of equal worth."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["a", "b"], *rows])
    got = table_of(file("csv", out.getvalue()))
    for index, name in enumerate("ab"):
        column = got.column(name)
        for seen, cell in zip(column.to_pylist(), [row[index] for row in rows], strict=True):
            if isinstance(seen, (int, float, Decimal)) and not isinstance(seen, bool):
                assert exact(seen) == Decimal(cell) if math.isfinite(seen) else cell.lower().strip("+-") in NOT_FINITE
            elif isinstance(seen, bool):
                assert str(seen).lower() == cell.lower()
            elif seen is None:
                assert cell == ""
            elif not isinstance(seen, str):
                assert str(seen)[:10] == cell[:10]
            else:
                assert seen == cell


@quick
@given(st.binary(max_size=200), st.sampled_from(["csv", "json", "jsonl", "yxdb"]))
def test_whatever_bytes_come_they_are_a_table_or_a_clear_error(data, kind):
    with suppress(OutputUnavailable):
        assert table_of(file(kind, data)).num_rows >= 0


@quick
@given(st.lists(st.lists(JSON_VALUES, max_size=3), max_size=3))
def test_whatever_rows_come_they_are_a_table_or_a_clear_error(parts):
    for word in VALUES:
        source = pages(*(Page([("c", word)], [{"c": value} for value in rows]) for rows in parts))
        with suppress(OutputUnavailable):
            assert table_of(source).num_rows == sum(map(len, parts))


SEEN = st.lists(
    TEXT | INTS.map(str) | FLOATS.map(repr) | st.dates().map(str) | st.sampled_from(["true", "", "NaN"])
).map(lambda values: infer_text(pa.array(values, pa.string()), quoted_numbers=True))


@quick
@given(SEEN, SEEN, SEEN)
def test_it_does_not_matter_in_which_order_things_were_seen(one, two, three):
    assert (one | two).type == (two | one).type
    assert ((one | two) | three).type == (one | (two | three)).type
    assert (one | ColumnStats()).type == one.type

"""The type of a column, and its values, depend neither on the order of rows nor on where a part of a file ends."""

from __future__ import annotations

from functools import reduce

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.outputs import csv_file, json_file
from airflow_workflow_provider.outputs.column_stats import ColumnStats
from airflow_workflow_provider.outputs.inference import infer_text
from airflow_workflow_provider.outputs.spelling import Spelling
from tests.outputs.playing import column_of, file

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS = ["1", "-2", "9007199254740993", "9007199254740994", "9223372036854775808", "1.5", "1.10", ".5", "-0", "1e5"]
NUMBERS += ["0.1234567890123456789", "1E-7", "1e400", "nan", "NaN", "inf", "-Infinity", "007", "12e5", "1" * 40, ""]
TIMES = [
    "2024-01-01",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "2024-02-30",
    "2024-01-01 10:00",
    "1500-01-01 00:00:00",
]
TIMES += ["2024-01-01T10:00:00.1234567", "2024-01-01T10:00:00Z", "0001-01-01T00:00:00+14:00", "1500-01-01", "x", ""]
TIMES += ["1500-01-01 00:00:00"]
TIMES += ["9999-12-31T23:59:59-14:00", "2024-01-01 10:00:00 UTC", "2024-01-01T10:00:00.123456789Z"]
LOCAL = [
    "1,5",
    "1.5",
    "1.234,5",
    "-2",
    "31.12.2024",
    "1.2.2024",
    "2024-12-31",
    "x",
    "true",
    "nan",
    "12e5",
    "01.01.0000",
    "",
]
POOLS = st.sampled_from([NUMBERS, TIMES, [*NUMBERS, *TIMES], ["true", "False", "", "0", "t"]])


@st.composite
def parts_of(draw, pools=POOLS):
    """Values, and two ways to order and to cut them."""
    values = draw(st.lists(st.sampled_from(draw(pools)) | st.none(), min_size=1, max_size=8))
    return values, [cut(draw, draw(st.permutations(values))) for _ in range(2)]


def cut(draw, values):
    ends = sorted({*draw(st.lists(st.integers(1, len(values)), max_size=3)), len(values)})
    return [values[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def type_of(parts, infer) -> pa.DataType:
    """The type of a column that comes in these parts."""
    return reduce(lambda one, other: one | infer(pa.array(other, pa.string())), parts, ColumnStats()).type


@quick
@given(parts_of())
def test_types_do_not_depend_on_the_order(drawn):
    values, ways = drawn
    kinds = {type_of(parts, lambda texts: infer_text(texts, quoted_numbers=True)) for parts in [[values], *ways]}
    assert len(kinds) == 1


@quick
@given(parts_of(st.just(LOCAL)), st.sampled_from([Spelling(","), Spelling(",", "%d.%m.%Y"), Spelling(".", "%d.%m.%Y")]))
def test_types_do_not_depend_on_the_order_with_options(drawn, spelling):
    values, ways = drawn
    assert len({type_of(parts, spelling.infer) for parts in [[values], *ways]}) == 1


JSON = [
    "1",
    "2.5",
    "1.10",
    "1e5",
    "1E+5",
    "123456789012345678901",
    "0.1234567890123456789",
    "true",
    "null",
    '"x"',
    '""',
]
JSON += ['"2024-01-01"', '"2024-01-01T00:00:00Z"', '"007"', '{"a":1.10}', "[1,2.50]", "NaN", "-0.0", "1.0", "1e-7"]
JSON += ["0.0000001", '"0000-01-01"', '"true"', "Infinity", "9007199254740993", '"1500-01-01T00:00:00.1234567"']


@pytest.mark.parametrize("rows", [1, 2])
@quick
@given(values=st.lists(st.sampled_from(JSON), min_size=1, max_size=6))
def test_json_is_the_same_in_batches_of_any_size(rows, values):
    text = "[" + ",".join('{"c":' + value + "}" for value in values) + "]"
    whole = column_of(file("json", text), "c")
    usual, json_file.ROWS = json_file.ROWS, rows
    try:
        assert repr(column_of(file("json", text), "c")) == repr(whole)
    finally:
        json_file.ROWS = usual


@quick
@given(values=st.lists(st.sampled_from([*NUMBERS, *TIMES]), min_size=1, max_size=8), block=st.integers(1, 40))
def test_csv_is_the_same_in_blocks_of_any_size(values, block):
    text = "c,k\n" + "".join(f"{value},1\n" for value in values)
    whole = column_of(file("csv", text), "c")
    usual, csv_file.BLOCK = csv_file.BLOCK, block
    try:
        assert repr(column_of(file("csv", text), "c")) == repr(whole)
    finally:
        csv_file.BLOCK = usual

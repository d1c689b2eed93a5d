"""JSON from servers is clean and within bounds, and nothing that it holds takes long."""

from __future__ import annotations

import json
import time
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.protocol.documents import (
    MAX_DATA_DEPTH,
    MAX_DEPTH,
    MAX_VALUES,
    SHARED_MEMORY,
    TooMuchError,
    control_document,
    exact_document,
    large_document,
    memory_of,
)
from airflow_workflow_provider.protocol.text import clean_value

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON), st.booleans())
def test_a_control_document_is_the_clean_form_of_what_the_server_meant(document, ascii_only):
    """However the server escapes a text, it arrives as `clean_value` gives it."""
    if len(clean_value(document)) < len(document):
        return  # two keys became one: which of the values stays does not matter
    text = json.dumps(document, ensure_ascii=ascii_only)
    try:
        body = text.encode()
    except UnicodeEncodeError:  # a lone surrogate can be sent as an escape only
        body = json.dumps(document).encode()
    assert control_document(body) == clean_value(document)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"bad \u0000 text"', "bad � text"),
        (r'"\ud800"', "�"),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\ud83d\u0041"', "�A"),
        (r'"\\u0000"', r"\u0000"),
        (r'"\\\u0000"', "\\�"),
        (r'"a\r\nb\u000d\u000ac\u0085d\u2028e"', "a\nb\nc\nd\ne"),
        (r'"\b\f\r\t\n\u001b[31m"', "���\t\n�[31m"),
        ('"raw \x7f\x9b\x85\u202e"', "raw ��\n�"),
        ("[1e999, -1e999, NaN, Infinity, -Infinity, 1e300]", [None, None, None, None, None, 1e300]),
    ],
)
def test_what_cannot_be_stored_is_replaced(text, value):
    """NUL, lone surrogates, control characters and numbers that JSON does not have."""
    assert control_document(text.encode()) == value


@pytest.mark.parametrize("limit", [MAX_DEPTH])
def test_nesting_has_a_limit(limit):
    """One level more than the limit is refused, the limit itself is not; brackets in texts do not count."""
    control_document(b"[" * limit + b"]" * limit)
    control_document(json.dumps(["[" * 1000, "\\{" * 1000, '"[' * 1000]).encode())
    for body in (b"[" * (limit + 1) + b"]" * (limit + 1), b'{"a":' * (limit + 1) + b"1" + b"}" * (limit + 1)):
        with pytest.raises(ValueError, match="nested too deeply"):
            control_document(body)
        with pytest.raises(ValueError, match="nested too deeply"):
            control_document(b'[["' + b"[" * 100_000 + b'"],' + body + b"]")


def test_rows_may_be_nested_more_deeply_and_keep_their_texts():
    """Rows are data: nothing in them is replaced."""
    depth = MAX_DEPTH + 10
    assert exact_document(b"[" * depth + b"]" * depth)
    assert exact_document(rb'["\u0000\r", 0.1234567890123456789]') == ["\x00\r", Decimal("0.1234567890123456789")]
    with pytest.raises(ValueError, match="nested too deeply"):
        exact_document(b"[" * (MAX_DATA_DEPTH + 1) + b"]" * (MAX_DATA_DEPTH + 1))


HOSTILE = {
    "deep": b"[" * (8 << 20),
    "deep objects": b'{"a":' * (1 << 20),
    "wide": b"[" + b"[]," * (4 << 20) + b"[]]",
    "many values": b"[" + b"1," * (MAX_VALUES + 10) + b"1]",
    "zeros": b"0" * (8 << 20),
    "blanks": b" " * (8 << 20),
    "long integer": b"[" + b"1" * (8 << 20) + b"]",
    "open text": b'"' + b"a" * (8 << 20),
    "open escape": b'"' + b"\\" * (2 << 20),
    "quotes": b'["' + b'","' * 300_000,
    "half pairs": b'"' + rb"\ud800" * (1 << 20),
    "brackets in texts": b'["' + b"[" * (8 << 20) + b'",' + b"[" * 70,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_document_takes_long(name):
    """What is hostile is refused within a second or two of CPU time."""
    began = time.process_time()
    with pytest.raises(ValueError):  # noqa: PT011  # which one does not matter
        control_document(HOSTILE[name])
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("number", ["1e1000000", "1e-1000000", "1" * 5000 + ".5", "1" * 5000])
def test_a_giant_number_is_refused_at_once(number):
    """A decimal with a million digits would take minutes to write out."""
    began = time.process_time()
    with pytest.raises(ValueError):  # noqa: PT011  # which one does not matter
        exact_document(f"[{number}]".encode())
    assert time.process_time() - began < 0.5


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("body", "bytes_of_a_character"),
    [
        (b'["' + b"a" * MEGABYTE + b'"]', 1),
        (b'["' + b"a" * MEGABYTE + b'\\n"]', 2),
        ('["' + "a" * MEGABYTE + 'é"]', 2),
        ('["' + "a" * MEGABYTE + '😀"]', 4),
        (b'["' + b"a" * MEGABYTE + rb'\ud83d\ude00"]', 4),
        (b'["' + b"a" * (65536 - 4) + rb'\ud83d\ude00"]', 4),
    ],
    ids=["ASCII", "escape", "Latin", "emoji", "escaped emoji", "between two slices"],
)
def test_the_memory_of_a_document_is_known_before_it_is_read(body, bytes_of_a_character):
    """Text and value have it each; one wide character makes all of its text wide."""
    body = body if isinstance(body, bytes) else body.encode()
    assert memory_of(body) == pytest.approx(2 * bytes_of_a_character * len(body), rel=0.01)


@pytest.mark.parametrize("value", [b"{}", b"[]", b'{"a":1}', b"1.5", b'"abc"', b'"\xe2\x82\xac"'])
def test_the_estimate_of_memory_is_no_less_than_what_reading_takes(value):
    body = b"[" + b",".join([value] * 50_000) + b"]"
    bodies = [body]
    del body
    estimate = memory_of(bodies[0])
    tracemalloc.start()
    try:
        document = large_document(bodies, exact=False, limit=100 * MEGABYTE)
        assert tracemalloc.get_traced_memory()[1] < estimate
    finally:
        tracemalloc.stop()
    assert len(document[1]) == 50_000


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("body", [b"[" + b"{}," * 100_000 + b"{}]", '["' + "😀" * 250_000 + '"]'])
def test_a_document_that_takes_too_much_memory_is_not_read(exact, body):
    body = body if isinstance(body, bytes) else body.encode()
    with pytest.raises(TooMuchError, match="max_answer_bytes"):
        large_document([body], exact=exact, limit=MEGABYTE)
    assert large_document([body], exact=exact, limit=int(memory_of(body) / SHARED_MEMORY) + 1)

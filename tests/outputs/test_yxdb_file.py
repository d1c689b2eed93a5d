"""Alteryx database files as Arrow. The files are written here, as the format of the original engine has it."""
# ruff: noqa: DTZ001 (columns without a zone are tested too)

from __future__ import annotations

import struct
from datetime import date, datetime
from decimal import Decimal

import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable
from tests.outputs.playing import file, table_of

RAW_BLOCK = 0x8000_0000  # a block that is not compressed


def fixed(size: int):
    """Text in a fixed number of bytes, and its null mark."""
    return lambda value: (value or "").encode("latin1").ljust(size, b"\0") + bytes([value is None])


WRITERS = {
    "Bool": lambda value: bytes([2 if value is None else value]),
    "Byte": lambda value: bytes([value or 0, value is None]),
    "Int16": lambda value: struct.pack("<h?", value or 0, value is None),
    "Int32": lambda value: struct.pack("<i?", value or 0, value is None),
    "Int64": lambda value: struct.pack("<q?", value or 0, value is None),
    "Float": lambda value: struct.pack("<f?", value or 0, value is None),
    "Double": lambda value: struct.pack("<d?", value or 0, value is None),
    "Date": fixed(10),
    "DateTime": fixed(19),
}


def yxdb(fields: list[tuple[str, str, int, int]], *rows: list, blocks_of: int = 100) -> bytes:
    """Write a file of fields (name, type, size, scale)."""
    described = "".join(f'<Field name="{n}" type="{t}" size="{size}" scale="{scale}"/>' for n, t, size, scale in fields)
    meta = f"<RecordInfo>{described}</RecordInfo>"
    header = bytearray(512)
    header[:21] = b"Alteryx Database File"
    header[80:84] = struct.pack("<I", len(meta) + 1)
    header[104:108] = struct.pack("<I", len(rows))
    records = [
        b"".join((WRITERS.get(t) or fixed(size))(value) for (_, t, size, _), value in zip(fields, row, strict=True))
        for row in rows
    ]
    body = b""
    for start in range(0, len(records), blocks_of):
        block = b"".join(records[start : start + blocks_of])
        body += struct.pack("<I", len(block) | RAW_BLOCK) + block
    return bytes(header) + meta.encode("utf_16_le") + b"\0\0" + body


FIELDS = [
    ("b", "Bool", 1, 0),
    ("i", "Int64", 8, 0),
    ("y", "Byte", 1, 0),
    ("f", "Float", 4, 0),
    ("d", "Double", 8, 0),
    ("money", "FixedDecimal", 19, 2),
    ("s", "String", 8, 0),
    ("day", "Date", 10, 0),
    ("at", "DateTime", 19, 0),
]
ROW = [True, 2**60, 200, 0.5, 1 / 3, "123456789012345.67", "007", "2024-02-29", "2024-01-01 10:00:00"]


def test_every_field_keeps_its_type_and_its_digits():
    given = table_of(file("yxdb", yxdb(FIELDS, ROW, [None] * len(FIELDS))))
    assert [str(kind) for kind in given.schema.types] == [
        "bool", "int64", "uint8", "float", "double", "decimal128(19, 2)", "string", "date32[day]", "timestamp[us]",
    ]  # fmt: skip
    first, second = given.to_pylist()
    assert list(first.values()) == [
        True, 2**60, 200, 0.5, 1 / 3, Decimal("123456789012345.67"), "007", date(2024, 2, 29), datetime(2024, 1, 1, 10),
    ]  # fmt: skip
    assert set(second.values()) == {None}


def test_a_file_without_records_has_its_columns():
    given = table_of(file("yxdb", yxdb(FIELDS)))
    assert given.num_rows == 0
    assert str(given.schema.field("money").type) == "decimal128(19, 2)"


def test_many_records_in_many_blocks():
    given = table_of(file("yxdb", yxdb([("i", "Int32", 4, 0)], *([k] for k in range(25_000)))))
    assert given.column("i").to_pylist() == list(range(25_000))


def test_types_and_columns_may_be_chosen():
    given = table_of(file("yxdb", yxdb(FIELDS, ROW)), columns={"money": "m", "s": "zip"}, column_types={"zip": "int64"})
    assert given.to_pylist() == [{"m": Decimal("123456789012345.67"), "zip": 7}]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"Alteryx e2 Database file" + bytes(600)])
def test_what_is_no_such_file_is_refused(content):
    with pytest.raises(OutputUnavailable, match=r"no \.yxdb of the original engine"):
        table_of(file("yxdb", content))


def test_a_file_that_breaks_off_is_refused():
    content = yxdb([("i", "Int32", 4, 0)], *([k] for k in range(1000)))
    with pytest.raises(OutputUnavailable, match=r"breaks off or is damaged after row \d+"):
        table_of(file("yxdb", content[:-2000]))

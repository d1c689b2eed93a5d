"""Alteryx database files as Arrow. The files are written here, as the format of the original engine has it."""
# ruff: noqa: DTZ001 (columns without a zone are tested too)

from __future__ import annotations

import json
import struct
from datetime import date, datetime, time
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


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("DateTime", "2024-01-01 10:00:00", "date32"),
        ("DateTime", "2024-01-01 10:00:00", "time64[us]"),
        ("DateTime", "2024-01-01 10:00:00", "int64"),
        ("DateTime", "2024-01-01 10:00:00", "decimal128(20, 0)"),
        ("Date", "2024-02-29", "int32"),
        ("Date", "2024-02-29", "time32[s]"),
        ("Int64", 36_000_000_000, "time64[us]"),
        ("Int32", 19_000, "date32"),
        ("Int64", 2**53 + 1, "int32"),
        ("Double", 0.5, "int64"),
        ("Double", 1e300, "float32"),
        ("Double", 0.5, "bool"),
        ("FixedDecimal", "1.005", "decimal128(5, 2)"),
    ],
)
def test_a_type_that_would_change_the_value_is_refused(field, value, kind):
    """Hours and days are not left out, and a number is no count of days or microseconds."""
    size, scale = {"FixedDecimal": (19, 3), "DateTime": (19, 0), "Date": (10, 0)}.get(field, (8, 0))
    with pytest.raises(OutputUnavailable, match=r"column 'x', row 1: .* is not of type"):
        table_of(file("yxdb", yxdb([("x", field, size, scale)], [value])), column_types={"x": kind})


def test_a_type_that_keeps_the_value_is_taken():
    """Midnight is a date, and a date is midnight."""
    content = yxdb([("x", "DateTime", 19, 0), ("y", "Date", 10, 0)], ["2024-01-01 00:00:00", "2024-02-29"])
    given = table_of(file("yxdb", content), column_types={"x": "date32", "y": "timestamp[s]"})
    assert given.to_pylist() == [{"x": date(2024, 1, 1), "y": datetime(2024, 2, 29)}]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"Alteryx e2 Database file" + bytes(600)])
def test_what_is_no_such_file_is_refused(content):
    with pytest.raises(OutputUnavailable, match=r"not a \.yxdb file of the original engine"):
        table_of(file("yxdb", content))


def test_a_file_that_breaks_off_is_refused():
    content = yxdb([("i", "Int32", 4, 0)], *([k] for k in range(1000)))
    with pytest.raises(OutputUnavailable, match=r"breaks off or is damaged after row \d+"):
        table_of(file("yxdb", content[:-2000]))


def packed(data: bytes) -> bytes:
    """LZF with literal runs, and a reference for each run of one byte."""
    made, at = b"", 0
    while at < len(data):
        run = 1
        while at + run < len(data) and run < 8 and data[at + run] == data[at]:
            run += 1
        if run > 4:
            made += bytes([0, data[at], (run - 3) << 5, 0])
            at += run
        else:
            made += bytes([0, data[at]])
            at += 1
    return made


def with_blocks(content: bytes, pack) -> bytes:
    """The same file with its blocks packed."""
    start = 512 + 2 * struct.unpack("<I", content[80:84])[0]
    made, at = content[:start], start
    while at < len(content):
        size = struct.unpack("<I", content[at : at + 4])[0] & 0x7FFF_FFFF
        block = pack(content[at + 4 : at + 4 + size])
        made += struct.pack("<I", len(block)) + block
        at += 4 + size
    return made


def test_compressed_blocks_are_read_and_checked():
    rows = [[k, "aaaaaaaaaaaa" if k % 2 else "ab"] for k in range(500)]
    content = with_blocks(yxdb([("i", "Int32", 4, 0), ("s", "String", 20, 0)], *rows), packed)
    assert [list(row.values()) for row in table_of(file("yxdb", content)).to_pylist()] == rows
    for cut in range(1, 400, 7):
        with pytest.raises(OutputUnavailable, match=r"breaks off or is damaged after row \d+"):
            table_of(file("yxdb", content[:-cut]))


def test_a_file_whose_header_counts_too_few_records_is_refused():
    content = bytearray(yxdb([("i", "Int32", 4, 0)], *([k] for k in range(50))))
    content[104:108] = struct.pack("<I", 49)
    with pytest.raises(OutputUnavailable, match="there is more behind the 49 records"):
        table_of(file("yxdb", bytes(content)))


def test_times_and_long_decimals_are_read():
    WRITERS["Time"] = fixed(8)
    fields = [("t", "Time", 8, 0), ("d", "FixedDecimal", 50, 10)]
    digits = "1234567890123456789012345678901234567.0123456789"
    given = table_of(file("yxdb", yxdb(fields, ["10:30:00", digits], [None, None])))
    assert given.to_pylist() == [{"t": time(10, 30), "d": Decimal(digits)}, {"t": None, "d": None}]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (("x", "Nonsense", 8, 0), "1", "the field 'x' has the type 'Nonsense', which is not known"),
        (("d", "Date", 10, 0), "2024-02-30", "column 'd', row 1: '2024-02-30'"),
        (("n", "FixedDecimal", 10, 2), "12a", "column 'n', row 1: '12a'"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(field, value, said):
    with pytest.raises(OutputUnavailable, match=said):
        table_of(file("yxdb", yxdb([field], [value])))


def spatial(*values: bytes) -> bytes:
    """A file of spatial objects."""
    content = bytearray(yxdb([("g", "SpatialObj", 0, 0)]))
    content[104:108] = struct.pack("<I", len(values))
    records = b""
    for value in values:
        pointer = struct.pack("<II", 8, 4 + len(value)) if value else struct.pack("<II", 0, 0)
        records += pointer + (struct.pack("<I", len(value) * 2) + value if value else b"")
    return bytes(content) + struct.pack("<I", len(records) | RAW_BLOCK) + records


def shape(kind: int, *parts: list[tuple[float, float]]) -> bytes:
    """Parts as an ESRI shape."""
    points = [point for part in parts for point in part]
    starts = [sum(map(len, parts[:index])) for index in range(len(parts))]
    head = struct.pack("<I", kind) + bytes(32) + struct.pack("<II", len(parts), len(points))
    return head + b"".join(struct.pack("<I", k) for k in starts) + b"".join(struct.pack("<dd", *p) for p in points)


def square(x: float, size: float = 1.0) -> list[tuple[float, float]]:
    """A ring that runs clockwise."""
    return [(x, 0.0), (x, size), (x + size, size), (x + size, 0.0), (x, 0.0)]


def hole(x: float, y: float) -> list[tuple[float, float]]:
    """A small ring that runs the other way."""
    return [(x, y), (x + 0.2, y), (x + 0.2, y + 0.2), (x, y + 0.2), (x, y)]


def test_polygons_keep_their_parts_and_each_its_holes():
    given = table_of(
        file(
            "yxdb",
            spatial(
                shape(5, square(0), square(5)),
                shape(5, square(0), hole(0.4, 0.4), square(5), hole(5.4, 0.4), hole(5.1, 0.1)),
                shape(3, [(0.0, 0.0), (1.0, 1.0)], [(2.0, 2.0), (3.0, 3.0)]),
                b"",
            ),
        )
    ).column("g")
    two, with_holes, lines = (json.loads(text.as_py()) for text in list(given)[:3])
    assert two["type"] == with_holes["type"] == "MultiPolygon"
    assert [len(polygon) for polygon in two["coordinates"]] == [1, 1]
    assert [len(polygon) for polygon in with_holes["coordinates"]] == [2, 3]
    assert lines["type"] == "MultiLineString"
    assert given[3].as_py() is None


def test_a_spatial_object_that_is_cut_off_is_refused_by_name():
    with pytest.raises(OutputUnavailable, match="column 'g', row 1: the value cannot be read"):
        table_of(file("yxdb", spatial(shape(5, square(0))[:-8])))

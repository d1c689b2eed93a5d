"""Writing Alteryx's .yxdb files in their original (E1) format.

The layout is what the readers published under the MIT licence expect (https://github.com/tlarsendataguy-yxdb): a header
of 512 bytes, the fields as XML in UTF-16, records in blocks, an index of the blocks. Blocks are stored uncompressed,
which the format allows for any block.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from xml.sax.saxutils import quoteattr

HEADER = struct.Struct("<64s6I3qi")
HEADER_BYTES = 512
WITHOUT_SPATIAL_INDEX = 0x00440204
BLOCK_BYTES = 262_144
UNCOMPRESSED = 0x80000000
RECORDS_PER_INDEX_ENTRY = 65_536
TEXT_SIZE = 1_073_741_823
EMPTY, NULL = b"\0\0\0\0", b"\1\0\0\0"
SMALL_BLOB, TINY_BLOB = 127, 3

# DuckDB's type, Alteryx's type, and how a value is packed into the fixed part of a record.
NUMBERS = {"UTINYINT": ("Byte", "<B"), "SMALLINT": ("Int16", "<h"), "INTEGER": ("Int32", "<i")}
NUMBERS |= {"BIGINT": ("Int64", "<q"), "FLOAT": ("Float", "<f"), "DOUBLE": ("Double", "<d")}
TEXTS = {"DATE": ("Date", 10), "TIMESTAMP": ("DateTime", 19)}


@dataclass(frozen=True)
class Field:
    """A column: its XML attributes and the packing of its values; ``pack`` is None for text of any length."""

    name: str
    attributes: str
    pack: Callable[[Any], bytes] | None = None

    def xml(self) -> str:
        """The field's element."""
        return f"\t<Field name={quoteattr(self.name)} {self.attributes}/>\n"


def field_of(name: str, type_name: str) -> Field:
    """The field for a DuckDB column."""
    if type_name in NUMBERS:
        alteryx, layout = NUMBERS[type_name]
        return Field(name, f'type="{alteryx}"', number_packer(struct.Struct(layout)))
    if type_name in TEXTS:
        alteryx, size = TEXTS[type_name]
        return Field(name, f'type="{alteryx}"', text_packer(size))
    if type_name.startswith("DECIMAL("):
        precision, scale = (int(part) for part in type_name[8:-1].split(","))
        return Field(name, f'size="{precision + 2}" scale="{scale}" type="FixedDecimal"', text_packer(precision + 2))
    if type_name == "BOOLEAN":
        return Field(name, 'type="Bool"', lambda value: b"\2" if value is None else bytes([value]))
    return Field(name, f'size="{TEXT_SIZE}" type="V_WString"')


def number_packer(layout: struct.Struct) -> Callable[[Any], bytes]:
    """A number, then a byte that is 1 for null."""
    return lambda value: bytes(layout.size) + b"\1" if value is None else layout.pack(value) + b"\0"


def text_packer(size: int) -> Callable[[Any], bytes]:
    """Text of a fixed size, padded with zeros, then a byte that is 1 for null."""
    return lambda value: (
        bytes(size) + b"\1" if value is None else f"{value!s:.{size}}".encode().ljust(size, b"\0") + b"\0"
    )


def record(fields: Sequence[Field], row: Sequence[Any]) -> bytes:
    """One record: fixed parts, then the length of the variable part and that part, if any field wants it."""
    packed = [field.pack(value) if field.pack else None for field, value in zip(fields, row, strict=True)]
    if None not in packed:
        return b"".join(one or b"" for one in packed)
    fixed, variable = bytearray(), bytearray()
    fixed_size = sum(4 if one is None else len(one) for one in packed)
    for one, value in zip(packed, row, strict=True):
        fixed += blob_place(value, fixed_size + 4 + len(variable) - len(fixed), variable) if one is None else one
    return bytes(fixed) + struct.pack("<I", len(variable)) + bytes(variable)


def blob_place(value: str | None, offset: int, variable: bytearray) -> bytes:
    """The four fixed bytes of text: null, empty, up to three bytes inside, or where it begins in the variable part."""
    if value is None:
        return NULL
    data = value.encode("utf-16-le")
    if not data:
        return EMPTY
    if len(data) <= TINY_BLOB:
        return data.ljust(3, b"\0") + bytes([len(data) << 4])
    small = len(data) <= SMALL_BLOB
    variable += (bytes([len(data) << 1 | 1]) if small else struct.pack("<I", len(data) << 1)) + data
    return struct.pack("<I", offset)


class Blocks:
    """The record blocks as they are written, and the positions that their index lists."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.waiting = file, bytearray()
        self.records, self.positions = 0, list[int]()

    def add(self, data: bytes) -> None:
        """Add one record; the index has an entry for every 65,536, which begin in a block of their own."""
        if self.records % RECORDS_PER_INDEX_ENTRY == 0:
            self.flush()
            self.positions.append(self.file.tell())
        self.waiting += data
        self.records += 1
        while len(self.waiting) >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits, as far as it fits into one block."""
        block = bytes(self.waiting[:BLOCK_BYTES])
        del self.waiting[:BLOCK_BYTES]
        if block:
            self.file.write(struct.pack("<I", len(block) | UNCOMPRESSED) + block)


def write(file: BinaryIO, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> int:
    """Write a whole file from columns (name, DuckDB type) and rows; returns the number of rows."""
    fields = [field_of(name, type_name) for name, type_name in columns]
    xml = f"<RecordInfo>\n{''.join(field.xml() for field in fields)}</RecordInfo>\n\0".encode("utf-16-le")
    file.write(bytes(HEADER_BYTES) + xml)
    blocks = Blocks(file)
    for row in rows:
        blocks.add(record(fields, row))
    blocks.flush()
    index_at = file.tell()
    file.write(struct.pack(f"<I{len(blocks.positions)}q", len(blocks.positions), *blocks.positions))
    file.seek(0)
    made_at, nothing = int(time.time()), 0
    numbers = (WITHOUT_SPATIAL_INDEX, made_at, nothing, nothing, len(xml) // 2, nothing)
    file.write(HEADER.pack(b"Alteryx Database File", *numbers, nothing, index_at, blocks.records, 1))
    return blocks.records

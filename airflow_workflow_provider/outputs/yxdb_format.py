"""The format of Alteryx database files (.yxdb) of the original engine: header, blocks, records and fields.

A file has a header of 512 bytes, the fields as XML in UTF-16, and blocks of at most 256 KB, stored or compressed with
LZF. The records lie in the blocks one behind the other. The source is the package `yxdb` (MIT) and its siblings in
other languages, https://github.com/tlarsendataguy-yxdb. That a field of type Time is laid out like Date and DateTime is
unverified.

Everything is checked: a block that is shorter than it says, a length that points outside of its record, a field of an
unknown type. `BadFile` says what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO
from xml.etree import ElementTree as ET

MAGIC = b"Alteryx Database File"
_HEADER = 512
_BLOCK = 262_144  # bytes of a block, unpacked
_META = 16 << 20  # bytes
_STORED = 0x8000_0000  # the bit that marks a block as not compressed
_RECORD = 64 << 20  # bytes; as for a row of any other file


class BadFile(ValueError):
    """The file is not what it says."""


# The code of `struct` for a field, its mark of a missing value included; {n} is the size in characters.
_FIXED: Mapping[str, str] = {
    "Bool": "B",
    "Byte": "BB",
    "Int16": "hB",
    "Int32": "iB",
    "Int64": "qB",
    "Float": "fB",
    "Double": "dB",
    "FixedDecimal": "{n}sB",
    "String": "{n}sB",
    "WString": "{w}sB",
    "Date": "{n}sB",
    "DateTime": "{n}sB",
    "Time": "{n}sB",
}
_SIZES = {"Date": 10, "DateTime": 19, "Time": 8}  # characters, where the field does not say more
_VARIABLE = frozenset({"V_String", "V_WString", "Blob", "SpatialObj"})
_NULL_BOOL = 2


@dataclass(frozen=True)
class Field:
    """A column of the file; ``size`` is in characters, ``scale`` counts digits behind the point."""

    name: str
    type: str
    size: int
    scale: int

    @property
    def is_variable(self) -> bool:
        """True if the record holds a pointer to the value."""
        return self.type in _VARIABLE

    @property
    def code(self) -> str:
        """The code of `struct` for what the record holds."""
        if self.is_variable:
            return "I"
        size = max(self.size, _SIZES.get(self.type, 0))
        return _FIXED[self.type].format(n=size, w=2 * size)


class YxdbFile:
    """A file that is read once, from its beginning. Raises `BadFile`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        header = self._exactly(_HEADER, "the header")
        if not header.startswith(MAGIC):
            raise BadFile("it does not begin as one")
        self.count = int.from_bytes(header[104:112], "little")
        length = 2 * int.from_bytes(header[80:84], "little")
        if not 2 < length <= _META:
            raise BadFile(f"the description of its fields has {length:,} bytes")
        self.fields = _fields(self._exactly(length, "the description of the fields")[:-2])
        self._record = struct.Struct("<" + "".join(field.code for field in self.fields))
        if not 0 < self._record.size <= _RECORD:
            raise BadFile(f"a record has {self._record.size:,} bytes")
        self._data, self._at = b"", 0

    def records(self) -> Iterator[tuple[Any, ...]]:
        """Give the values of each record as they are stored; see `value_readers` for what they mean."""
        has_variable = any(field.is_variable for field in self.fields)
        for _ in range(self.count):
            record = self._take(self._record.size)
            values = self._record.unpack(record)
            if has_variable:
                length = self._take(4)
                size = int.from_bytes(length, "little")
                if size > _RECORD:
                    raise BadFile(f"a record has {size:,} bytes")
                record = record + length + self._take(size)
            yield (*values, record)
        if self._at < len(self._data):
            raise BadFile(f"there is more behind the {self.count:,} records that its header counts")

    @cached_property
    def readers(self) -> list[Callable[[Sequence[Any]], Any]]:
        """What makes a value of a record's parts, for each field: None where there is no value."""
        made: list[Callable[[Sequence[Any]], Any]] = []
        index = offset = 0
        for field in self.fields:
            made.append(_reader(field, index, offset))
            index += 1 if field.is_variable or field.type == "Bool" else 2
            offset += struct.calcsize("<" + field.code)
        return made

    def _exactly(self, size: int, what: str) -> bytes:
        parts, left = [], size
        while left and (data := self._file.read(left)):
            parts.append(data)
            left -= len(data)
        if left:
            raise BadFile(f"{what} breaks off")
        return b"".join(parts)

    def _take(self, size: int) -> bytes:
        """Give the next bytes of the records."""
        end = self._at + size
        while end > len(self._data):
            self._data, self._at = self._data[self._at :] + self._block(), 0
            end = size
        data, self._at = self._data[self._at : end], end
        return data

    def _block(self) -> bytes:
        length = int.from_bytes(self._exactly(4, "the length of a block"), "little")
        size = length & ~_STORED
        if not 0 < size <= _BLOCK:
            raise BadFile(f"a block has {size:,} bytes")
        data = self._exactly(size, "a block")
        return data if length & _STORED else unpacked(data)


def unpacked(data: bytes, most: int = _BLOCK) -> bytes:
    """Unpack LZF: literal runs, and references to what was unpacked before. Raises `BadFile`."""
    made = bytearray()
    at, size = 0, len(data)
    while at < size:
        control = data[at]
        at += 1
        if control < 32:
            end = at + control + 1
            made += data[at:end]
            at = end
        else:
            length = control >> 5
            if length == 7 and at < size:
                length += data[at]
                at += 1
            if at < size:
                start = len(made) - ((control & 0x1F) << 8) - data[at] - 1
                if start < 0:
                    raise BadFile("a compressed block refers to bytes before its beginning")
                _repeat(made, start, length + 2)
            at += 1
        if at > size or len(made) > most:
            raise BadFile("a compressed block breaks off" if at > size else f"a block has more than {most:,} bytes")
    return bytes(made)


def _repeat(made: bytearray, start: int, length: int) -> None:
    piece = made[start : start + length]
    while len(piece) < length:  # it reaches into what it makes itself
        piece += piece[: length - len(piece)]
    made += piece


def _fields(meta: bytes) -> list[Field]:
    try:
        text = meta.decode("utf-16-le")
        if "<!" in text:
            raise BadFile("the description of its fields declares entities")
        root = ET.fromstring(text)  # noqa: S314 (without declarations there is no entity to expand)
        fields = [
            Field(one.attrib["name"], one.attrib["type"], int(one.get("size") or 0), int(one.get("scale") or 0))
            for one in root.iter("Field")
        ]
    except (ET.ParseError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise BadFile(f"the description of its fields cannot be read: {error}") from error
    for field in fields:
        if field.type not in _FIXED and not field.is_variable:
            raise BadFile(f"the field {field.name!r} has the type {field.type!r}, which is not known")
        if not 0 <= field.size <= 2**31:
            raise BadFile(f"the field {field.name!r} has the size {field.size}")
    return fields


def _reader(field: Field, index: int, offset: int) -> Callable[[Sequence[Any]], Any]:
    kind = field.type
    if kind == "Bool":
        return lambda parts: None if parts[index] == _NULL_BOOL else bool(parts[index])
    if field.is_variable:
        read = _blob(index, offset)
        return _decoded(read, "latin-1" if kind == "V_String" else "utf-16-le") if kind.startswith("V_") else read
    if kind == "WString":
        return lambda parts: None if parts[index + 1] else _until_zero(parts[index].decode("utf-16-le"))
    if "s" in _FIXED[kind]:
        return lambda parts: None if parts[index + 1] else _until_zero(parts[index].decode("latin-1"))
    return lambda parts: None if parts[index + 1] else parts[index]


def _until_zero(text: str) -> str:
    return text.partition("\0")[0]


def _decoded(read: Callable[[Sequence[Any]], bytes | None], encoding: str) -> Callable[[Sequence[Any]], str | None]:
    def decode(parts: Sequence[Any]) -> str | None:
        data = read(parts)
        return None if data is None else data.decode(encoding)

    return decode


def _blob(index: int, offset: int) -> Callable[[Sequence[Any]], bytes | None]:
    def read(parts: Sequence[Any]) -> bytes | None:
        value = parts[index]
        if value in (0, 1):
            return None if value else b""
        if not value & 0x8000_0000 and value & 0x3000_0000:  # up to three bytes lie in the pointer itself
            return bytes(value.to_bytes(4, "little")[: value >> 28])
        record = parts[-1]
        start = offset + (value & 0x7FFF_FFFF)
        if start >= len(record):
            raise BadFile("a value lies outside of its record")
        if record[start] & 1:
            size, start = record[start] >> 1, start + 1
        else:
            size, start = int.from_bytes(record[start : start + 4], "little") >> 1, start + 4
        if start + size > len(record):
            raise BadFile("a value lies outside of its record")
        return bytes(record[start : start + size])

    return read

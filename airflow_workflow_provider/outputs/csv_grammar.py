"""Telling from a CSV's bytes alone that its values are what they are taken for.

One regular expression over a block of rows, run by RE2 in linear time, costs a fifth of parsing it. What it accepts is
certain; what it does not accept is not wrong, but has to be looked at closely.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.outputs.column_stats import ColumnStats, Kind
from airflow_workflow_provider.outputs.types import UNIT, ZONE

LONGEST_ROW = 4 << 20  # bytes
_QUOTED = r'"(?:[^"]|"")*"'
ANYTHING = rf'(?:{_QUOTED}|[^",\r\n]*)'
_DAY = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_WHOLE = r"0|-?[1-9][0-9]*"


def _field(values: str) -> str:
    """Give the pattern of a field: bare, in quotes, or without a value, as empty text is too."""
    return f'(?:{values}|"(?:{values})?"|)'


# At most 15 digits, which a float keeps, however they lie around the point.
_SHORT = (
    r"-?(?:0(?:\.[0-9]{1,15})?|[1-9][0-9]{0,3}(?:\.[0-9]{1,11})?|[1-9][0-9]{4,8}(?:\.[0-9]{1,6})?|[1-9][0-9]{9,14})"
)
# Each accepts less than `inference` does.
_BY_KIND: Mapping[Kind, str] = {
    Kind.NULL: "",
    Kind.BLANK: '(?:"")?',
    Kind.BOOL: _field("(?i:true|false)"),
    Kind.INT: _field(_WHOLE),
    Kind.NUMBER: _field(_SHORT),
    Kind.DATE: _field(_DAY),
    Kind.DATETIME: _field(f"{_DAY}(?:{_TIME})?"),
    Kind.TIMESTAMP: _field(rf"{_DAY}{_TIME}(?:Z|[-+](?:0[0-9]|1[0-4]):[0-5][0-9])"),
    Kind.TEXT: ANYTHING,
}
# What a column may hold whose type is settled, so that reading it as that type gives what `convert` gives.
_BY_TYPE: Mapping[pa.DataType, str] = {
    pa.string(): ANYTHING,
    pa.bool_(): _BY_KIND[Kind.BOOL],
    pa.int64(): _BY_KIND[Kind.INT],
    pa.float64(): _field(rf"(?:{_WHOLE}|-0)(?:\.[0-9]+)?"),
    pa.date32(): _BY_KIND[Kind.DATE],
    pa.timestamp(UNIT): _BY_KIND[Kind.DATETIME],
    pa.timestamp(UNIT, ZONE): _BY_KIND[Kind.TIMESTAMP],
}
_HELD: Mapping[Kind, pa.DataType] = {
    **dict.fromkeys((Kind.NULL, Kind.BLANK, Kind.TEXT), pa.string()),
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp(UNIT),
    Kind.TIMESTAMP: pa.timestamp(UNIT, ZONE),
}


def kept_type(seen: ColumnStats) -> pa.DataType:
    """Give the type of a column; one without any value is text."""
    return pa.string() if pa.types.is_null(seen.type) else seen.type


def pattern_of(seen: ColumnStats) -> str | None:
    """Give the pattern of fields that are certainly what was seen, or None where no pattern can tell."""
    return _BY_KIND[seen.kind] if _HELD.get(seen.kind) == kept_type(seen) else None


def pattern_of_type(kind: pa.DataType) -> str | None:
    """Give the pattern of fields that certainly are of a type, or None where no pattern can tell."""
    if pa.types.is_decimal128(kind) and 0 <= kind.scale <= min(kind.precision - 1, 20):
        whole, fraction = kind.precision - kind.scale - 1, rf"(?:\.[0-9]{{1,{kind.scale}}})?" if kind.scale else ""
        return _field(rf"-?(?:0|[1-9][0-9]{{0,{whole}}}){fraction}")
    return _BY_TYPE.get(kind)


class Block:
    """A pattern for a block of whole rows with these fields, in order.

    With a field of None, which no pattern can tell, no block is certain.
    """

    def __init__(self, fields: Iterable[str | None]) -> None:
        listed = list(fields)
        self._pattern = None if None in listed else rf"\A(?:{','.join(map(str, listed))}\r?\n)*\z"

    def holds(self, block: bytes) -> bool:
        """True if every row is certainly of this shape; False may also mean that there are too many columns to tell."""
        if self._pattern is None:
            return False
        offsets = pa.py_buffer(struct.pack("<ii", 0, len(block)))
        text = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(block)])
        try:
            return bool(pc.match_substring_regex(text, self._pattern)[0].as_py())
        except pa.ArrowInvalid:
            return False


class AnyRows(Block):
    """Rows of any number of fields, each whole: quotes only around a field, and doubled within."""

    def __init__(self) -> None:
        super().__init__(())
        self._pattern = rf"\A(?:{ANYTHING}(?:,{ANYTHING})*\r?\n)*\z"


def whole_rows(
    file: BinaryIO, left: bytes, size: int, is_certain: Callable[[bytes], bool]
) -> Iterator[tuple[bytes, bool]]:
    """Give a file in blocks that end where a row ends, and whether they are certainly what they should be.

    ``left`` was read already, and is a block of its own if it holds whole rows. The last block may lack its line end.
    Where no end is in sight, a block ends anywhere, and is of no shape.
    """
    data, block = b"", left
    while block:
        end = block.rfind(b"\n") + 1
        # A line end is the end of a row if all before it are whole rows; else quotes tell which one is.
        rows = block if end == len(block) else block[:end]
        certain = bool(end) and is_certain(rows)
        if not certain:
            end = _end_of_rows(block, end)
            rows = block[:end]
            certain = bool(end) and is_certain(rows)
        left = block[end:] + data
        if end:
            yield rows, certain
        if len(left) > LONGEST_ROW:
            yield left, False
            left = b""
        # One copy: what is behind the last line end is kept apart.
        data = file.read(size)
        cut = data.rfind(b"\n") + 1 or len(data)
        block = b"".join((left, memoryview(data)[:cut])) if data else b""
        data = data[cut:]
    if left:
        yield left, is_certain(ended(left))


def _end_of_rows(block: bytes, end: int) -> int:
    """Give the place after the last line end that is not within quotes."""
    odd = block.count(b'"', 0, end) % 2
    while end and odd:
        start = block.rfind(b"\n", 0, end - 1) + 1
        odd ^= block.count(b'"', start, end) % 2
        end = start
    return end


def ended(block: bytes) -> bytes:
    """Give a block with a line end, which the last one of a file may lack."""
    return block if not block or block.endswith(b"\n") else block + b"\n"


def has_mark(block: bytes) -> bool:
    r"""True if a line begins with ``\.``: older versions of PostgreSQL take it for the end of the data."""
    return b"\\" in block and (block.startswith(b"\\.") or b"\n\\." in block)

"""The grammar of CSV, checked on bytes.

A block of rows is certain where one regular expression accepts it; RE2 runs it in linear time. `Dialect` holds the
grammar of a file: fields in quotes, which are doubled within, or fields without quotes, line ends and NUL. A file
that breaks the grammar has no certain reading, and `Dialect.problem` names the first row and field that break it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.outputs.column_stats import ColumnStats, Kind
from airflow_workflow_provider.outputs.types import UNIT, ZONE

LONGEST_ROW = 64 << 20  # bytes; the same wherever a row stands
_QUOTED = r'"(?:[^"]|"")*"'
ANYTHING = rf'(?:{_QUOTED}|[^",\r\n\x00]*)'
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


# Patterns of fields that change nothing of what was seen: neither the type of a column nor a figure of its statistics.

_EVERY_YEAR = r"(?:000[2-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])"
_NEAR_YEAR = r"(?:1[789]|2[01])[0-9]{2}"  # whose nanoseconds Arrow keeps
_NEAR_LEAP = r"(?:(?:1[789]|2[01])(?:0[48]|[2468][048]|[13579][26])|2000)-02-29"
_DAY_OF_YEAR = (
    r"-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_OFFSET = r"(?:Z|[-+](?:0[0-9]|1[0-4]):[0-5][0-9])"
_FLOAT_DIGITS = 15  # which a float keeps
_INT_DIGITS = 18  # which 64 bits keep
_SHORTS = ((1, 4, 11), (5, 9, 6), (10, 15, 0))  # digits from and to, and digits behind the point


def unchanging(seen: ColumnStats) -> str | None:
    """Give the values that a column may have without a change of its statistics; None where no pattern can tell."""
    if seen.fixed is not None:
        return None
    make = _UNCHANGING.get(seen.kind)
    return make(seen) if make else None


def _same_ints(seen: ColumnStats) -> str | None:
    digits = min(seen.digits, _FLOAT_DIGITS if seen.fits_float64 else _INT_DIGITS)
    return rf"0|-?[1-9][0-9]{{0,{digits - 1}}}" if digits and seen.fits_int64 else None


def _same_numbers(seen: ColumnStats) -> str | None:
    if not seen.digits:
        return None
    if not seen.fits_float64:
        fraction = rf"(?:\.[0-9]{{1,{seen.scale}}})?" if seen.scale else ""
        return rf"-?(?:0|[1-9][0-9]{{0,{seen.digits - 1}}}){fraction}" if seen.scale + seen.digits <= 60 else None
    parts = [rf"0(?:\.[0-9]{{1,{min(seen.scale, _FLOAT_DIGITS)}}})?" if seen.scale else "0"]
    for least, most, scale in _SHORTS:
        if least <= seen.digits:
            behind = min(scale, seen.scale)
            fraction = rf"(?:\.[0-9]{{1,{behind}}})?" if behind else ""
            parts.append(rf"[1-9][0-9]{{{least - 1},{min(most, seen.digits) - 1}}}{fraction}")
    return rf"-?(?:{'|'.join(parts)})"


def _same_days(seen: ColumnStats) -> str:
    if seen.in_nanosecond_range:
        return rf"(?:{_NEAR_YEAR}{_DAY_OF_YEAR}|{_NEAR_LEAP})"
    return rf"{_EVERY_YEAR}{_DAY_OF_YEAR}"


_UNCHANGING: Mapping[Kind, Callable[[ColumnStats], str | None]] = {
    Kind.BOOL: lambda seen: "(?i:true|false)",
    Kind.INT: _same_ints,
    Kind.NUMBER: _same_numbers,
    Kind.DATE: _same_days,
    Kind.DATETIME: lambda seen: f"{_same_days(seen)}(?:{_TIME})?",
    Kind.TIMESTAMP: lambda seen: f"{_same_days(seen)}{_TIME}{_OFFSET}",
}
# Delimiters that no number and no time holds.
_PLAIN_DELIMITERS = frozenset(",;\t|^~\x01\x1f")


def unchanging_rows(columns: Iterable[ColumnStats], dialect: Dialect) -> Block | None:
    """Give the pattern of rows on one line each whose values change nothing of what was seen in the columns."""
    if dialect.quote != '"' or dialect.escape or dialect.delimiter not in _PLAIN_DELIMITERS:
        return None
    text = rf'(?:"(?:[^"\r\n]|"")*"|[^"{re.escape(dialect.delimiter)}\r\n\x00]*)'
    settled = {Kind.NULL: "", Kind.BLANK: '(?:"")?', Kind.TEXT: text}
    fields = []
    for seen in columns:
        values = unchanging(seen)
        fields.append(settled.get(seen.kind) if values is None else _field(values))
    return None if None in fields else Block(fields, re.escape(dialect.delimiter))


class Block:
    """A pattern for a block of whole rows with these fields, in order.

    With a field of None, which no pattern can tell, no block is certain.
    """

    def __init__(self, fields: Iterable[str | None], delimiter: str = ",") -> None:
        listed = list(fields)
        self._pattern = None if None in listed else rf"\A(?:{delimiter.join(map(str, listed))}\r?\n)*\z"

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

    def __init__(self, delimiter: str = ",", quote: str = '"', escape: str = "") -> None:
        super().__init__(())
        field, mark = _field_of(delimiter, quote, escape), re.escape(delimiter)
        self._pattern = rf"\A(?:{field}(?:{mark}{field})*\r?\n)*\z"


def _field_of(delimiter: str, quote: str, escape: str) -> str:
    """Give the pattern of any field, for RE2 and for `re`."""
    d, q, e = re.escape(delimiter), re.escape(quote), re.escape(escape)
    escaped = rf"|{e}[{d}{q}{e}\r\n]" if escape else ""
    bare = rf"(?:[^{d}{q}{e}\r\n\x00]{escaped})*"
    return rf"(?:{q}(?:[^{q}{e}]|{q}{q}{escaped})*{q}|{bare})" if quote else bare


@dataclass(frozen=True)
class Problem:
    """The first place of a block that breaks the grammar.

    ``row``, ``field`` and ``byte`` count from 0; ``text`` is the beginning of the row.
    """

    row: int
    field: int
    reason: str
    byte: int = 0
    text: str = ""


_EXCERPT = 120  # bytes of a row that a message shows
UNCLOSED = "a quote is opened and never closed"
_SPARSE = 64  # bytes for each quote; `re` is faster than RE2 where there are fewer


def _excerpt(block: bytes, start: int) -> str:
    """Give the beginning of a row as one line."""
    text = block[start : start + _EXCERPT].partition(b"\n")[0].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text.strip())


@dataclass(frozen=True)
class Dialect:
    """How the rows of a file are written. ``quote`` and ``escape`` are empty where the file has none."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""

    def holds(self, block: bytes) -> bool:
        """True if a block, which begins a row and ends with a line end, consists of whole rows."""
        if self.escape:
            return self._any_rows.holds(block)
        quote = self.quote.encode()
        has_returns = b"\r" in block
        if not quote or quote not in block:
            return b"\0" not in block and (not has_returns or block.count(b"\r") == block.count(b"\r\n"))
        if block.count(quote) * _SPARSE > len(block):
            return self._any_rows.holds(block)
        pattern = self._with_returns if has_returns or b"\0" in block else self._without_returns
        return pattern.fullmatch(block) is not None

    def whole_rows(self, block: bytes) -> int:
        """Give the length of the whole rows that a block begins with; what follows is a part of a row, or breaks it.

        The likeliest end is tried first. A quote within a bare field, as in ``5" pipe``, is a character like others;
        such rows are read field by field.
        """
        end = block.rfind(b"\n") + 1
        if end and not self.escape:
            likely = _end_of_rows(block, end, self.quote.encode()) if self.quote else end
            if likely and self.holds(block if likely == len(block) else block[:likely]):
                return likely
        return self._whole_rows.match(block).end() if end else 0  # type: ignore[union-attr]  # it matches at once

    def problem(self, block: bytes, fields: int = 0) -> Problem | None:
        """Find what is wrong with a block: its grammar, or a row that has another number of ``fields`` (0: any)."""
        at, row, field, start = 0, 0, 0, 0
        while at < len(block):
            found = self._field.match(block, at)
            assert found is not None, "an empty field matches"
            end = found.end()
            following = block[end : end + 1]
            if following == self.delimiter.encode():
                at, field = end + 1, field + 1
                continue
            is_end = following in (b"\n", b"") or block[end : end + 2] == b"\r\n"
            if not is_end:
                return Problem(row, field, self._reason(block, at, end), end, _excerpt(block, start))
            is_blank = not field and end == at and fields > 1
            if fields and field + 1 != fields and not is_blank:
                reason = f"Expected {fields} columns, got {field + 1}"
                return Problem(row, field, reason, at, _excerpt(block, start))
            at, field = end + (2 if following == b"\r" else 1), 0
            start = at
            row += not is_blank
        return None

    def row_of(self, block: bytes, place: int) -> tuple[int, int]:
        """Give the row and the field that a byte of a block belongs to."""
        at, row, field = 0, 0, 0
        while at < len(block):
            end = self._field.match(block, at).end()  # type: ignore[union-attr]  # an empty field matches
            if end > place or end >= len(block):
                break
            is_next = block[end : end + 1] == self.delimiter.encode()
            at, row, field = end + 1, row + (block[end : end + 1] == b"\n"), field + 1 if is_next else 0
        return row, field

    def _reason(self, block: bytes, start: int, end: int) -> str:
        """Say why a field cannot end where it has to."""
        quote, following = self.quote.encode(), block[end : end + 1]
        before = block[max(end - 2, start) : end]
        is_quoted = bool(quote) and block[start : start + 1] == quote and end > start
        reason = f"the escape character {self.escape!r} stands before a character that it does not escape"
        if following == b"\0":
            reason = "there is a NUL byte outside quotes"
        elif following == b"\r":
            reason = "a carriage return stands alone, outside quotes"
        elif not self.escape and (b"\\" in before[:-1] if is_quoted else before.endswith(b"\\")) and quote:
            reason = "a quote follows a backslash; the backslash may be the escape character"
        elif is_quoted and following in b";\t|^":
            reason = f"the character {following.decode()!r} follows a closing quote; it may be the delimiter"
        elif is_quoted:
            reason = "text follows a closing quote"
        elif quote and following == quote:
            reason = f"{UNCLOSED}, or {reason}" if self.escape else UNCLOSED
        return reason

    @cached_property
    def _any_rows(self) -> AnyRows:
        return AnyRows(self.delimiter, self.quote, self.escape)

    @cached_property
    def _field(self) -> re.Pattern[bytes]:
        d, q, e = (re.escape(mark) for mark in (self.delimiter, self.quote, self.escape))
        escaped = rf"{e}[{d}{q}{e}\r\n]" if e else "(?!)"
        inner = rf"[^{d}{e}\r\n\x00]*+"
        bare = rf"(?:(?!{q or '(?!)'})(?:{escaped}|[^{d}{e}\r\n\x00])(?:{inner}(?:{escaped}{inner})*+))?+"
        quoted = rf"{q}[^{q}{e}]*+(?:(?:{q}{q}|{escaped})[^{q}{e}]*+)*+{q}|" if q else ""
        return re.compile((quoted + bare).encode())

    @cached_property
    def _whole_rows(self) -> re.Pattern[bytes]:
        field, mark = rf"(?>{self._field.pattern.decode()})", re.escape(self.delimiter)
        return re.compile(rf"(?:{field}(?:{mark}{field})*+\r?\n)*+".encode())

    @cached_property
    def _without_returns(self) -> re.Pattern[bytes]:
        return self._quotes(r'[^"]*+')

    @cached_property
    def _with_returns(self) -> re.Pattern[bytes]:
        return self._quotes(r'[^"\r\x00]*+(?:\r\n[^"\r\x00]*+)*+')

    def _quotes(self, outside: str) -> re.Pattern[bytes]:
        """Give the pattern of a block whose quotes are all around a field, or doubled within one."""
        pattern = rf'{outside}(?:(?<![^,\n])"[^"]*+(?:""[^"]*+)*+"(?=,|\r?\n){outside})*+'
        d, q = re.escape(self.delimiter), re.escape(self.quote)
        return re.compile(pattern.replace('"', q).replace("^,", f"^{d}").replace("?=,", f"?={d}").encode())


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


def _end_of_rows(block: bytes, end: int, quote: bytes = b'"') -> int:
    """Give the place after the last line end that is not within quotes."""
    odd = block.count(quote, 0, end) % 2
    while end and odd:
        start = block.rfind(b"\n", 0, end - 1) + 1
        odd ^= block.count(quote, start, end) % 2
        end = start
    return end


def ended(block: bytes) -> bytes:
    """Give a block with a line end, which the last one of a file may lack."""
    return block if not block or block.endswith(b"\n") else block + b"\n"


def has_mark(block: bytes) -> bool:
    r"""True if a line begins with ``\.``: older versions of PostgreSQL take it for the end of the data."""
    return b"\\" in block and (block.startswith(b"\\.") or b"\n\\." in block)

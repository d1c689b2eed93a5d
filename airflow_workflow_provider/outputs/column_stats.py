"""What the values of a column were seen to be, and the narrowest type that keeps them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

import pyarrow as pa

from airflow_workflow_provider.outputs.types import UNIT, ZONE

MOST_DIGITS = 38  # of decimal128; more than that stays text


class Kind(Enum):
    """What all values of a column are.

    ``NULL`` has no value, ``BLANK`` none but empty text, and ``NOT_FINITE`` none but words such as ``nan``: those are
    numbers beside numbers, and text where they stay alone.
    """

    NULL = "null"
    BLANK = "blank"
    BOOL = "bool"
    INT = "int"
    NUMBER = "number"
    NOT_FINITE = "not finite"
    DATE = "date"
    DATETIME = "datetime"
    TIMESTAMP = "timestamp"
    BINARY = "binary"
    TEXT = "text"


# Two kinds that a third one holds; any other pair is text. Empty text is "no value" beside everything but text.
_BOTH = {
    frozenset({Kind.INT, Kind.NUMBER}): Kind.NUMBER,
    frozenset({Kind.INT, Kind.NOT_FINITE}): Kind.NUMBER,
    frozenset({Kind.NUMBER, Kind.NOT_FINITE}): Kind.NUMBER,
    frozenset({Kind.DATE, Kind.DATETIME}): Kind.DATETIME,
}
_NULL = pa.null()
_NOTHING = (Kind.NULL, Kind.BLANK)


@dataclass(frozen=True)
class ColumnStats:
    """What one batch, or all of them, hold in a column.

    ``digits`` and ``scale`` are the most digits before and after the point. ``fits_float64`` means that a float
    keeps every digit of every number. ``empty_type`` is the type if no value ever comes. ``fixed`` is the type that
    the source itself declares exactly.
    """

    kind: Kind = Kind.NULL
    digits: int = 0
    scale: int = 0
    fits_int64: bool = True
    fits_float64: bool = True
    finite: bool = True
    nanoseconds: bool = False
    in_nanosecond_range: bool = True
    empty_type: pa.DataType = _NULL
    fixed: pa.DataType | None = None

    def __or__(self, other: ColumnStats) -> ColumnStats:
        """Give what both together hold."""
        return ColumnStats(
            kind=_joined(self.kind, other.kind),
            digits=max(self.digits, other.digits),
            scale=max(self.scale, other.scale),
            fits_int64=self.fits_int64 and other.fits_int64,
            fits_float64=self.fits_float64 and other.fits_float64,
            finite=self.finite and other.finite,
            nanoseconds=self.nanoseconds or other.nanoseconds,
            in_nanosecond_range=self.in_nanosecond_range and other.in_nanosecond_range,
            empty_type=self.empty_type if other.empty_type == _NULL else other.empty_type,
            fixed=_joined_fixed(self, other),
        )

    def declared(self, empty_type: pa.DataType) -> ColumnStats:
        """Give the same for a column whose type is known even without a value."""
        return replace(self, empty_type=empty_type)

    def of_fixed(self, fixed: pa.DataType) -> ColumnStats:
        """Give the same for a column whose source declares exactly this type."""
        return replace(self, fixed=fixed)

    @property
    def type(self) -> pa.DataType:
        """The type that keeps every value."""
        if self.fixed is not None:
            return self.fixed
        if self.nanoseconds and not self.in_nanosecond_range:
            return pa.string()
        return _TYPES[self.kind](self)

    @property
    def number_type(self) -> pa.DataType:
        """The type that keeps every number."""
        if self.kind is Kind.INT and self.fits_int64:
            return pa.int64()
        if self.kind is Kind.NUMBER and self.fits_float64:
            return pa.float64()
        if self.finite and self.digits + self.scale <= MOST_DIGITS:
            return pa.decimal128(MOST_DIGITS, self.scale)
        return pa.string()


TEXT = ColumnStats(Kind.TEXT)


def _unit(seen: ColumnStats) -> str:
    return "ns" if seen.nanoseconds else UNIT


_TYPES: Mapping[Kind, Callable[[ColumnStats], pa.DataType]] = {
    Kind.NULL: lambda seen: seen.empty_type,
    Kind.BLANK: lambda seen: pa.string(),
    Kind.BOOL: lambda seen: pa.bool_(),
    Kind.INT: lambda seen: seen.number_type,
    Kind.NUMBER: lambda seen: seen.number_type,
    Kind.NOT_FINITE: lambda seen: pa.string(),
    Kind.DATE: lambda seen: pa.date32(),
    Kind.DATETIME: lambda seen: pa.timestamp(_unit(seen)),
    Kind.TIMESTAMP: lambda seen: pa.timestamp(_unit(seen), ZONE),
    Kind.BINARY: lambda seen: pa.binary(),
    Kind.TEXT: lambda seen: pa.string(),
}


def _joined(one: Kind, other: Kind) -> Kind:
    if one is other or other in _NOTHING:
        return Kind.BLANK if Kind.BLANK in (one, other) and one in _NOTHING else one
    if one in _NOTHING:
        return other
    return _BOTH.get(frozenset({one, other}), Kind.TEXT)


def _joined_fixed(one: ColumnStats, other: ColumnStats) -> pa.DataType | None:
    if one.fixed == other.fixed:
        return one.fixed
    if one.fixed is None and one.kind is Kind.NULL:
        return other.fixed
    return one.fixed if other.fixed is None and other.kind is Kind.NULL else None

"""The names of column types: what a page's words mean, and what users write in ``column_types``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from airflow_workflow_provider.exceptions import InvalidArgument

UNIT = "us"  # what Python and every database below keep; nanoseconds only where a value has them
ZONE = "UTC"

# The words of `protocol.results.Page.columns`, and the type of such a column while it has no value.
# ``datetime`` has no zone, ``timestamp`` has one; ``any`` is found out.
WORDS: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "number": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp(UNIT),
    "timestamp": pa.timestamp(UNIT, ZONE),
    "any": pa.null(),
}

# Arrow's own names, and those that ``parameter_types`` knows for the same thing.
_PLAIN: Mapping[str, pa.DataType] = {
    **{name: pa.type_for_alias(name) for name in ("int8", "int16", "int32", "int64")},
    **{name: pa.type_for_alias(name) for name in ("uint8", "uint16", "uint32", "uint64")},
    **{name: pa.type_for_alias(name) for name in ("float32", "float64", "string", "large_string", "binary")},
    "bool": pa.bool_(),
    "date32": pa.date32(),
    "date": pa.date32(),
    "timestamp": pa.timestamp(UNIT, ZONE),
    "datetime": pa.timestamp(UNIT),
    "int": pa.int64(),
    "integer": pa.int64(),
    "bigint": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "str": pa.string(),
    "text": pa.string(),
    "json": pa.string(),
    "decimal": pa.decimal128(38, 9),
    "numeric": pa.decimal128(38, 9),
}
_WITH_ARGUMENTS = re.compile(r"(\w+)\s*[\[(]([^\])]*)[\])]")


def _decimal(bits: int) -> Callable[..., pa.DataType]:
    def make(precision: str, scale: str = "0") -> pa.DataType:
        return (pa.decimal128 if bits == 128 else pa.decimal256)(int(precision), int(scale))

    return make


def _timestamp(unit: str, zone: str = "") -> pa.DataType:
    name = zone.removeprefix("tz=").strip()
    if not name:
        return pa.timestamp(unit)
    return pa.timestamp(unit, ZONE if name.upper() in ("UTC", "Z", "+00:00") else ZoneInfo(name).key)


_MADE: Mapping[str, Callable[..., pa.DataType]] = {
    "decimal128": _decimal(128),
    "decimal256": _decimal(256),
    "decimal": _decimal(128),
    "numeric": _decimal(128),
    "timestamp": _timestamp,
    "time32": pa.time32,
    "time64": pa.time64,
}


def parse_type(name: Any, column: str) -> pa.DataType:
    """Give the Arrow type of a name such as ``decimal128(12, 2)`` or ``timestamp[us, UTC]``.

    Raises `InvalidArgument`, which names the column.
    """
    if isinstance(name, pa.DataType):
        return name
    text = str(name).strip()
    plain = _PLAIN.get(text.lower())
    if plain is not None:
        return plain
    match = _WITH_ARGUMENTS.fullmatch(text)
    make = _MADE.get(match[1].lower()) if match else None
    if match is None or make is None:
        known = ", ".join(["int64", "float64", "string", "bool", "date32", *(f"{made}(…)" for made in _MADE)])
        raise InvalidArgument(f"column_types[{column!r}]: unknown type {text!r}; known are {known}")
    try:
        return make(*(part.strip() for part in match[2].split(",")))
    except (TypeError, ValueError, KeyError, OSError, pa.ArrowException) as error:
        raise InvalidArgument(f"column_types[{column!r}]: {text!r} is not a type: {error}") from error


def parse_types(types: Mapping[str, Any] | None) -> dict[str, pa.DataType]:
    """Give the Arrow type of each column in ``column_types``; None is none."""
    if types is None:
        return {}
    if not isinstance(types, Mapping):
        raise InvalidArgument(f"column_types: expected a mapping from column to type, not {type(types).__name__}")
    return {str(column): parse_type(name, str(column)) for column, name in types.items()}

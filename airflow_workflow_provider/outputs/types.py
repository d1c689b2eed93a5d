"""The names of column types: what a page's words mean, and what users write in ``column_types``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from airflow_workflow_provider.outputs.column_arguments import checked_types, type_parts

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

_MADE: Mapping[str, Callable[..., pa.DataType]] = {
    "decimal128": lambda precision, scale: pa.decimal128(int(precision), int(scale)),
    "decimal256": lambda precision, scale: pa.decimal256(int(precision), int(scale)),
    "timestamp": pa.timestamp,
    "time32": pa.time32,
    "time64": pa.time64,
}


def parse_type(name: Any, column: str) -> pa.DataType:
    """Give the Arrow type of a name such as ``decimal128(12, 2)`` or ``timestamp[us, UTC]``.

    Raises `InvalidArgument`, which names the column.
    """
    if isinstance(name, pa.DataType):
        return name
    kind, arguments = type_parts(name, column)
    return _MADE[kind](*arguments) if kind in _MADE else pa.type_for_alias(kind)


def parse_types(types: Mapping[str, Any] | None) -> dict[str, pa.DataType]:
    """Give the Arrow type of each column in ``column_types``; None is none."""
    return {column: parse_type(name, column) for column, name in checked_types(types).items()}

"""Arrow columns as SQL types, and as the values that a driver takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from airflow_workflow_provider.transfers.sql.dialects import SqlDialect

_KINDS: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_boolean, "bool"),
    (pa.types.is_uint64, "uint64"),
    (pa.types.is_integer, "int"),
    (pa.types.is_floating, "float"),
    (pa.types.is_decimal, "decimal"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_time, "time"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_large_binary, "binary"),
)


def kind_of(column: pa.DataType, dialect: SqlDialect) -> str:
    """Give the kind of an Arrow type; a decimal with more digits than the database keeps is text."""
    kind = next((kind for test, kind in _KINDS if test(column)), "text")
    if kind == "timestamp" and column.tz is None:
        return "datetime"
    if kind == "decimal":
        precision, scale = dialect.most_decimal_digits
        return kind if column.precision <= precision and column.scale <= scale else "text"
    return kind


def sql_type(column: pa.DataType, dialect: SqlDialect, *, is_key: bool = False) -> str:
    """Give the type of a column that is created for an Arrow type."""
    kind = kind_of(column, dialect)
    if is_key and kind == "text":
        kind = "key"
    found = dialect.types[kind]
    return found.format(p=column.precision, s=column.scale) if "{p}" in found else found


def python_rows(batch: pa.RecordBatch, dialect: SqlDialect) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a batch as tuples of what the driver takes."""
    columns = [_values(column, dialect) for column in batch.columns]
    return zip(*columns, strict=True)


def _values(column: pa.Array, dialect: SqlDialect) -> Sequence[Any]:
    kind = kind_of(column.type, dialect)
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        # Neither Python nor any of these databases has nanoseconds.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    values = column.to_pylist()
    convert = str if kind == "text" and pa.types.is_decimal(column.type) else dialect.values.get(kind)
    if convert is None:
        return values
    return [None if value is None else convert(value) for value in values]

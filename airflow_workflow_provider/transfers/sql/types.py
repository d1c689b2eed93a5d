"""Arrow columns as SQL types, and as the values that a driver takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.outputs.convert import as_text
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
    """Give the kind of an Arrow type; what the database has no type for that keeps every digit is text."""
    kind = next((kind for test, kind in _KINDS if test(column)), "text")
    if kind == "timestamp" and column.unit == "ns" and (column.tz or not dialect.nanoseconds):
        return "text"
    if kind == "time" and column.unit == "ns":
        return "text"
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
    if kind == "datetime" and column.unit == "ns":
        return str(dialect.nanoseconds)
    found = dialect.types[kind]
    return found.format(p=column.precision, s=column.scale) if "{p}" in found else found


def python_rows(batch: pa.RecordBatch, dialect: SqlDialect) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a batch as tuples of what the driver takes."""
    columns = [_values(column, dialect) for column in batch.columns]
    return zip(*columns, strict=True)


def _values(column: pa.Array, dialect: SqlDialect) -> Sequence[Any]:
    kind = kind_of(column.type, dialect)
    if kind == "text":
        column = spelled(column)
    values = column.to_pylist()
    convert = dialect.values.get(kind)
    if convert is None:
        return values
    return [None if value is None else convert(value) for value in values]


def spelled(column: pa.Array) -> pa.Array:
    """Spell values as text, digit by digit."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_null(kind):
        return column
    if pa.types.is_large_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_floating(kind) or pa.types.is_time(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":  # Python has no nanoseconds
        text = pc.cast(pc.cast(column, pa.timestamp("ns")), pa.string())
        text = pc.replace_substring_regex(text, r"(\.[0-9]*[1-9])0+$", r"\1")
        text = pc.replace_substring_regex(text, r"\.0+$", "")
        return pc.binary_join_element_wise(text, "Z", "") if kind.tz else text
    return pa.array([None if value is None else as_text(value) for value in column.to_pylist()], pa.string())

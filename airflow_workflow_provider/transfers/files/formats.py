"""Rows as Parquet, CSV or JSON lines, written while they come."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.transfers.arguments import checked_compression

Watch = Callable[[int, int], None]
_ROW_GROUP_ROWS, _ROW_GROUP_BYTES = 250_000, 32 << 20  # the writer takes four times as much memory
_SAMPLE, _MOSTLY_NEW = 20_000, 0.9  # values looked at, and the share of different ones


@dataclass(frozen=True)
class Format:
    """One file format: how rows are written; raw bytes are not."""

    write: Callable[[pa.RecordBatchReader, BinaryIO, str, Watch], None] | None


def _with_values(schema: pa.Schema) -> pa.Schema:
    """Give columns that never had a value the type text: few readers know a column of nothing."""
    return pa.schema([field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in schema])


def _batches(reader: pa.RecordBatchReader, schema: pa.Schema, watch: Watch) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        columns = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        watch(batch.num_rows, batch.nbytes)


def _write_parquet(reader: pa.RecordBatchReader, file: BinaryIO, compression: str, watch: Watch) -> None:
    schema = _with_values(reader.schema)
    groups = _groups(reader, schema, watch)
    first = next(groups, schema.empty_table())
    repeating = [name for name in schema.names if _repeats(first.column(name))] if schema.names else False
    with pyarrow.parquet.ParquetWriter(file, schema, compression=compression, use_dictionary=repeating) as writer:
        if first.num_rows:
            writer.write_table(first)
        del first
        for group in groups:
            writer.write_table(group)


def _groups(reader: pa.RecordBatchReader, schema: pa.Schema, watch: Watch) -> Iterator[pa.Table]:
    group: list[pa.RecordBatch] = []
    for batch in _batches(reader, schema, watch):
        group.append(batch)
        if _is_full(group):
            yield pa.Table.from_batches(group, schema)
            group.clear()
    if group:
        yield pa.Table.from_batches(group, schema)


def _repeats(column: pa.ChunkedArray) -> bool:
    """Tell from the first values whether a dictionary pays: for values that hardly repeat it takes most of the time."""
    if pa.types.is_nested(column.type):
        return True
    sample = column.slice(0, _SAMPLE).drop_null()
    return bool(pc.count_distinct(sample).as_py() <= _MOSTLY_NEW * len(sample))


def _is_full(group: list[pa.RecordBatch]) -> bool:
    rows, size = sum(batch.num_rows for batch in group), sum(batch.nbytes for batch in group)
    return rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES


def _write_csv(reader: pa.RecordBatchReader, file: BinaryIO, compression: str, watch: Watch) -> None:
    """UTF-8 with a header; text in quotes, so that an empty one differs from no value; binary as base64."""
    if not reader.schema.names:
        return
    schema = _with_values(reader.schema)
    written = pa.schema([_csv_field(field) for field in schema])
    with pyarrow.csv.CSVWriter(file, written) as writer:
        for batch in _batches(reader, schema, watch):
            columns = [_csv_column(column) for column in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=written))


def _csv_field(field: pa.Field) -> pa.Field:
    return field.with_type(pa.string()) if pa.types.is_binary(field.type) else field


def _csv_column(column: pa.Array) -> pa.Array:
    return pa.array(_json_values(column), pa.string()) if pa.types.is_binary(column.type) else column


class NotFinite(Exception):
    """A number of a column that JSON does not have; ``row`` counts from 1 over all rows of the file."""

    def __init__(self, column: str, row: int, value: float) -> None:
        super().__init__(column, row, value)
        self.column, self.row, self.value = column, row, value

    def placed(self, where: str, row: int | None) -> OutputUnavailable:
        """Make the error that names the output and its own row."""
        place = f", row {row}" if row is not None else ""
        return OutputUnavailable(
            f"{where}column {self.column!r}{place}: {self.value} is no number that JSON has. Use format='parquet' or "
            f"'csv', or column_types={{{self.column!r}: 'string'}}"
        )


def _write_jsonl(reader: pa.RecordBatchReader, file: BinaryIO, compression: str, watch: Watch) -> None:
    names, first_row = reader.schema.names, 1
    for batch in _batches(reader, reader.schema, watch):
        for name, column in zip(names, batch.columns, strict=True):
            _check_finite(name, column, first_row)
        columns = [_json_values(column) for column in batch.columns]
        first_row += batch.num_rows
        file.writelines(_json_line(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True))


def _check_finite(name: str, column: pa.Array, first_row: int) -> None:
    """Refuse NaN and infinity, which JSON does not have."""
    if not pa.types.is_floating(column.type):
        return
    finite = pc.fill_null(pc.is_finite(column), True)
    if not pc.all(finite, min_count=0).as_py():
        row = pc.index(finite, value=False).as_py()
        raise NotFinite(name, first_row + row, column[row].as_py())


def _json_line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _json_values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        return _spelled_times(column)
    if pa.types.is_time(column.type):  # Python has no nanoseconds
        return list(pc.cast(column, pa.string()).to_pylist())
    return [_json_value(value) for value in column.to_pylist()]


def _spelled_times(column: pa.Array) -> list[Any]:
    """Spell times as ISO 8601, with ``Z`` where they have a zone; digits below a microsecond are kept."""
    text = pc.replace_substring(pc.cast(column.cast(pa.timestamp(column.type.unit)), pa.string()), " ", "T")
    values: list[Any] = text.to_pylist()
    return [value if value is None else value + "Z" for value in values] if column.type.tz else values


def _json_value(value: Any) -> Any:
    """Spell a value as JSON knows it. A decimal is a number if a float keeps its digits, else text."""
    match value:
        case Decimal():
            whole = value == value.to_integral_value()
            exact = whole or Decimal(repr(float(value))) == value
            return (int(value) if whole else float(value)) if exact else format(value, "f")
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode()
    return value


FORMATS: Mapping[str, Format] = {
    "parquet": Format(_write_parquet),
    "csv": Format(_write_csv),
    "jsonl": Format(_write_jsonl),
    "raw": Format(None),
}


def checked_format(name: Any, compression: Any) -> tuple[Format, str]:
    """Give the format and its compression. Raises `InvalidArgument`, which names the argument."""
    wanted = checked_compression(name, compression)
    return FORMATS[name], wanted

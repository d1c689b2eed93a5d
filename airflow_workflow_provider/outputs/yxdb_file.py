"""Alteryx database files (.yxdb, the format of the original engine) as Arrow columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs import inference
from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.convert import converted
from airflow_workflow_provider.outputs.csv_file import MOST_COLUMNS
from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.outputs.types import UNIT
from airflow_workflow_provider.outputs.yxdb_format import BadFile, Field, YxdbFile
from airflow_workflow_provider.outputs.yxdb_spatial import geojson
from airflow_workflow_provider.protocol.documents import SAFE_DIGITS

ROWS = 10_000  # a batch at most
BATCH = 16 << 20  # bytes of a batch; one record more may come
_DECIMAL128, _DECIMAL256 = 38, 76  # digits

# https://help.alteryx.com/current/en/designer/data-types.html; spatial objects become GeoJSON text.
_TYPES: dict[str, tuple[pa.DataType, Kind]] = {
    "Bool": (pa.bool_(), Kind.BOOL),
    "Byte": (pa.uint8(), Kind.INT),
    "Int16": (pa.int16(), Kind.INT),
    "Int32": (pa.int32(), Kind.INT),
    "Int64": (pa.int64(), Kind.INT),
    "Float": (pa.float32(), Kind.NUMBER),
    "Double": (pa.float64(), Kind.NUMBER),
    "Date": (pa.date32(), Kind.DATE),
    "DateTime": (pa.timestamp(UNIT), Kind.DATETIME),
    "Time": (pa.time64(UNIT), Kind.TEXT),
    "Blob": (pa.binary(), Kind.BINARY),
}


def read_yxdb(file: BinaryIO, wanted: Wanted) -> Iterator[Raw]:
    """Give the records as raw batches. Raises `OutputUnavailable` when it is no such file, or breaks off."""
    try:
        source = YxdbFile(file)
    except BadFile as error:
        raise OutputUnavailable(
            f"{wanted.where}the file is not a .yxdb file of the original engine: {error}"
        ) from error
    names = [field.name for field in source.fields]
    _check_names(names, wanted.where)
    kept = wanted.of(names)
    fields = {name: source.fields[names.index(name)] for name in kept}
    readers = [source.readers[names.index(name)] for name in kept]
    records = _records(source, wanted.where)
    first_row, is_first = 1, True
    while (rows := _batch(records)) or is_first:
        arrays, stats = [], {}
        for name, read in zip(kept, readers, strict=True):
            values = _values(rows, read, name, first_row, wanted.where)
            arrays_of, stats[name] = _column(values, fields[name], first_row, wanted.where)
            arrays.append(arrays_of)
        yield Raw(pa.RecordBatch.from_arrays(arrays, names=kept), stats, tuple(names))
        first_row, is_first = first_row + len(rows), False


def _check_names(names: list[str], where: str) -> None:
    if not names or len(names) > MOST_COLUMNS:
        raise OutputUnavailable(f"{where}the .yxdb file has {len(names):,} fields; 1 to {MOST_COLUMNS:,} are allowed")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise OutputUnavailable(f"{where}the .yxdb file has the field {twice!r} twice")


def _batch(records: Iterator[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Take some records, bounded in number and in size."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    for record in islice(records, ROWS):
        rows.append(record)
        size += len(record[-1])
        if size >= BATCH:
            break
    return rows


def _records(source: YxdbFile, where: str) -> Iterator[tuple[Any, ...]]:
    row = 0
    try:
        for record in source.records():
            row += 1
            yield record
    except (WorkflowError, GeneratorExit):
        raise
    except (BadFile, EOFError) as error:
        raise OutputUnavailable(f"{where}the .yxdb file breaks off or is damaged after row {row}: {error}") from error


def _values(rows: list[tuple[Any, ...]], read: Any, name: str, first_row: int, where: str) -> list[Any]:
    made = []
    for row, record in enumerate(rows, first_row):
        try:
            made.append(read(record))
        except ValueError as error:
            raise OutputUnavailable(f"{where}column {name!r}, row {row}: the value cannot be read: {error}") from error
    return made


def _type_of(field: Field) -> tuple[pa.DataType, Kind]:
    if field.type != "FixedDecimal":
        return _TYPES.get(field.type, (pa.string(), Kind.TEXT))
    digits = max(field.size or 19, field.scale, 1)
    if digits <= _DECIMAL128:
        return pa.decimal128(digits, field.scale), Kind.NUMBER
    return (pa.decimal256(digits, field.scale), Kind.NUMBER) if digits <= _DECIMAL256 else (pa.string(), Kind.TEXT)


def _column(values: list[Any], field: Field, first_row: int, where: str) -> tuple[pa.Array, ColumnStats]:
    kind, what = _type_of(field)
    if field.type == "SpatialObj":
        values = _values(values, geojson, field.name, first_row, where)
    if field.type in ("Date", "DateTime", "Time", "FixedDecimal"):
        texts = pa.array([value and value.strip() for value in values], pa.string())
        array = converted(texts, kind, field.name, first_row=first_row, where=where)
    else:
        array = pa.array(values, kind)
    if array.null_count == len(array):
        return array, ColumnStats(fixed=kind)
    return array, _stats(array.drop_null(), kind, what)


def _stats(values: pa.Array, kind: pa.DataType, what: Kind) -> ColumnStats:
    """Tell what is in a column whose type the file declares; it counts where files of other types are united."""
    stats = TEXT if what is Kind.TEXT else ColumnStats(what)
    if what is Kind.INT:
        stats = inference.infer_int(values)
    elif pa.types.is_decimal(kind):
        fits = kind.precision <= SAFE_DIGITS
        stats = ColumnStats(what, kind.precision - kind.scale, kind.scale, fits_float64=fits)
    elif what is Kind.NUMBER:
        stats = inference.infer_decimal_text(values.cast(pa.string())) or ColumnStats(what, finite=False)
    return stats.of_fixed(kind)

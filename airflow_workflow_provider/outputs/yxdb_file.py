"""Alteryx database files (.yxdb, the format of the original engine), read by the optional package `yxdb`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO
from xml.etree import ElementTree as ET

import pyarrow as pa

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs import inference
from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.outputs.types import UNIT
from airflow_workflow_provider.protocol.effects import SAFE_DIGITS

ROWS = 10_000  # a batch

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
    "Blob": (pa.binary(), Kind.BINARY),
}


def read_yxdb(file: BinaryIO, wanted: Wanted) -> Iterator[Raw]:
    """Give the records as raw batches. Raises `OutputUnavailable` when it is no such file, or breaks off."""
    reader = _reader(file, wanted.where)
    types = dict(_fields(reader.meta_info_str))
    names = list(types)
    kept = wanted.of(names)
    records = _records(reader, [names.index(name) for name in kept], wanted.where)
    first = True
    while (rows := list(islice(records, ROWS))) or first:
        values = dict(zip(kept, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
        arrays, seen = [], {}
        for name in kept:
            array, seen[name] = _column(values.get(name, []), *types[name])
            arrays.append(array)
        yield Raw(pa.RecordBatch.from_arrays(arrays, names=kept), seen, tuple(names))
        first = False


def _reader(file: BinaryIO, where: str) -> Any:
    try:
        from yxdb.yxdb_reader import YxdbReader
    except ImportError as error:
        raise WorkflowError(
            f"{where}reading a .yxdb file needs one more package: pip install 'airflow-workflow-provider[yxdb]'"
        ) from error
    try:
        reader = YxdbReader(stream=file)
    except WorkflowError:
        raise
    except Exception as error:  # the package raises plain Exception
        raise OutputUnavailable(f"{where}the file is no .yxdb of the original engine: {error}") from error
    _keep_digits(reader)
    return reader


# Bytes of a field in a record, its null mark included; what has no fixed length is a pointer of four bytes.
_WIDTHS: dict[str, Callable[[int], int]] = {
    "Bool": lambda size: 1,
    "Byte": lambda size: 2,
    "Int16": lambda size: 3,
    "Int32": lambda size: 5,
    "Int64": lambda size: 9,
    "Float": lambda size: 5,
    "Double": lambda size: 9,
    "Date": lambda size: 11,
    "DateTime": lambda size: 20,
    "FixedDecimal": lambda size: size + 1,
    "String": lambda size: size + 1,
    "WString": lambda size: size * 2 + 1,
}


def _keep_digits(reader: Any) -> None:
    """Read a FixedDecimal as the text it is: the package makes a float of it, which loses digits."""
    start = 0
    for index, (kind, size) in enumerate(_layout(reader.meta_info_str)):
        if kind == "FixedDecimal":
            reader._record._extractors[index] = _text_at(start, size)  # noqa: SLF001 (there is no public way)
        start += _WIDTHS[kind](size) if kind in _WIDTHS else 4


def _text_at(start: int, size: int) -> Callable[[memoryview], Decimal | None]:
    def extract(record: memoryview) -> Decimal | None:
        if record[start + size] == 1:
            return None
        return Decimal(record[start : start + size].tobytes().split(b"\0")[0].decode("ascii").strip())

    return extract


def _elements(meta: str) -> list[ET.Element]:
    return list(ET.fromstring(meta).iter("Field"))  # noqa: S314 (expat expands no external entity)


def _layout(meta: str) -> Iterator[tuple[str, int]]:
    for field in _elements(meta):
        yield field.get("type", ""), int(field.get("size") or 0)


def _fields(meta: str) -> Iterator[tuple[str, tuple[str, pa.DataType, Kind]]]:
    for field in _elements(meta):
        word = field.get("type", "")
        if word == "FixedDecimal":
            digits = min(int(field.get("size") or 19), 38)
            kind: tuple[pa.DataType, Kind] = (pa.decimal128(digits, int(field.get("scale") or 0)), Kind.NUMBER)
        else:
            kind = _TYPES.get(word, (pa.string(), Kind.TEXT))
        yield field.get("name", ""), (word, *kind)


def _records(reader: Any, indices: list[int], where: str) -> Iterator[list[Any]]:
    row = 0
    try:
        while reader.next():
            row += 1
            yield [reader.read_index(index) for index in indices]
    except (WorkflowError, GeneratorExit):
        raise
    except Exception as error:
        raise OutputUnavailable(f"{where}the .yxdb file breaks off or is damaged after row {row}: {error}") from error


def _column(values: list[Any], word: str, kind: pa.DataType, what: Kind) -> tuple[pa.Array, ColumnStats]:
    if word == "SpatialObj":
        values = [_geojson(value) for value in values]
    elif word == "Date":
        values = [value and value.date() for value in values]
    elif word == "Blob":
        values = [None if value is None else bytes(value) for value in values]
    array = pa.array(values, kind)
    if array.null_count == len(array):
        return array, ColumnStats(fixed=kind)
    return array, _seen(array.drop_null(), kind, what)


def _seen(values: pa.Array, kind: pa.DataType, what: Kind) -> ColumnStats:
    """Tell what is in a column whose type the file declares; it counts where files of other types are united."""
    seen = TEXT if what is Kind.TEXT else ColumnStats(what)
    if what is Kind.INT:
        seen = inference.infer_int(values)
    elif pa.types.is_decimal(kind):
        seen = ColumnStats(what, kind.precision - kind.scale, kind.scale, fits_float64=kind.precision <= SAFE_DIGITS)
    elif what is Kind.NUMBER:
        seen = inference.infer_decimal_text(values.cast(pa.string())) or ColumnStats(what, finite=False)
    return seen.of_fixed(kind)


def _geojson(value: Any) -> str | None:
    from yxdb.spatial import to_geojson

    return None if value is None else str(to_geojson(value))

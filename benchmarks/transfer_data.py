"""The rows that are moved: ten mixed columns, the same in every run, as CSV, gzip and the JSON pages of a SQL API."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

BLOCK_ROWS = 50_000  # a page of JSON holds as many
SCHEMA = {
    "id": "number",
    "customer": "string",
    "zip": "string",
    "city": "string",
    "note": "string",
    "price": "number",
    "lat": "number",
    "lon": "number",
    "active": "boolean",
    "ordered_at": "timestamp",
}
# What PostgreSQL and the peers are told; ours has to find it out where nothing declares it.
SQL_TYPES = {
    **dict.fromkeys(("id",), "BIGINT"),
    **dict.fromkeys(("customer", "zip", "city", "note"), "TEXT"),
    **dict.fromkeys(("price", "lat", "lon"), "DOUBLE PRECISION"),
    "active": "BOOLEAN",
    "ordered_at": "TIMESTAMP WITH TIME ZONE",
}
_CITIES = ["Reykjavík", "New York, NY", "東京", "São Paulo", "Køge", "Springfield", "Winston-Salem", 'The "Hague"']
_NOTES = ["", "call back", "left at the door, rang twice", 'said "thanks"', "fragile", "2nd floor", "paid", "gift"]


@dataclass(frozen=True)
class Files:
    """What is served. ``csv_bytes`` is the size of the CSV."""

    folder: Path
    rows: int

    @property
    def csv(self) -> Path:
        """All rows as CSV."""
        return self.folder / f"rows_{self.rows}.csv"

    @property
    def gzip(self) -> Path:
        """The same, compressed."""
        return self.folder / f"rows_{self.rows}.csv.gz"

    @property
    def csv_bytes(self) -> int:
        """How big the CSV is."""
        return self.csv.stat().st_size

    def page(self, number: int) -> Path:
        """The answer to the query for one shard, from 0."""
        return self.folder / f"page_{self.rows}_{number}.json"

    @property
    def count(self) -> Path:
        """The answer to ``COUNT(*)``."""
        return self.folder / f"count_{self.rows}.json"

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return -(-self.rows // BLOCK_ROWS)


def make(folder: Path, rows: int, *, with_gzip: bool = True, with_pages: bool = True) -> Files:
    """Write the files."""
    files = Files(folder, rows)
    with files.csv.open("wb") as target:
        for number, block in enumerate(blocks(rows)):
            _write_csv(block, target, header=number == 0)
            if with_pages:
                files.page(number).write_bytes(_page(block))
    if with_gzip:
        with files.csv.open("rb") as source, gzip.open(files.gzip, "wb", compresslevel=1) as target:
            while data := source.read(1 << 20):
                target.write(data)
    files.count.write_text(json.dumps({"rows": [{"n": rows}], "schema": [{"name": "n", "type": "number"}]}))
    return files


def blocks(rows: int) -> Iterator[pa.RecordBatch]:
    """Give the rows; the same numbers give the same rows, whatever the size of the machine."""
    for start in range(0, rows, BLOCK_ROWS):
        yield _block(start, min(BLOCK_ROWS, rows - start))


def _block(start: int, count: int) -> pa.RecordBatch:
    random = np.random.default_rng(start)
    numbers = np.arange(start + 1, start + count + 1)
    zips = pc.utf8_lpad(pa.array(random.integers(501, 99_950, count)).cast(pa.string()), width=5, padding="0")
    seconds = 1_700_000_000 + random.integers(0, 30_000_000, count)
    columns: dict[str, Any] = {
        "id": pa.array(numbers * 7 + 1_000_000),
        "customer": pc.binary_join_element_wise("customer", _codes(random, count), _codes(random, count), "-"),
        "zip": zips,
        "city": pa.array(_CITIES).take(pa.array(random.integers(0, len(_CITIES), count))),
        "note": _some(pa.array(_NOTES).take(pa.array(random.integers(0, len(_NOTES), count))), random, 0.2),
        "price": _some(pa.array(np.round(random.random(count) * 1_000, 2)), random, 0.1),
        "lat": pa.array(np.round(random.random(count) * 180 - 90, 6)),
        "lon": pa.array(np.round(random.random(count) * 360 - 180, 6)),
        "active": pa.array(random.random(count) < 0.5),
        "ordered_at": pc.strftime(pa.array(seconds, pa.timestamp("s", "UTC")), format="%Y-%m-%dT%H:%M:%SZ"),
    }
    return pa.RecordBatch.from_pydict(columns)


def _codes(random: np.random.Generator, count: int) -> pa.Array:
    return pa.array(random.integers(10**6, 10**7, count)).cast(pa.string())


def _some(values: pa.Array, random: np.random.Generator, share: float) -> pa.Array:
    """Let a share of the values be none."""
    return pc.if_else(pa.array(random.random(len(values)) < share), pa.scalar(None, values.type), values)


def _write_csv(block: pa.RecordBatch, target: BinaryIO, *, header: bool) -> None:
    options = pyarrow.csv.WriteOptions(include_header=header, quoting_style="needed")
    pyarrow.csv.write_csv(block, target, options)


def _page(block: pa.RecordBatch) -> bytes:
    schema = [{"name": name, "type": kind} for name, kind in SCHEMA.items()]
    return json.dumps({"rows": block.to_pylist(), "schema": schema}, ensure_ascii=False, separators=(",", ":")).encode()

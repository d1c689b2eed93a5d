"""Rows by partition, in folders named as Hive names them: ``day=2026-01-01/state=VT/``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.outputs.spool import Spool

MOST = 2_000  # partitions of one load
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
MANIFEST = "_manifest.json"  # of a partition
MANIFESTS = "_manifests"  # readers of datasets leave out what begins with an underscore


class Partitions:
    """The rows of a load, kept apart by the values of some columns until all have been read."""

    def __init__(self, reader: pa.RecordBatchReader, names: Sequence[str]) -> None:
        known = reader.schema.names
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            raise InvalidArgument(f"partition_by: there is no column {unknown!r}; there are {', '.join(known)}")
        if len(names) == len(known):
            raise InvalidArgument("partition_by: names every column, so no column is left for the files; leave one out")
        self._names = list(names)
        self.schema = pa.schema([field for field in reader.schema if field.name not in names])
        self._spools: dict[str, Spool] = {}
        for batch in reader:
            self._add(batch)

    @property
    def folders(self) -> list[str]:
        """The partitions' folders, in order."""
        return sorted(self._spools)

    def reader(self, folder: str) -> pa.RecordBatchReader:
        """Give the rows of a partition, once."""
        return pa.RecordBatchReader.from_batches(self.schema, self._spools[folder].replay())

    def _add(self, batch: pa.RecordBatch) -> None:
        keys = pa.Table.from_batches([batch]).select(self._names)
        for values in keys.group_by(self._names).aggregate([]).to_pylist():
            mask: Any = None
            for name in self._names:
                column, value = batch.column(name), values[name]
                is_it = pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)
                mask = is_it if mask is None else pc.and_(mask, is_it)
            folder = "/".join(f"{_safe(name)}={_spelled(values[name])}" for name in self._names)
            if folder not in self._spools and len(self._spools) >= MOST:
                raise InvalidArgument(f"partition_by: more than {MOST} partitions; choose columns with fewer values")
            rows = batch.filter(mask).select(self.schema.names)
            self._spools.setdefault(folder, Spool()).add(rows)


def manifest(result: dict[str, Any], runs: Sequence[str], partition_by: Sequence[str], rows: Sequence[int]) -> bytes:
    """Say which files belong to a load."""
    paths = [result["path"]] if isinstance(result["path"], str) else result["path"]
    hashes = [result["sha256"]] if isinstance(result["sha256"], str) else result["sha256"]
    files = [
        {"path": path, "rows": count, "sha256": digest} for path, count, digest in zip(paths, rows, hashes, strict=True)
    ]
    document = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": list(runs),
        "format": result["format"],
        "partition_by": list(partition_by),
        "rows": result["rows"],
        "files": files,
    }
    return json.dumps(document, indent=1).encode()


def partition_manifest(path: str, rows: int, sha256: str, runs: Sequence[str], name: str) -> bytes:
    """Say which files a partition has now, by their names in its folder."""
    document = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": list(runs),
        "format": name,
        "files": [{"name": path.rpartition("/")[2], "rows": rows, "sha256": sha256}],
    }
    return json.dumps(document, indent=1).encode()


def file_name(runs: Sequence[str], key: str) -> str:
    """Give the name of a load's files, without an ending: the run's id, and what keeps loads of one run apart."""
    first = re.sub(r"[^\w.=-]", "_", runs[0])[:80].lstrip("._") or "run"
    more = f"-and-{len(runs) - 1}-more" if len(runs) > 1 else ""
    return f"{first}{more}-{key[:8]}"


def _safe(text: str) -> str:
    return quote(text, safe=" -_.+")


def _spelled(value: Any) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return _safe(value.isoformat(sep=" ").replace("+00:00", "Z"))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, float)):
        raise InvalidArgument("partition_by: expected columns of text, whole numbers, dates, times or booleans")
    if value == "":
        raise InvalidArgument(
            "partition_by: a row has empty text in a column of partitions, which cannot be the name of a folder"
        )
    return _safe(str(value))

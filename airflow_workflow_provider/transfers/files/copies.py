"""Files that are kept as they come: bytes are copied, packed or unpacked, and no value is read or changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import BinaryIO, cast

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.csv_file import ending_rows, read_csv
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.outputs.gzipped import Unpacked, unpacked_head
from airflow_workflow_provider.outputs.head import peeked
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.outputs.raw import Wanted
from airflow_workflow_provider.outputs.reading import opened, opened_on_wire
from airflow_workflow_provider.outputs.stream import PIECE, Stream
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.transfers.files.storage import Packing, Target
from airflow_workflow_provider.transfers.resolve import ResolvedOutput

Watch = Callable[[int, int], None]
_PREFETCHED = 4  # pieces read while one is written
_HEAD = 1 << 16  # bytes


class NotLines(OutputUnavailable):
    """A file is no JSON lines, or no UTF-8: it has to be read, and written again."""


def keeps_bytes(item: ResolvedOutput, name: str) -> bool:
    """True where the bytes of an output are a file of the format ``name`` already."""
    return name == "raw" or (isinstance(item.source, FileSource) and item.source.format == name != "parquet")


def copy(
    item: ResolvedOutput,
    name: str,
    target: Target,
    watch: Watch,
    *,
    compress: bool,
    csv_options: CsvOptions | None = None,
) -> int | None:
    """Copy an output; give its rows, or None for raw bytes. What is gzip already is not packed again.

    ``csv_options`` say how a CSV file is written, which matters to the check of its first bytes. Raises `NotLines`
    before anything is written.
    """
    if not isinstance(item.source, FileSource) or (name == "raw" and not compress):
        with opened(item.source, item.client, item.where, csv_options) as file:
            return _copied(file, "raw", target, watch, item.where, compress=compress)
    with opened_on_wire(item.source, item.client, csv_options, item.where) as come:
        file, is_gzip = come.file, come.is_gzip
        if name == "csv" and come.encoding != "utf-8":
            raise NotLines(f"the file is written in {come.encoding}")
        if name == "csv" and not come.is_sized:
            file = ending_rows(file, item.where)
        if name == "jsonl":
            head, file = peeked(file, _HEAD)
            _check_lines(unpacked_head(head) if is_gzip else head)
        if not is_gzip:
            return _copied(file, name, target, watch, item.where, compress=compress)
        if compress:  # untouched; that it is whole shows while the rows are counted
            return _counted(cast("BinaryIO", Unpacked(_tee(file, target, watch))), name, item.where)
        return _copied(cast("BinaryIO", Unpacked(file)), name, target, watch, item.where, compress=False)


def _copied(file: BinaryIO, name: str, target: Target, watch: Watch, where: str, *, compress: bool) -> int | None:
    packing = Packing(target) if compress else None
    rows = _counted(_tee(file, packing or target, watch), name, where)
    if packing:
        packing.end()
    return rows


class _Tee(Stream):
    """A stream that writes what is read from it."""

    def __init__(self, file: BinaryIO, target: Target, watch: Watch) -> None:
        self._file, self._target, self._watch = file, target, watch

    def take(self, size: int) -> bytes:
        """Read and write the next bytes."""
        data = self._file.read(size)
        if data:
            self._target.write(data)
            self._watch(0, len(data))
        return data


def _tee(file: BinaryIO, target: Target, watch: Watch) -> BinaryIO:
    return cast("BinaryIO", _Tee(file, target, watch))


def _counted(file: BinaryIO, name: str, where: str) -> int | None:
    """Read a file to its end and count its rows; raises `OutputUnavailable` where it is no such file."""
    if name == "csv":
        wanted = Wanted(columns=frozenset(), where=where, may_be_unparsed=True)
        return sum(raw.num_rows for raw in read_csv(file, wanted))
    rows, last = 0, b""
    with closing(prefetch(_pieces(file), _PREFETCHED)) as pieces:
        for data in pieces:
            if name == "jsonl":
                *whole, last = (last + data).split(b"\n")
                rows += sum(not line.isspace() for line in whole if line)
    if name != "jsonl":
        return None
    if last.strip() and not last.rstrip().endswith(b"}"):
        raise OutputUnavailable(f"{where}the file cannot be read as JSON lines: its last line is cut off")
    return rows + bool(last.strip())


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(PIECE), b"")


def _check_lines(head: bytes) -> None:
    if head.lstrip()[:1] not in (b"{", b""):
        raise NotLines("the file does not hold JSON lines")

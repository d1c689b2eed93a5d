"""Reading one output of a run: as a file, or as Arrow record batches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.outputs.csv_file import read_csv
from airflow_workflow_provider.outputs.download import Download
from airflow_workflow_provider.outputs.gzipped import MAGIC, Unpacked, unpacked_head
from airflow_workflow_provider.outputs.head import buffered, peeked
from airflow_workflow_provider.outputs.json_file import read_json
from airflow_workflow_provider.outputs.pages import JsonLines, read_pages
from airflow_workflow_provider.outputs.raw import Client, FileReader, Raw, Wanted
from airflow_workflow_provider.outputs.table import Columns, Part, table
from airflow_workflow_provider.outputs.yxdb_file import read_yxdb
from airflow_workflow_provider.protocol.results import FileSource, RowSource, Source

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD = 8 << 10  # bytes that a source may look at
_READERS: Mapping[str, FileReader] = {"csv": read_csv, "json": read_json, "jsonl": read_json, "yxdb": read_yxdb}


@contextmanager
def opened(source: Source, client: Client) -> Iterator[BinaryIO]:
    """Open an output as a binary file object: pages as JSON lines, anything else as the server has it."""
    with closing(_file(source, client)) as file:
        yield file


@contextmanager
def packed(source: FileSource, client: Client) -> Iterator[tuple[BinaryIO, bool]]:
    """Open a file for those who can do with gzip: True means that the bytes are gzip, as they came over the wire.

    So they are where the server packs the file on its way, or where the file itself is a ``.gz``.
    """
    with closing(cast("BinaryIO", Download(source, client))) as file:
        head, whole = peeked(file, _HEAD)
        is_gzip = head.startswith(MAGIC)
        if source.check is not None:
            source.check(unpacked_head(head) if is_gzip else head)
        yield whole, is_gzip


def batches(
    source: Source,
    client: Client,
    *,
    columns: Columns = None,
    column_types: Mapping[str, Any] | None = None,
    batch_rows: int = 65_536,
    max_rows: int | None = None,
    where: str = "",
) -> pa.RecordBatchReader:
    """Give an output as Arrow record batches, in memory of about one page; see `table.table`.

    The source is read to its end and closed before this returns, since types must hold over all rows.
    Raises `OutputUnavailable`, also where there are more than ``max_rows``; then the rest is not fetched.
    """
    part = part_of(source, client, where)
    if max_rows is not None:
        part = replace(part, read=partial(_bounded, part, _checked_bound(max_rows)))
    return table([part], columns=columns, column_types=column_types, batch_rows=batch_rows)


def _checked_bound(max_rows: int) -> int:
    """Check a bound on rows; raises `InvalidArgument`."""
    if isinstance(max_rows, bool) or not isinstance(max_rows, int) or max_rows < 0:
        raise InvalidArgument(f"max_rows: expected a number of rows, or None for all, not {max_rows!r}")
    return max_rows


def _bounded(part: Part, most: int, wanted: Wanted) -> Iterator[Raw]:
    rows = 0
    with closing(cast("Any", part.read(wanted))) as raws:
        for raw in raws:
            rows += raw.batch.num_rows
            if rows > most:
                raise OutputUnavailable(f"{part.where}the output has more than the {most:,} rows that max_rows allows")
            yield raw


def part_of(source: Source, client: Client, where: str = "") -> Part:
    """Tell `table.table` how a source is read; raises `OutputUnavailable` for a file that is no table."""
    if isinstance(source, RowSource):
        return Part(partial(read_pages, source, client), where)
    reader = _READERS.get(source.format)
    if reader is None:
        raise OutputUnavailable(
            f"{where}the output is a file in the format {source.format!r}, which cannot be read as a table; "
            "open_output or format='raw' give its bytes"
        )
    return Part(partial(_read_file, source, client, reader), where)


def _read_file(source: FileSource, client: Client, reader: FileReader, wanted: Wanted) -> Iterator[Raw]:
    with closing(_stream(source, client)) as file:
        head, whole = peeked(file, len(MAGIC))
        if head == MAGIC:  # the file itself is a .gz
            whole = cast("BinaryIO", Unpacked(whole))
        yield from reader(whole if reader is read_csv else buffered(whole), wanted)


def _file(source: Source, client: Client) -> BinaryIO:
    if isinstance(source, RowSource):
        return cast("BinaryIO", io.BufferedReader(JsonLines(source, client)))
    return buffered(_stream(source, client))


def _stream(source: FileSource, client: Client) -> BinaryIO:
    """Open a file whose beginning was checked; what the server has packed on its way is unpacked."""
    download = Download(source, client)
    file = cast("BinaryIO", Unpacked(cast("BinaryIO", download)) if download.encoding else download)
    if source.check is None:
        return file
    try:
        head, file = peeked(file, _HEAD)
        source.check(head)
    except BaseException:
        file.close()
        raise
    return file

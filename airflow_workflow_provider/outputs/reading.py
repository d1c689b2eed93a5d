"""Reading one output of a run: as a file, or as Arrow record batches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.outputs.content_check import HEAD, charset_of, check_content
from airflow_workflow_provider.outputs.csv_file import ending_rows, read_csv
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.outputs.download import Download
from airflow_workflow_provider.outputs.gzipped import MAGIC, Unpacked, unpacked_head
from airflow_workflow_provider.outputs.head import buffered, peeked
from airflow_workflow_provider.outputs.json_file import read_json
from airflow_workflow_provider.outputs.pages import JsonLines, read_pages
from airflow_workflow_provider.outputs.raw import Client, FileReader, Raw, Wanted
from airflow_workflow_provider.outputs.spelling import Spelling
from airflow_workflow_provider.outputs.table import Columns, Part, table
from airflow_workflow_provider.outputs.text_encoding import encoding_of, utf8
from airflow_workflow_provider.outputs.yxdb_file import read_yxdb
from airflow_workflow_provider.protocol.results import FileSource, RowSource, Source

if TYPE_CHECKING:
    import pyarrow as pa

_READERS: Mapping[str, FileReader] = {"json": read_json, "jsonl": read_json, "yxdb": read_yxdb}


@contextmanager
def opened(source: Source, client: Client, where: str = "", options: CsvOptions | None = None) -> Iterator[BinaryIO]:
    """Open an output as a binary file object: pages as JSON lines, anything else as the server has it.

    Raises `OutputUnavailable` where the first bytes are certainly no file of the source's format.
    """
    with closing(_file(source, client, where, options)) as file:
        yield file


@contextmanager
def opened_csv(
    source: FileSource, client: Client, options: CsvOptions | None = None, where: str = ""
) -> Iterator[BinaryIO]:
    """Open a CSV file as UTF-8 without a byte order mark; delimiter and quotes stay as they are."""
    given = options or CsvOptions()
    with closing(_stream(source, client, where, given)) as opening:
        file, is_gzip = _unzipped(opening.file)
        if not (opening.is_sized or is_gzip):
            file = ending_rows(file, where)
        yield utf8(file, encoding=given.encoding, declared=charset_of(opening.headers), where=where)


@dataclass(frozen=True)
class WireFile:
    """A file as it came over the wire.

    ``is_gzip`` is True where the server has packed the file on its way, or where the file itself is a ``.gz``.
    ``encoding`` is that of its text, ``is_sized`` says that a file which breaks off is noticed.
    """

    file: BinaryIO
    is_gzip: bool
    encoding: str
    is_sized: bool


@contextmanager
def opened_on_wire(
    source: FileSource, client: Client, options: CsvOptions | None = None, where: str = ""
) -> Iterator[WireFile]:
    """Open a file for a reader that can take gzip as it is."""
    download = Download(source, client)
    with closing(cast("BinaryIO", download)) as file:
        head, whole = peeked(file, HEAD)
        is_gzip = head.startswith(MAGIC)
        start = unpacked_head(head) if is_gzip else head
        _check(start, source, download.headers, options, where)
        declared = charset_of(download.headers)
        encoding = encoding_of(start, encoding=options.encoding if options else None, declared=declared)
        yield WireFile(whole, is_gzip, encoding, download.is_sized or is_gzip)


def batches(
    source: Source,
    client: Client,
    *,
    columns: Columns = None,
    column_types: Mapping[str, Any] | None = None,
    csv_options: CsvOptions | Mapping[str, Any] | None = None,
    batch_rows: int = 65_536,
    max_rows: int | None = None,
    where: str = "",
) -> pa.RecordBatchReader:
    """Give an output as Arrow record batches, in memory of about one page; see `table.table`.

    The source is read to its end and closed before this returns, since types must hold over all rows.
    Raises `OutputUnavailable`, also where there are more than ``max_rows``; then the rest is not fetched.
    """
    part = part_of(source, client, where, csv_options)
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
            rows += raw.num_rows
            if rows > most:
                raise OutputUnavailable(f"{part.where}the output has more than the {most:,} rows that max_rows allows")
            yield raw


def part_of(
    source: Source, client: Client, where: str = "", csv_options: CsvOptions | Mapping[str, Any] | None = None
) -> Part:
    """Tell `table.table` how a source is read; raises `OutputUnavailable` for a file that is no table.

    ``csv_options`` say how a CSV file is written; other files, and tables that come in pages, do not need them.
    """
    options = CsvOptions.parse(csv_options)
    if isinstance(source, RowSource):
        return Part(partial(read_pages, source, client), where)
    if source.format == "csv":
        return Part(partial(_read_csv, source, client, options), where, Spelling.of(options))
    reader = _READERS.get(source.format)
    if reader is None:
        raise OutputUnavailable(
            f"{where}the output is a file in the format {source.format!r}, which cannot be read as a table; "
            "open_output or format='raw' give its bytes"
        )
    return Part(partial(_read_file, source, client, reader), where)


def _read_csv(source: FileSource, client: Client, options: CsvOptions, wanted: Wanted) -> Iterator[Raw]:
    with closing(_stream(source, client, wanted.where, options)) as opening:
        file, is_gzip = _unzipped(opening.file)
        is_sized = opening.is_sized or is_gzip
        charset = charset_of(opening.headers)
        with closing(cast("Any", read_csv(file, wanted, options, charset=charset, is_sized=is_sized))) as raws:
            yield from raws


def _read_file(source: FileSource, client: Client, reader: FileReader, wanted: Wanted) -> Iterator[Raw]:
    with closing(_stream(source, client, wanted.where)) as opening:
        yield from reader(buffered(_unzipped(opening.file)[0]), wanted)


def _file(source: Source, client: Client, where: str, options: CsvOptions | None) -> BinaryIO:
    if isinstance(source, RowSource):
        return cast("BinaryIO", io.BufferedReader(JsonLines(source, client)))
    return buffered(_stream(source, client, where, options).file)


@dataclass
class _Opening:
    """A file whose beginning was checked; what the server has packed on its way is unpacked."""

    file: BinaryIO
    headers: Mapping[str, str]
    is_sized: bool

    def close(self) -> None:
        self.file.close()


def _stream(source: FileSource, client: Client, where: str, options: CsvOptions | None = None) -> _Opening:
    download = Download(source, client)
    file = cast("BinaryIO", Unpacked(cast("BinaryIO", download)) if download.encoding else download)
    try:
        head, file = peeked(file, HEAD)
        is_gzip = head.startswith(MAGIC)
        _check(unpacked_head(head) if is_gzip else head, source, download.headers, options, where)
    except BaseException:
        file.close()
        raise
    return _Opening(file, download.headers, download.is_sized)


def _check(head: bytes, source: FileSource, headers: Mapping[str, str], options: CsvOptions | None, where: str) -> None:
    """Look at the first bytes of a file, unpacked. Raises `OutputUnavailable`."""
    if source.check is not None:
        source.check(head)
    is_certain = options is not None and options.delimiter is not None
    check_content(head, source.format, headers, where=where, is_certain=is_certain)


def _unzipped(file: BinaryIO) -> tuple[BinaryIO, bool]:
    """Unpack a file that is itself a ``.gz``; True if it is."""
    head, whole = peeked(file, len(MAGIC))
    return (cast("BinaryIO", Unpacked(whole)), True) if head == MAGIC else (whole, False)

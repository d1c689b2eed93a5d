"""Reading one output of a run: as a file, or as Arrow record batches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.csv_file import read_csv
from airflow_workflow_provider.outputs.head import peeked
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
    """Open an output as a binary file object: a file as the server has it, a table as JSON lines."""
    with closing(_file(source, client)) as file:
        yield file


def batches(
    source: Source,
    client: Client,
    *,
    columns: Columns = None,
    column_types: Mapping[str, Any] | None = None,
    batch_rows: int = 65_536,
    where: str = "",
) -> pa.RecordBatchReader:
    """Give an output as Arrow record batches, in memory of about one page; see `table.table`.

    The source is read to its end and closed before this returns, since types must hold over all rows.
    Raises `OutputUnavailable`.
    """
    part = part_of(source, client, where)
    return table([part], columns=columns, column_types=column_types, batch_rows=batch_rows)


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
    with opened(source, client) as file:
        yield from reader(file, wanted)


def _file(source: Source, client: Client) -> BinaryIO:
    if isinstance(source, RowSource):
        return cast("BinaryIO", io.BufferedReader(JsonLines(source, client)))
    response = client.run(source.flow())
    file = cast("BinaryIO", response.raw or io.BytesIO(response.body))
    if source.check is None:
        return file
    try:
        head, file = peeked(file, _HEAD)
        source.check(head)
    except BaseException:
        file.close()
        raise
    return file

"""CSV as text columns; Arrow parses it while it comes.

UTF-8 with or without its mark, comma, RFC 4180 quotes with line breaks inside. An empty field is no value; a quoted
empty field is the empty text where its column is text, and no value where it is not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.head import peeked
from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.outputs.scan import scan_text
from airflow_workflow_provider.outputs.seen import TEXT, Seen

BLOCK = 4 << 20  # bytes; no row may be longer, and memory grows with it
_HEADER = 1 << 20  # bytes; no header may be longer


def read_csv(file: BinaryIO, wanted: Wanted) -> Iterator[Raw]:
    """Give the file block by block. Raises `OutputUnavailable` when it is no CSV."""
    head, file = peeked(file, _HEADER)
    names = _header(head, wanted.where)
    kept = wanted.of(names)
    if len(head) < _HEADER and not head.endswith(b"\n"):
        file = io.BytesIO(head + b"\n")  # Arrow takes a header without a line end for an empty file
    empty = pa.schema([(name, pa.string()) for name in kept])
    yield Raw(pa.RecordBatch.from_pylist([], empty), dict.fromkeys(kept, Seen()), tuple(names))
    try:
        reader = _reader(file, names, kept)
        for batch in reader:
            yield Raw(batch, {name: _seen(name, batch.column(name), wanted) for name in kept}, tuple(names))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        said = f"a row is longer than {BLOCK >> 20} MB" if "straddling" in str(error) else str(error)
        raise OutputUnavailable(f"{wanted.where}the file cannot be read as CSV: {said}") from error


def _seen(name: str, texts: pa.Array, wanted: Wanted) -> Seen:
    return TEXT if wanted.is_settled(name) else scan_text(texts, quoted_numbers=True)


def _reader(file: BinaryIO, names: list[str], kept: list[str]) -> pyarrow.csv.CSVStreamingReader:
    return pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(block_size=BLOCK),
        # In a file of one column an empty line is a row without a value.
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=kept,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _header(head: bytes, where: str) -> list[str]:
    text = head.decode("utf-8-sig", errors="replace")
    names = next(csv.reader(io.StringIO(text, newline="")), None)
    if not names:
        raise OutputUnavailable(f"{where}the file has no header: {'it is empty' if not head else 'its first line is'}")
    if "\ufffd" in "".join(names):
        raise OutputUnavailable(f"{where}the header of the file is not UTF-8")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OutputUnavailable(f"{where}the file has the column {twice!r} twice")
    return names

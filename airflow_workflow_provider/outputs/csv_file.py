"""CSV as text columns; Arrow parses it while it comes.

UTF-8 with or without its mark, comma, RFC 4180 quotes with line breaks inside. An empty field is no value; a quoted
empty field is the empty text where its column is text, and no value where it is not.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.csv

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats
from airflow_workflow_provider.outputs.head import peeked
from airflow_workflow_provider.outputs.inference import infer_text
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.outputs.raw import Raw, Wanted

BLOCK = 4 << 20  # bytes; no row may be longer, and memory grows with it
_HEADER = 1 << 20  # bytes; no header may be longer
_PIECE = 1 << 18  # bytes read at once
_BLOCKS_PREFETCHED = 6
_PATIENCE = 1.0  # seconds


def read_csv(file: BinaryIO, wanted: Wanted) -> Iterator[Raw]:
    """Give the file block by block. Raises `OutputUnavailable` when it is no CSV."""
    head, file = peeked(file, _HEADER)
    names = _header(head, wanted.where)
    kept = wanted.of(names)
    if len(head) < _HEADER and not head.endswith(b"\n"):
        file = io.BytesIO(head + b"\n")  # Arrow takes a header without a line end for an empty file
    empty = pa.schema([(name, pa.string()) for name in kept])
    yield Raw(pa.RecordBatch.from_pylist([], empty), dict.fromkeys(kept, ColumnStats()), tuple(names))
    blocks = _Blocks(file)
    try:
        # Reading and parsing go on while the last block is looked at.
        with closing(prefetch(_reader(blocks, names, kept))) as batches, blocks:
            for batch in batches:
                yield Raw(batch, {name: _seen(name, batch.column(name), wanted) for name in kept}, tuple(names))
                blocks.used()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        said = f"a row is longer than {BLOCK >> 20} MB" if "straddling" in str(error) else str(error)
        raise OutputUnavailable(f"{wanted.where}the file cannot be read as CSV: {said}") from error


def _seen(name: str, texts: pa.Array, wanted: Wanted) -> ColumnStats:
    return TEXT if wanted.is_settled(name) else infer_text(texts, quoted_numbers=True)


def _reader(blocks: _Blocks, names: list[str], kept: list[str]) -> pyarrow.csv.CSVStreamingReader:
    return pyarrow.csv.open_csv(
        blocks,
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


class _Blocks:
    """The file as Arrow's parser reads it, at most some blocks ahead of their use.

    Left alone, Arrow reads dozens of blocks ahead. They lie in its own memory: as Python's bytes they would leave
    holes behind that stay with the process.
    """

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._room = file, threading.Semaphore(_BLOCKS_PREFETCHED)
        self._gone = False

    def read(self, size: int) -> pa.Buffer:
        """Give so many bytes; fewer only at the end."""
        # Not every block makes a batch, so this may not wait for ever.
        if not self._gone:
            self._room.acquire(timeout=_PATIENCE)
        block = pa.allocate_buffer(size)
        filled = 0
        with memoryview(block).cast("B") as view:
            while filled < size and (data := self._file.read(min(_PIECE, size - filled))):
                view[filled : filled + len(data)] = data
                filled += len(data)
        return block if filled == size else block.slice(0, filled)

    def used(self) -> None:
        """Let one more be read."""
        self._room.release()

    def __enter__(self) -> Self:
        """Blocks are used from here on."""
        return self

    def __exit__(self, *error: object) -> None:
        """Nobody uses blocks any more: do not wait for it."""
        self._gone = True
        self._room.release(_BLOCKS_PREFETCHED)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def close(self) -> None:
        """Leave the file to its owner."""


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

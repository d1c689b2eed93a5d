"""One CSV file on its way into ``COPY``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.csv

from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats
from airflow_workflow_provider.outputs.csv_grammar import (
    ANYTHING,
    AnyRows,
    Block,
    ended,
    has_mark,
    kept_type,
    pattern_of,
    whole_rows,
)
from airflow_workflow_provider.outputs.inference import infer_text
from airflow_workflow_provider.outputs.reading import opened
from airflow_workflow_provider.transfers.harvest import Harvested
from airflow_workflow_provider.transfers.sinks.copy_check import Check
from airflow_workflow_provider.transfers.sinks.sql_rows import Misfit

BLOCK = 1 << 21  # bytes that are checked at a time
SAMPLE = 1 << 19  # bytes that types are guessed from
_MARK = b"\xef\xbb\xbf"
_ANY_ROWS = AnyRows()


class CsvPart:
    """A file whose header was read. ``first_line`` is the number of its first row's line; a context manager."""

    def __init__(self, item: Harvested) -> None:
        self.where = item.where
        self._open = ExitStack()
        try:
            file: BinaryIO = self._open.enter_context(opened(item.source, item.client))
            head = file.read(SAMPLE)
            header = _header(head)
            self.names = _names(header)
        except BaseException:
            self._open.close()
            raise
        self.first_line = header.count(b"\n") + 1
        self._certain: Block = _ANY_ROWS
        self._blocks = whole_rows(file, head[len(header) :], BLOCK, self._is_certain)
        self._begun: tuple[bytes, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def sample(self, types: Mapping[str, pa.DataType]) -> dict[str, ColumnStats]:
        """Tell what the first rows hold; columns whose type is settled are not looked at."""
        first, is_plain = next(self._blocks, (b"", True))
        if not is_plain:
            raise Misfit("the file is no plain CSV")
        self._begun = (first,) if first else ()
        texts = _texts(first, self.names)
        return {name: TEXT if name in types else _look(texts.column(name)) for name in self.names}

    def checked(self, checks: Mapping[str, Check], seen: dict[str, ColumnStats]) -> Iterator[bytes]:
        """Give the rows as they are, block by block. Raises `Misfit`; ``seen`` is added to."""
        self._certain = _pattern(self.names, checks, seen)
        begun = ((block, self._certain.holds(ended(block))) for block in self._begun)
        for block, is_certain in chain(begun, self._blocks):
            if has_mark(block):
                raise Misfit("a line begins with \\.")
            if not is_certain and self._looked(block, checks, seen):
                self._certain = _pattern(self.names, checks, seen)
            yield block

    def _is_certain(self, rows: bytes) -> bool:
        return self._certain.holds(rows)

    def _looked(self, block: bytes, checks: Mapping[str, Check], seen: dict[str, ColumnStats]) -> bool:
        """Look at each value of a block; True if the pattern may accept more from now on."""
        whole = ended(block)
        settled = Block(ANYTHING if checks[name].is_found_out else checks[name].pattern for name in self.names)
        if not _ANY_ROWS.holds(whole):
            raise Misfit("the file is no plain CSV")
        if not settled.holds(whole):
            raise Misfit("a value is not of its column's type, or a row has too many fields or too few")
        found = _texts(block, self.names)
        looked = {name: seen[name] | _look(found.column(name)) for name in self.names if checks[name].is_found_out}
        changed = [name for name, one in looked.items() if one.nanoseconds or kept_type(one) != kept_type(seen[name])]
        has_grown = any(one.kind is not seen[name].kind for name, one in looked.items())
        seen.update(looked)
        if changed:
            kinds = ", ".join(f"{name!r} is {kept_type(seen[name])}" for name in changed)
            raise Misfit(f"the first rows had other types: {kinds}", is_learnt=True)
        return has_grown


def _pattern(names: list[str], checks: Mapping[str, Check], seen: Mapping[str, ColumnStats]) -> Block:
    return Block(pattern_of(seen[name]) if checks[name].is_found_out else checks[name].pattern for name in names)


def _look(texts: pa.ChunkedArray) -> ColumnStats:
    return infer_text(texts.combine_chunks(), quoted_numbers=True)


def _header(head: bytes) -> bytes:
    """Give the first row with its line end and the mark before it."""
    end = head.find(b"\n") + 1
    while end and head.count(b'"', 0, end) % 2:
        end = head.find(b"\n", end) + 1
    return head[:end] if end else head


def _names(header: bytes) -> list[str]:
    if not header or not _ANY_ROWS.holds(ended(header.removeprefix(_MARK))):
        raise Misfit("the file has no plain header")
    try:
        text = header.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Misfit("the header is not UTF-8") from error
    names = next(csv.reader(io.StringIO(text, newline="")), [])
    if not names or "" in names or len(set(names)) < len(names):
        raise Misfit("a column has no name, or one that another has too")
    return names


def _texts(block: bytes, names: list[str]) -> Any:
    """Parse rows as text, as `outputs.csv_file` does."""
    try:
        return pyarrow.csv.read_csv(
            io.BytesIO(block),
            read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=max(len(block), 1), use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if block:
            raise Misfit(f"the file cannot be read as CSV: {error}") from error
        return pa.table({name: pa.array([], pa.string()) for name in names})

"""CSV as text columns.

A file is UTF-8 (or what `text_encoding` makes UTF-8), with a header and a delimiter, and quotes that are doubled within
a field; line breaks may stand within quotes. It is cut into blocks of whole rows, each of which has to obey the grammar
of `csv_grammar`; then Arrow parses it. What has no certain reading is `OutputUnavailable`, with row and column.

An empty field is no value; a quoted empty field is the empty text where its column is text, and no value where it is
not.
"""

from __future__ import annotations

import csv
import io
import re
import struct
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.csv

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.content_check import SENTENCE
from airflow_workflow_provider.outputs.csv_grammar import (
    LONGEST_ROW,
    UNCLOSED,
    Block,
    Dialect,
    Problem,
    ended,
    unchanging_rows,
)
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.outputs.head import with_head
from airflow_workflow_provider.outputs.inference import infer_text
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.outputs.spelling import Spelling
from airflow_workflow_provider.outputs.stream import Stream
from airflow_workflow_provider.outputs.text_encoding import utf8
from airflow_workflow_provider.outputs.types import UNIT, ZONE

BLOCK = 4 << 20  # bytes that are parsed at a time; a longer row makes a longer block
MOST_COLUMNS = 20_000
_HEADER = 1 << 20  # bytes; no header may be longer
_HEADER_LINES = 200  # a header with more line breaks in its names is none
_PREFETCHED = 2  # blocks
_SAMPLE_ROWS = 50
_MOST_CERTAIN = 100  # columns; the pattern of more takes too much memory
_MOST_MISSES = 4  # blocks one after the other that no pattern fits, although they bring nothing new
_PLACE = re.compile(r"CSV column #(\d+)")  # of a value that Arrow cannot convert
# What a column's values were seen to be, and the types into which Arrow's parser reads them as `convert` does.
_DIRECT: Mapping[Kind, frozenset[pa.DataType]] = {
    Kind.BOOL: frozenset({pa.bool_()}),
    Kind.INT: frozenset({pa.int64(), pa.float64()}),
    Kind.NUMBER: frozenset({pa.float64()}),
    Kind.DATE: frozenset({pa.date32(), pa.timestamp(UNIT)}),
    Kind.DATETIME: frozenset({pa.timestamp(UNIT)}),
    Kind.TIMESTAMP: frozenset({pa.timestamp(UNIT, ZONE)}),
}
_OTHER_DELIMITERS = ";\t|^~:\x01\x1f"


def read_csv(
    file: BinaryIO, wanted: Wanted, options: CsvOptions | None = None, *, charset: str = "", is_sized: bool = True
) -> Iterator[Raw]:
    """Give the file block by block. Raises `OutputUnavailable` when it is no CSV.

    ``charset`` is the encoding that the server declares. ``is_sized`` says that a file which breaks off is noticed;
    otherwise the last row needs its line end.
    """
    reader = _CsvReader(file, wanted, options or CsvOptions(), charset, is_sized=is_sized)
    yield from reader.raws()


class _CsvReader:
    """One pass over a file."""

    def __init__(self, file: BinaryIO, wanted: Wanted, options: CsvOptions, charset: str, *, is_sized: bool) -> None:
        self._wanted, self._options, self._where, self._is_sized = wanted, options, wanted.where, is_sized
        self._dialect = Dialect(options.separator, options.quote, options.escape or "")
        if self._dialect.escape == self._dialect.quote:
            self._dialect = Dialect(options.separator, options.quote)
        self._file = utf8(file, encoding=options.encoding, declared=charset, where=self._where)
        self._spelling = Spelling.of(options)
        self._names: list[str] = []
        self._header_lines = self._row = 1  # the number of the row that comes next
        self._kept: list[int] = []
        self._seen: dict[str, ColumnStats] = {}
        self._certain: Block | None = None
        self._misses = 0
        self._unparsable: set[int] = set()  # columns that are parsed as text, and converted

    def raws(self) -> Iterator[Raw]:
        head = self._header()
        names = tuple(self._names)
        kept = [names[index] for index in self._kept]
        empty = pa.schema([(name, pa.string()) for name in kept])
        yield Raw(pa.RecordBatch.from_pylist([], empty), dict.fromkeys(kept, ColumnStats()), names)
        # The next block is read, checked and looked at while the last one is kept.
        with closing(prefetch(self._raws(head, kept), _PREFETCHED)) as raws:
            yield from raws

    def plain_rows(self) -> tuple[list[str], int, BinaryIO]:
        head = self._header()
        return self._names, self._header_lines + 1, with_head(head, self._file)

    def _stats(self, name: str, texts: pa.Array) -> ColumnStats:
        if self._wanted.is_settled(name):
            return TEXT
        return self._spelling.infer(texts) if self._spelling else infer_text(texts, quoted_numbers=True)

    # -- the header ---------------------------------------------------------------------------------------------

    def _header(self) -> bytes:
        """Read the names of the columns; give the bytes behind them that were read."""
        data = self._skipped()
        end = 0
        while not (end := self._first_row_end(data)) and len(data) <= _HEADER:
            more = self._read(_HEADER)
            if not more:
                end = len(data)
                break
            data += more
        row = data[:end]
        self._header_lines = max(row.count(b"\n"), 1)
        if not row.strip(b"\r\n"):
            raise self._error(f"the file has no header: {'it is empty' if not data else 'its first line is'}")
        fields = self._fields(row)
        self._check_delimiter(data, fields)
        self._names = fields if self._options.has_header else [f"column_{k}" for k in range(1, len(fields) + 1)]
        self._check_names(row)
        if self._options.has_header and end == len(data) and not self._wanted_more(data):
            self._check_message(fields)
        wanted = set(self._wanted.of(self._names))
        self._kept = [index for index, name in enumerate(self._names) if name in wanted]
        if not self._wanted.columns and self._wanted.columns is not None:
            self._kept = self._kept[:1]  # the rows are counted; the column may be there twice
        return data[end:] if self._options.has_header else data

    def _wanted_more(self, data: bytes) -> bytes:
        """Read on where the header is all that was read so far; its own bytes stay the header."""
        more = self._read(BLOCK)
        if more:
            self._file = with_head(more, self._file)
        return more

    def _skipped(self) -> bytes:
        """Leave out the lines before the header; give the first bytes that follow."""
        data, left = self._read(_HEADER), self._options.skip_rows
        while left:
            end = data.find(b"\n") + 1
            if end:
                data, left = data[end:], left - 1
                continue
            more = self._read(_HEADER)
            if not more or len(data) > LONGEST_ROW:
                raise self._error(f"the file ends within the {self._options.skip_rows} lines that skip_rows leaves out")
            data += more
        return data

    def _first_row_end(self, data: bytes) -> int:
        """Give the place behind the first row; 0 where its end is not in sight."""
        end = data.find(b"\n") + 1
        tries = 0
        while end and self._dialect.whole_rows(data[:end]) != end:
            end, tries = data.find(b"\n", end) + 1, tries + 1
            if tries > _HEADER_LINES:
                return end  # `_fields` says what is wrong with it
        return end

    def _fields(self, row: bytes) -> list[str]:
        if len(row) > _HEADER:
            raise self._error(f"the header is longer than {_HEADER >> 20} MB; {self._hint('a quote may be open')}")
        problem = self._dialect.problem(ended(row))
        if problem is not None:
            raise self._error(f"field {problem.field + 1} of the header: {problem.reason}; {self._hint()}")
        try:
            text = row.decode()
        except UnicodeDecodeError as error:
            raise self._error(
                "the header of the file is not UTF-8; csv_options={'encoding': …} names its encoding"
            ) from error
        fields = [_plain(one) for one in self._split(text)]
        if len(fields) > MOST_COLUMNS:
            raise self._error(f"the file has {len(fields):,} columns; at most {MOST_COLUMNS:,} are allowed")
        return fields

    def _split(self, text: str) -> list[str]:
        dialect = self._dialect
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            escapechar=dialect.escape or None,
        )
        try:
            return next(reader, [])
        except csv.Error as error:
            raise self._error(f"the header cannot be read: {error}") from error

    def _check_names(self, row: bytes) -> None:
        asked = self._wanted.columns
        remedy = (
            "columns=[…] chooses among the others, and csv_options={'skip_rows': "
            f"{self._options.skip_rows + 1}, 'has_header': False}} names all columns column_1, column_2 …"
        )
        if asked is None and "" in self._names:
            place = self._names.index("") + 1
            raise self._error(f"column {place} has no name in the header; the columns need names: {remedy}")
        counts = Counter(self._names)
        twice = next((name for name in self._names if counts[name] > 1 and (asked is None or name in asked)), None)
        if twice is not None:
            raise self._error(f"the file has the column {twice!r} twice; {remedy}")

    def _check_delimiter(self, data: bytes, fields: Sequence[str]) -> None:
        """Refuse a file that another delimiter splits as well or better, unless the delimiter was given."""
        if self._options.delimiter is not None:
            return
        first = next(iter(data.splitlines()), b"").decode(errors="replace")
        if first.strip().lower().startswith("sep=") and len(first.strip()) <= len("sep=x"):
            mark = first.strip()[4:] or "\t"
            raise self._error(
                f"its first line {first!r} names the delimiter; csv_options={{'delimiter': {mark!r}, 'skip_rows': 1}} "
                "reads it"
            )
        sample = [_outside(line) for line in self._sample(data)]
        for mark in _OTHER_DELIMITERS:
            counts = [line.count(mark) for line in sample]
            if not counts or not counts[0]:
                continue
            is_same = len(set(counts)) == 1
            likely = len(fields) == 1 and mark not in ":^~" and (len(counts) == 1 or any(counts[1:]))
            if (is_same and len(counts) > 1) or likely:
                raise self._error(
                    f"its delimiter is not certain: the header has {counts[0]} times {mark!r}, and so have the rows; "
                    f"csv_options={{'delimiter': {mark!r}}} or {{'delimiter': ','}} says which it is"
                )

    def _sample(self, data: bytes) -> list[str]:
        """Give the first rows of the file as text; a last one that may be cut is left out."""
        lines: list[str] = []
        at = 0
        while at < len(data) and len(lines) <= _SAMPLE_ROWS:
            end = self._first_row_end(data[at : at + _HEADER // 4])
            if not end:
                if len(data) < _HEADER:
                    lines.append(data[at:].decode(errors="replace"))
                break
            line = data[at : at + end]
            at += end
            if line.strip():
                lines.append(line.decode(errors="replace"))
        return lines

    def _check_message(self, fields: Sequence[str]) -> None:
        """Refuse a line of plain words: an error message is likelier than a table without rows."""
        is_sentence = any(len(name.split()) >= SENTENCE for name in fields)
        if self._options.delimiter is None and (is_sentence or (len(fields) == 1 and " " in fields[0].strip())):
            raise self._error(
                f"it holds one line, which looks like a message: {', '.join(fields)[:200]!r}; "
                "csv_options={'delimiter': ','} reads it as the header of a table without rows"
            )

    # -- the rows -----------------------------------------------------------------------------------------------

    def _raws(self, head: bytes, kept: Sequence[str]) -> Generator[Raw]:
        names = tuple(self._names)
        self._seen = dict.fromkeys(kept, ColumnStats())
        for data, is_certain in self._blocks(head):
            self._check_utf8(data)
            if is_certain:
                rows = data.count(b"\n")
                yield Raw(_cell(data), {}, names, parse=self._typed, unparsed=rows)
                self._row += rows
                continue
            batch = self._parse(data)
            del data  # it must not stay while the next one is made
            if batch.num_rows:
                seen = {name: self._stats(name, batch.column(name)) for name in kept}
                self._learn(seen)
                yield Raw(batch, seen, names)
            self._row += batch.num_rows
            del batch

    def _learn(self, found: Mapping[str, ColumnStats]) -> None:
        """Add what a block holds; where that is nothing new, no pattern fits this file's blocks."""
        seen = {name: self._seen[name] | one for name, one in found.items()}
        if seen == self._seen:
            self._misses += 1
            return
        self._seen, self._misses = seen, 0
        if self._wanted.may_be_unparsed and self._is_plain:
            columns = (seen.get(name, TEXT) for name in self._names)
            self._certain = unchanging_rows(columns, self._dialect)

    @property
    def _is_plain(self) -> bool:
        """True if numbers, times and missing values are written as by default, and a pattern is not too big."""
        return self._spelling is None and not self._options.null_values and len(self._names) <= _MOST_CERTAIN

    def _certain_rows(self, block: bytes) -> int:
        """Give the length of the whole rows of a block if they certainly change nothing of what was seen; else 0."""
        if self._certain is None or self._misses >= _MOST_MISSES:
            return 0
        end = block.rfind(b"\n") + 1
        return end if end and self._certain.holds(block if end == len(block) else block[:end]) else 0

    def _blocks(self, head: bytes) -> Iterator[tuple[bytes, bool]]:
        """Give the rest of the file in blocks of whole rows, and whether they are certain; see `_certain_rows`.

        Raises `OutputUnavailable` for what is no row.
        """
        left = head
        # Twice as much each time where no row ends, so that one huge row is not looked at over and over.
        while data := self._read(min(max(BLOCK, len(left)), LONGEST_ROW + 1 - len(left))):
            block = left + data if left else data
            certain = self._certain_rows(block)
            end = certain or self._dialect.whole_rows(block)
            if end:
                yield (block[:end] if end < len(block) else block), bool(certain)
            left = block[end:]
            # A part of a row is read on; more than that is a row that can never end.
            if left and (end or len(left) > len(data)):
                self._check_unfinished(left)
        if left:
            if not left.endswith(b"\n") and not self._is_sized:
                raise _cut_off(left, self._where)
            left = ended(left)
        while left:
            certain = self._certain_rows(left)
            end = certain or self._dialect.whole_rows(left)
            if not end and self._dialect.whole_rows(left + b"\n"):  # its line end is escaped, and part of the value
                left += b"\n"
                end = len(left)
            if not end:
                raise self._refused(self._dialect.problem(left, len(self._names)) or Problem(0, 0, UNCLOSED))
            yield left[:end], bool(certain)
            left = left[end:]

    def _read(self, size: int) -> bytes:
        """Give so many bytes; fewer only at the end."""
        parts = []
        while size > 0 and (data := self._file.read(size)):
            parts.append(data)
            size -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _check_unfinished(self, left: bytes) -> None:
        problem = self._dialect.problem(left)
        if problem is not None and not problem.reason.startswith(UNCLOSED) and problem.byte + 2 < len(left):
            raise self._refused(problem)
        if len(left) > LONGEST_ROW:
            raise self._error(
                f"row {self._row:,}: a row is longer than {LONGEST_ROW >> 20} MB, or a quote is not closed; it begins "
                f"{left[:60].decode(errors='replace')!r}"
            )

    def _check_utf8(self, data: bytes) -> None:
        if _is_utf8(data):
            return
        try:
            data.decode()
        except UnicodeDecodeError as error:
            row, field = self._dialect.row_of(data, error.start)
            raise self._error(
                f"{self._place(row, field)}: invalid UTF8 (byte 0x{data[error.start]:02x}); "
                "csv_options={'encoding': …} names the encoding"
            ) from error

    def _typed(self, data: pa.Buffer, final: Mapping[str, pa.DataType]) -> pa.RecordBatch:
        """Parse rows that were certain, into their final types as far as that gives what a conversion would give."""
        types = {
            str(index): final[name]
            for index in self._kept
            if final.get(name := self._names[index]) in _DIRECT.get(self._seen[name].kind, ())
            and index not in self._unparsable
        }
        while types:
            try:
                return self._parsed(data, types)
            except pa.ArrowInvalid as error:  # such as empty text in quotes, where a number may be
                found = _PLACE.search(str(error))
                failed = [found[1]] if found and found[1] in types else list(types)
                self._unparsable.update(map(int, failed))
                types = {index: kind for index, kind in types.items() if index not in failed}
        return self._parsed(data, {})

    def _parse(self, data: bytes) -> pa.RecordBatch:
        if len(self._names) > 1 and not data.strip(b"\r\n"):
            return self._parsed(pa.py_buffer(b""), {})
        try:
            return self._parsed(pa.py_buffer(data), {})
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            problem = self._dialect.problem(data, len(self._names))
            raise self._refused(problem or Problem(0, 0, str(error))) from error

    def _parsed(self, data: pa.Buffer, types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
        """Parse rows into these types, by the column's number, and text."""
        numbers = [str(index) for index in range(len(self._names))]
        names = [self._names[index] for index in self._kept]
        empty = pa.RecordBatch.from_pylist([], pa.schema([(name, pa.string()) for name in names]))
        if not len(data):
            return empty
        dialect = self._dialect
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            # One block: a line end that Arrow's blocks cut loses a byte (apache/arrow#51368).
            read_options=pyarrow.csv.ReadOptions(column_names=numbers, block_size=len(data) + 1, use_threads=False),
            # In a file of one column an empty line is a row without a value.
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                escape_char=dialect.escape or False,
                newlines_in_values=True,
                ignore_empty_lines=len(numbers) > 1,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,  # it was
                column_types={**dict.fromkeys(numbers, pa.string()), **types},
                include_columns=[str(index) for index in self._kept],
                null_values=["", *self._options.null_values],
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        batches = table.combine_chunks().to_batches()
        if not batches:
            return empty
        return pa.RecordBatch.from_arrays(batches[0].columns, names=names)

    # -- errors -------------------------------------------------------------------------------------------------

    def _place(self, row: int, field: int) -> str:
        name = f"column {self._names[field]!r}" if field < len(self._names) else f"field {field + 1}"
        return f"row {self._row + row:,}, {name}"

    def _refused(self, problem: Problem) -> OutputUnavailable:
        row = f" in {problem.text!r}" if problem.text else ""
        return self._error(f"{self._place(problem.row, problem.field)}: {problem.reason}{row}; {self._hint()}")

    def _hint(self, also: str = "") -> str:
        also = f"{also}; " if also else ""
        return f"{also}csv_options={{'delimiter': …, 'quote': …, 'escape': …}} says how the file is written"

    def _error(self, reason: str) -> OutputUnavailable:
        return OutputUnavailable(f"{self._where}the file cannot be read as CSV: {reason}")


def plain_rows(file: BinaryIO, where: str) -> tuple[list[str], int, BinaryIO]:
    """Read the header of a CSV file in UTF-8 that is written as by default.

    Gives the names of the columns, the number of the line on which the rows begin, and the file from there on. Raises
    `OutputUnavailable`, as `read_csv` does.
    """
    reader = _CsvReader(file, Wanted(where=where), CsvOptions(), "", is_sized=True)
    return reader.plain_rows()


def ending_rows(file: BinaryIO, where: str) -> BinaryIO:
    """Give a file whose last row needs its line end, since nothing else says that the file is whole."""
    return cast("BinaryIO", _EndingRows(file, where))


class _EndingRows(Stream):
    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file, self._where, self._last = file, where, b""

    def take(self, size: int) -> bytes:
        """Read on; raises `OutputUnavailable` at an end that is none."""
        data = self._file.read(size)
        if data:
            self._last = data[-60:]
        elif size and self._last and not self._last.endswith(b"\n"):
            raise _cut_off(self._last, self._where)
        return data

    def close(self) -> None:
        """Close the file as well."""
        if not self.closed:
            self._file.close()
        super().close()


def _cut_off(last: bytes, where: str) -> OutputUnavailable:
    return OutputUnavailable(
        f"{where}the file cannot be read as CSV: the last row has no line end, and the server does not send the "
        f"length of the file, so it may be cut off, at {last[-60:].decode(errors='replace')!r}"
    )


def _cell(data: bytes) -> pa.RecordBatch:
    """Give bytes as a batch of one value, without a copy."""
    offsets = pa.py_buffer(struct.pack("<ii", 0, len(data)))
    cell = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(data)])
    return pa.RecordBatch.from_arrays([cell], names=["rows"])


def _is_utf8(data: bytes) -> bool:
    offsets = pa.py_buffer(struct.pack("<ii", 0, len(data)))
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _outside(line: str) -> str:
    """Give a line without what stands in quotes."""
    return "".join(line.split('"')[::2])


def _plain(name: str) -> str:
    return name.removeprefix("\ufeff")

"""CSV files straight into ``COPY``: their bytes go through unparsed, and are checked on the way.

What makes a table from the first rows' types, or trusts a database to read a field as we would, has to be sure. Each
block of rows is matched with a pattern that accepts what is certain (`outputs.csv_grammar`). A block that it does not
accept is parsed and looked at as every value would be otherwise; where that changes a type, or the file is no plain
CSV, `RestartLoad` starts the load again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.csv_file import plain_rows
from airflow_workflow_provider.outputs.csv_grammar import (
    ANYTHING,
    AnyRows,
    Block,
    ended,
    has_mark,
    kept_type,
    pattern_of,
    pattern_of_type,
    whole_rows,
)
from airflow_workflow_provider.outputs.inference import infer_text
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.outputs.reading import opened_csv
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from airflow_workflow_provider.transfers.sql.columns import ColumnType, Fitting, TargetColumn, Unfit
from airflow_workflow_provider.transfers.sql.copying import is_unfit, placed
from airflow_workflow_provider.transfers.sql.dialects import SqlDialect
from airflow_workflow_provider.transfers.sql.names import TableName
from airflow_workflow_provider.transfers.sql.rows import RestartLoad
from airflow_workflow_provider.transfers.sql.session import SqlSession, same_type
from airflow_workflow_provider.transfers.sql.types import sql_type

_PREFETCHED = 2  # blocks


class CsvRows:
    """CSV files for one table.

    ``chosen`` is source to target column (None: all under their own names), ``types`` the types that the user has
    settled by source column, ``seen`` what earlier attempts have found out, and is added to. `close` it.
    """

    def __init__(
        self,
        group: Sequence[ResolvedOutput],
        chosen: Mapping[str, str] | None,
        types: Mapping[str, pa.DataType],
        seen: dict[str, ColumnStats],
    ) -> None:
        self._open = ExitStack()
        self._group, self._types, self._seen = group, types, seen
        try:
            self._first = self._opened(group[0])
            self._learn(self._first)
            self._chosen = self._checked(chosen)
        except BaseException:
            self.close()
            raise

    @property
    def schema(self) -> pa.Schema:
        """The columns, and the types that the rows seen so far have."""
        kinds = {name: self._types.get(name) or kept_type(self._seen[name]) for name in self._chosen}
        return pa.schema([(target, kinds[source]) for source, target in self._chosen.items()])

    def close(self) -> None:
        """Close what is still open."""
        self._open.close()

    def into(
        self,
        session: SqlSession,
        table: TableName,
        columns: Mapping[str, TargetColumn],
        progress: Progress,
        *,
        typed: bool,
    ) -> None:
        """Copy all files, each by a statement of its own."""
        if not session.can_copy:
            raise RestartLoad("the database has no COPY … FROM STDIN")
        if session.rows("SHOW server_encoding") == [("SQL_ASCII",)]:
            raise RestartLoad("the database does not check encodings")
        if len(columns) != len(self._chosen):
            raise RestartLoad("columns are left out")
        own = {source: columns[target] for source, target in self._chosen.items()}
        checks = (
            checks_for_types(self._seen, self._types, own)
            if typed
            else checks_for_table(session.dialect, self._types, own)
        )
        for number, item in enumerate(self._group):
            part = self._first if number == 0 else self._opened(item)
            self._check_names(part)
            self._copy(session, table, part, checks, progress)
            part.close()

    def _opened(self, item: ResolvedOutput) -> CsvPart:
        return self._open.enter_context(CsvPart(item))

    def _check_names(self, part: CsvPart) -> None:
        """A column that COPY is not given gets its default; one that a file lacks has no value."""
        if set(part.names) != set(self._chosen):
            raise RestartLoad("the files have different columns")

    def _checked(self, chosen: Mapping[str, str] | None) -> dict[str, str]:
        """Give the target of each column; COPY takes all fields of a row or none."""
        if (chosen is not None and set(chosen) != set(self._seen)) or not set(self._types) <= set(self._seen):
            raise RestartLoad("columns are left out")
        return dict(chosen or {name: name for name in self._seen})

    def _learn(self, part: CsvPart) -> None:
        for name, one in part.sample(self._types).items():
            self._seen[name] = self._seen.get(name, ColumnStats()) | one

    def _copy(
        self, session: SqlSession, table: TableName, part: CsvPart, checks: Mapping[str, Check], progress: Progress
    ) -> None:
        before = progress.rows
        # The next blocks are read and checked while the server works on the last one.
        blocks = prefetch(_told(part.checked(checks, self._seen, session.fitting([])), progress), _PREFETCHED)
        columns = [checks[name].column.name for name in part.names]
        filled = [session.quoted(checks[name].column.name) for name in part.names if checks[name].empty_is_null]
        options = "FORMAT csv, NULL '', ENCODING 'UTF8'" + (f", FORCE_NULL ({', '.join(filled)})" if filled else "")
        try:
            with closing(blocks):
                rows = session.copy(table, columns, options, blocks)
        except (WorkflowError, RestartLoad):
            raise
        except Exception as error:
            told = placed(error, "line", lambda line: (part.where, part.first_line + line - 1)) or error
            if is_unfit(error):
                raise RestartLoad(str(told)) from error
            raise told from error
        progress.rows = before + rows


def _told(blocks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    """Count while blocks go by. How many rows they are is known at the end, and estimated until then."""
    rows_per_byte = 0.0
    for block in blocks:
        yield block
        rows_per_byte = rows_per_byte or block.count(b"\n") / len(block)
        progress.add(round(len(block) * rows_per_byte), len(block))


@dataclass(frozen=True)
class Check:
    """One column: where it goes, and what its fields are.

    ``pattern`` accepts what is certain (None: no pattern can tell). ``is_found_out`` says that a field which it does
    not accept may be looked at, ``empty_is_null`` that a quoted empty field is no value either.
    """

    column: TargetColumn
    pattern: str | None
    is_found_out: bool
    empty_is_null: bool


def checks_for_types(
    seen: Mapping[str, ColumnStats], types: Mapping[str, pa.DataType], own: Mapping[str, TargetColumn]
) -> dict[str, Check]:
    """Give the checks for a table that was made for what was seen; ``own`` is its column for each source column."""
    checks = {}
    for name, column in own.items():
        kind = types.get(name)
        pattern = pattern_of(seen[name]) if kind is None else pattern_of_type(kind)
        if kind is not None and pattern is None:
            raise RestartLoad(f"column {name!r} is to be converted to {kind}")
        if kind is None and (seen[name].nanoseconds or seen[name].kind is Kind.BINARY):
            raise RestartLoad(f"column {name!r} has nanoseconds, which the database would round")
        is_text = pa.types.is_string(kind or kept_type(seen[name]))
        checks[name] = Check(column, pattern, kind is None, not is_text)
    return checks


def checks_for_table(
    dialect: SqlDialect, types: Mapping[str, pa.DataType], own: Mapping[str, TargetColumn]
) -> dict[str, Check]:
    """Give the checks for a table that was there: its columns' types say which fields they hold exactly."""
    checks = {}
    for name, column in own.items():
        pattern = field_pattern(column.type)
        settled = types.get(name)
        if settled is not None and not pa.types.is_string(settled):
            pattern = pattern_of_type(settled)
            if pattern is None or not same_type(sql_type(settled, dialect), column.declared):
                raise RestartLoad(f"column {name!r} is to be converted to {settled}")
        checks[name] = Check(column, pattern, False, not column.type.is_text)
    return checks


def field_pattern(kind: ColumnType) -> str | None:
    """Give the pattern of CSV fields that a column certainly holds; None where no pattern can tell."""
    if kind.kind in ("own", "enum", "any") or (kind.kind == "text" and kind.length is None and not kind.padded):
        return ANYTHING
    if kind.kind == "text":
        return None if kind.in_bytes else _NO_BLANK_AT_END
    if kind.kind in ("binary", "closed"):
        return '(?:"")?'
    if kind.kind == "json":
        return _ONE_KEY
    values = kind.pattern
    if values is None:
        return None
    # An array holds commas, so that it stands in quotes.
    return f'(?:"(?:{values})?"|)' if kind.kind == "array" else f'(?:{values}|"(?:{values})?"|)'


# PostgreSQL silently cuts blanks at the end of what is too long; too long without them is an error.
_NO_BLANK_AT_END = r'(?:"(?:(?:[^"]|"")*(?:[^" ]|""))?"|(?:[^",\r\n]*[^",\r\n ])?)'
# JSON with one colon at most, so that no key stands twice in an object.
_ONE_KEY = r'(?:"(?:[^":]|"")*:?(?:[^":]|"")*"|[^",:\r\n\x00]*)'


BLOCK = 1 << 21  # bytes that are checked at a time
SAMPLE = 1 << 19  # bytes that types are guessed from
_MARK = b"\xef\xbb\xbf"
_ANY_ROWS = AnyRows()


class CsvPart:
    """A file whose header was read. ``first_line`` is the number of its first row's line; a context manager."""

    def __init__(self, item: ResolvedOutput) -> None:
        self.where = item.where
        self._open = ExitStack()
        try:
            assert isinstance(item.source, FileSource), "is_csv says so"
            text = self._open.enter_context(opened_csv(item.source, item.client, where=item.where))
            self.names, self.first_line, file = _header(text, item.where)
            head = file.read(SAMPLE)
        except BaseException:
            self._open.close()
            raise
        self._certain: Block = _ANY_ROWS
        self._blocks = whole_rows(file, head, BLOCK, self._is_certain)
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
            raise RestartLoad("the file is no plain CSV")
        self._begun = (first,) if first else ()
        texts = _texts(first, self.names)
        return {name: TEXT if name in types else _look(texts.column(name)) for name in self.names}

    def checked(self, checks: Mapping[str, Check], seen: dict[str, ColumnStats], fitting: Fitting) -> Iterator[bytes]:
        """Give the rows as they are, block by block. Raises `RestartLoad`; ``seen`` is added to."""
        self._certain = _pattern(self.names, checks, seen)
        begun = ((block, self._certain.holds(ended(block))) for block in self._begun)
        for block, is_certain in chain(begun, self._blocks):
            if has_mark(block):
                raise RestartLoad("a line begins with \\.")
            if not is_certain and self._looked(block, checks, seen, fitting):
                self._certain = _pattern(self.names, checks, seen)
            yield block

    def _is_certain(self, rows: bytes) -> bool:
        return self._certain.holds(rows)

    def _looked(
        self, block: bytes, checks: Mapping[str, Check], seen: dict[str, ColumnStats], fitting: Fitting
    ) -> bool:
        """Look at each value of a block; True if the pattern may accept more from now on."""
        whole = ended(block)
        if not _ANY_ROWS.holds(whole) or not Block(ANYTHING for _ in self.names).holds(whole):
            raise RestartLoad("the file is no plain CSV, or a row has too many fields or too few")
        found = _texts(block, self.names)
        for name in self.names:
            _check_settled(found.column(name), checks[name], fitting)
        looked = {name: seen[name] | _look(found.column(name)) for name in self.names if checks[name].is_found_out}
        changed = [name for name, one in looked.items() if one.nanoseconds or kept_type(one) != kept_type(seen[name])]
        has_grown = any(one.kind is not seen[name].kind for name, one in looked.items())
        seen.update(looked)
        if changed:
            kinds = ", ".join(f"{name!r} is {kept_type(seen[name])}" for name in changed)
            raise RestartLoad(f"the first rows had other types: {kinds}", is_learnt=True)
        return has_grown


def _check_settled(texts: pa.ChunkedArray, check: Check, fitting: Fitting) -> None:
    """Refuse what the database would not read as it is spelled, where the column's type is settled."""
    if check.is_found_out:
        return
    for chunk in texts.chunks:
        if check.pattern is not None:
            field = pc.match_substring_regex(chunk, rf"\A(?:{check.pattern})\z")
            if pc.all(pc.fill_null(field, True)).as_py() and not check.column.type.is_text:
                continue
        try:
            fitted = fitting.fitted(chunk, check.column)
        except Unfit as unfit:
            raise RestartLoad(f"column {check.column.name!r}: {unfit.told(check.column)}") from None
        is_same = pa.types.is_string(fitted.type) and fitted.equals(
            chunk if check.column.type.is_text else pc.if_else(pc.equal(chunk, ""), pa.scalar(None, pa.string()), chunk)
        )
        if not is_same:
            raise RestartLoad(f"column {check.column.name!r}: a value is not spelled as the database reads it")


def _pattern(names: list[str], checks: Mapping[str, Check], seen: Mapping[str, ColumnStats]) -> Block:
    return Block(pattern_of(seen[name]) if checks[name].is_found_out else checks[name].pattern for name in names)


def _look(texts: pa.ChunkedArray) -> ColumnStats:
    return infer_text(texts.combine_chunks(), quoted_numbers=True)


def _header(text: BinaryIO, where: str) -> tuple[list[str], int, BinaryIO]:
    """Read the header; give the columns, the line on which the rows begin, and the file from there on."""
    try:
        return plain_rows(text, where)
    except OutputUnavailable as error:
        raise RestartLoad(str(error)) from error  # `columns` may leave out what is wrong


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
            raise RestartLoad(f"the file cannot be read as CSV: {error}") from error
        return pa.table({name: pa.array([], pa.string()) for name in names})

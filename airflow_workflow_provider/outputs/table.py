"""Outputs as one table: every value read once, the types found, then given batch by batch.

Types hold over all rows, so nothing is given before the last row was seen; what came before waits on disk (a
single page in memory). So a source that breaks off is noticed before a target is touched.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs.column_arguments import chosen_columns
from airflow_workflow_provider.outputs.column_stats import ColumnStats
from airflow_workflow_provider.outputs.convert import converted
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.outputs.raw import Parse, Raw, RawReader, Wanted
from airflow_workflow_provider.outputs.spelling import Spelling
from airflow_workflow_provider.outputs.spool import Spool
from airflow_workflow_provider.outputs.types import parse_types

Columns = Sequence[str] | Mapping[str, str] | None
Watch = Callable[[int, int], None]
_PREFETCHED = 4  # batches: a file's row group takes many at once


@dataclass(frozen=True)
class Part:
    """One output: how its raw batches are read, and how errors name it (as in ``"run 7, output 'a': "``).

    ``spelling`` says how its text spells numbers and dates, where that is not as in JSON and ISO 8601.
    """

    read: RawReader
    where: str = ""
    spelling: Spelling | None = None


@dataclass
class _Gathered:
    """What is known after reading: the rows in the spool, all column names in order, what was seen in them."""

    spool: Spool = field(default_factory=Spool)
    seen: dict[str, ColumnStats] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    places: list[tuple[Part, int, Parse | None]] = field(default_factory=list)


def table(
    parts: Sequence[Part],
    *,
    columns: Columns = None,
    column_types: Mapping[str, Any] | None = None,
    texts: Container[str] = frozenset(),
    batch_rows: int = 65_536,
    watch: Watch = lambda rows, size: None,
) -> pa.RecordBatchReader:
    """Read outputs to their end and give them as one table, united by column name.

    :param columns: the columns to keep, in this order, or a mapping from their names to new ones; None keeps all.
    :param column_types: column to Arrow type, by its old or its new name; the others are found out.
    :param texts: columns, by their old names, that are text whatever they hold, unless ``column_types`` names them or
        the source declares their type; there may be fewer.
    :param batch_rows: rows a batch at most.
    :param watch: told the rows and the bytes of each batch that was read.
    """
    if batch_rows < 1:
        raise InvalidArgument(f"batch_rows: expected a number above 0, not {batch_rows!r}")
    chosen = chosen_columns(columns)
    types = _by_source(parse_types(column_types), chosen)
    gathered = _gathered(parts, chosen, types, texts, watch)
    renamed = chosen if chosen is not None else {name: name for name in gathered.names}
    final = {name: types.get(name, gathered.seen.get(name, ColumnStats()).type) for name in renamed}
    schema = pa.schema([(target, final[source]) for source, target in renamed.items()])
    # The next rows are converted while the last ones are written.
    return pa.RecordBatchReader.from_batches(
        schema, prefetch(_batches(gathered, final, schema, batch_rows), _PREFETCHED)
    )


class TypesChanged(WorkflowError):
    """Later rows need other types than the first ones: the output has to be read to its end first."""


def streamed(
    part: Part,
    *,
    columns: Columns = None,
    column_types: Mapping[str, Any] | None = None,
    batch_rows: int = 65_536,
    watch: Watch = lambda rows, size: None,
) -> pa.RecordBatchReader:
    """Give one output while it is read, with the types that its first rows have; arguments as for `table`.

    Every later row is looked at as `table` does. Where one needs another type, or brings a column, the reader raises
    `TypesChanged`, and nothing that was written counts.
    """
    chosen = chosen_columns(columns)
    types = _by_source(parse_types(column_types), chosen)
    gathered = _Gathered()
    raws = _raws(part, gathered, chosen, types, watch)
    first = next(raws, None)  # with rows
    _check_known({**(chosen or {}), **types}, gathered.names, [part])
    renamed = chosen if chosen is not None else {name: name for name in gathered.names}
    final = {name: types.get(name, gathered.seen.get(name, ColumnStats()).type) for name in renamed}
    schema = pa.schema([(target, final[source]) for source, target in renamed.items()])

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal first
        row = 1
        names = len(gathered.names)
        with closing(raws):
            while (raw := first) is not None:
                changed = [
                    name
                    for name, kind in final.items()
                    if name not in types and gathered.seen.get(name, ColumnStats()).type != kind
                ]
                if changed or (chosen is None and len(gathered.names) != names):
                    raise TypesChanged(f"{part.where}later rows have other types or columns: {', '.join(changed)}")
                yield from _converted(raw.batch, raw.parse, part, row, final, schema, batch_rows)
                row += raw.num_rows
                first = raw = None  # it must not stay while the next one is awaited
                first = next(raws, None)

    return pa.RecordBatchReader.from_batches(schema, prefetch(batches(), _PREFETCHED))


def _raws(
    part: Part, into: _Gathered, chosen: dict[str, str] | None, types: Mapping[str, pa.DataType], watch: Watch
) -> Generator[Raw]:
    """Give the rows of an output as they are read; what was seen in them is noted before."""
    columns = frozenset(chosen) if chosen is not None else None
    wanted = Wanted(columns, frozenset(types), frozenset(), into.seen, part.where, may_be_unparsed=True)
    with _described(part), closing(cast("Any", part.read(wanted))) as raws:
        for number, raw in enumerate(raws):
            if not number:
                _check_early(raw, wanted.columns, part)
            _note(raw, into)
            watch(raw.num_rows, raw.batch.nbytes)
            if raw.num_rows:
                yield raw
            del raw  # as above


def _note(raw: Raw, into: _Gathered) -> None:
    into.names.update(dict.fromkeys(raw.names))
    for name, seen in raw.seen.items():
        into.seen[name] = into.seen.get(name, ColumnStats()) | seen


def _by_source(types: dict[str, pa.DataType], chosen: dict[str, str] | None) -> dict[str, pa.DataType]:
    sources = {target: source for source, target in (chosen or {}).items()}
    known = chosen or {}
    return {name if name in known else sources.get(name, name): kind for name, kind in types.items()}


def _gathered(
    parts: Sequence[Part],
    chosen: dict[str, str] | None,
    types: Mapping[str, pa.DataType],
    texts: Container[str],
    watch: Watch,
) -> _Gathered:
    gathered = _Gathered()
    columns = frozenset(chosen) if chosen is not None else None
    try:
        for part in parts:
            wanted = Wanted(columns, frozenset(types), texts, gathered.seen, part.where, may_be_unparsed=True)
            _gather(part, gathered, wanted, watch, single=len(parts) == 1)
        _check_known({**(chosen or {}), **types}, gathered.names, parts)
    except BaseException:
        gathered.spool.close()
        raise
    pa.default_memory_pool().release_unused()  # what reading took must not add to what writing takes
    return gathered


def _gather(part: Part, into: _Gathered, wanted: Wanted, watch: Watch, *, single: bool) -> None:
    row = 1
    # Closed by hand: an error holds on to the reader, and it to a connection and a thread.
    with _described(part), closing(cast("Any", part.read(wanted))) as raws:
        for number, raw in enumerate(raws):
            if single and not number:  # a misspelt column must not cost a whole download, where columns are known
                _check_early(raw, wanted.columns, part)
            _note(raw, into)
            if raw.num_rows:
                into.spool.add(raw.batch)
                into.places.append((part, row, raw.parse))
            row += raw.num_rows
            watch(raw.num_rows, raw.batch.nbytes)


@contextmanager
def _described(part: Part) -> Iterator[None]:
    """Turn what a library says of an output's bytes into an error that names the output."""
    try:
        yield
    except (pa.ArrowException, ArithmeticError, RecursionError, struct.error) as error:
        raise OutputUnavailable(f"{part.where}the output cannot be read: {error}") from error


def _check_early(raw: Raw, columns: frozenset[str] | None, part: Part) -> None:
    if raw.complete and columns:
        _check_known(dict.fromkeys(sorted(columns), ""), dict.fromkeys(raw.names), [part])


def _check_known(asked: Mapping[str, Any], names: Mapping[str, None], parts: Sequence[Part]) -> None:
    unknown = next((name for name in asked if name not in names), None)
    if unknown is not None:
        where = parts[0].where if len(parts) == 1 else ""
        known = ", ".join(map(repr, names)) or "none"
        raise OutputUnavailable(f"{where}there is no column {unknown!r}; the columns are {known}")


def _batches(
    gathered: _Gathered, final: Mapping[str, pa.DataType], schema: pa.Schema, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    for kept, (part, row, parse) in zip(gathered.spool.replay(), gathered.places, strict=True):
        yield from _converted(kept, parse, part, row, final, schema, batch_rows)


def _converted(
    kept: pa.RecordBatch,
    parse: Parse | None,
    part: Part,
    row: int,
    final: Mapping[str, pa.DataType],
    schema: pa.Schema,
    batch_rows: int,
) -> Iterator[pa.RecordBatch]:
    """Give some rows, the first of which is ``row``, in their final types."""
    batch = kept if parse is None else parse(kept.column(0)[0].as_buffer(), final)
    arrays = []
    for name, kind in final.items():
        if name in batch.schema.names:
            array = batch.column(name)
            arrays.append(converted(array, kind, name, first_row=row, where=part.where, spelling=part.spelling))
        else:
            arrays.append(pa.nulls(batch.num_rows, kind))
    made = pa.RecordBatch.from_arrays(arrays, schema=schema)
    for start in range(0, made.num_rows, batch_rows):
        yield made.slice(start, batch_rows)

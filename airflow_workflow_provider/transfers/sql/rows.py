"""The rows for one table, and how they get there: by COPY where the database has it, else by INSERT in batches."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import Any, Protocol

import pyarrow as pa

from airflow_workflow_provider.exceptions import OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs.column_stats import ColumnStats
from airflow_workflow_provider.outputs.convert import converted
from airflow_workflow_provider.outputs.csv_grammar import kept_type
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.outputs.reading import part_of
from airflow_workflow_provider.protocol.results import RowSource
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from airflow_workflow_provider.transfers.source.places import Places
from airflow_workflow_provider.transfers.sql.bulk import LoadData
from airflow_workflow_provider.transfers.sql.columns import Fitting, TargetColumn
from airflow_workflow_provider.transfers.sql.copying import copy_text, placed
from airflow_workflow_provider.transfers.sql.names import TableName
from airflow_workflow_provider.transfers.sql.session import SqlSession

_PREFETCHED = 2  # pieces of a megabyte


class Rows(Protocol):
    """Rows for one table."""

    @property
    def schema(self) -> pa.Schema:
        """The columns, named as the table has them or will have them."""

    def into(
        self,
        session: SqlSession,
        table: TableName,
        columns: Mapping[str, TargetColumn],
        progress: Progress,
        *,
        typed: bool,
    ) -> None:
        """Write all rows into these columns of a table; columns that are not among them are left out.

        ``typed`` says that the table was made for the schema, so that its types must hold for all rows. May raise
        `RestartLoad`; then nothing is to stay.
        """


class RestartLoad(Exception):
    """Rows that were written while they came are not what the first ones promised: the load starts again.

    ``is_learnt`` says that the next attempt knows better; otherwise only reading to the end first can help.
    """

    def __init__(self, why: str, *, is_learnt: bool = False) -> None:
        super().__init__(why)
        self.is_learnt = is_learnt


class ArrowRows:
    """Rows as Arrow record batches of certain types."""

    def __init__(self, reader: pa.RecordBatchReader, places: Places | None = None) -> None:
        self._reader, self._places = reader, places or Places()
        self._before = 0  # rows that were written before, into other tables

    @property
    def schema(self) -> pa.Schema:
        """The reader's own."""
        return self._reader.schema

    @property
    def reader(self) -> pa.RecordBatchReader:
        """The batches, to be read once."""
        return self._reader

    def into(
        self,
        session: SqlSession,
        table: TableName,
        columns: Mapping[str, TargetColumn],
        progress: Progress,
        *,
        typed: bool,
    ) -> None:
        """Write all rows."""
        fitting = session.fitting(list(columns.values()))
        if not columns:
            return
        self._before = progress.rows
        if session.can_copy:
            self._copy(session, table, columns, fitting, progress)
            return
        if isinstance(session.bulk, LoadData):  # whose one statement takes all batches
            self._load(session, session.bulk, table, columns, fitting, progress)
            return
        for batch in self._reader:
            if not batch.num_rows:
                continue
            where, first = self._places.find(progress.rows - self._before + 1)
            fitted = self._fitted(batch, columns, fitting, progress)
            try:
                counted = session.insert(table, list(columns.values()), fitted)
            except WorkflowError:
                raise
            except Exception as error:
                raise WorkflowError(
                    f"{where}rows {first} to {first + batch.num_rows - 1} were refused: {error}"
                ) from error
            if counted not in (-1, batch.num_rows):
                raise WorkflowError(
                    f"{where}the table took {counted} of the rows {first} to {first + batch.num_rows - 1}; a trigger "
                    "or a conflict clause of the table leaves rows out"
                )
            progress.add(batch.num_rows, batch.nbytes)

    def _fitted(
        self, batch: pa.RecordBatch, columns: Mapping[str, TargetColumn], fitting: Fitting, progress: Progress
    ) -> pa.RecordBatch:
        done = progress.rows - self._before  # the progress counts the rows of other tables too
        only = self._places.only
        try:
            return fitting.fit(
                batch.select(list(columns)), lambda row: ("", done + row) if only else self._places.find(done + row)
            )
        except OutputUnavailable as error:
            if only:  # the same value is refused in the same words, whatever the run
                error.add_note(f"It is about {only.removesuffix(': ')}")
            raise

    def _load(
        self,
        session: SqlSession,
        bulk: LoadData,
        table: TableName,
        columns: Mapping[str, TargetColumn],
        fitting: Fitting,
        progress: Progress,
    ) -> None:
        before = progress.rows
        with closing(self._batches(columns, fitting, progress)) as batches:
            counted = bulk.insert_all(session, table, list(columns.values()), batches)
        if counted != -1:
            check_copied(counted, progress.rows - before)

    def _batches(
        self, columns: Mapping[str, TargetColumn], fitting: Fitting, progress: Progress
    ) -> Generator[pa.RecordBatch]:
        for batch in self._reader:
            if batch.num_rows:
                yield self._fitted(batch, columns, fitting, progress)
                progress.add(batch.num_rows, batch.nbytes)
            del batch  # it must not stay while the next one is made

    def _copy(
        self,
        session: SqlSession,
        table: TableName,
        columns: Mapping[str, TargetColumn],
        fitting: Fitting,
        progress: Progress,
    ) -> None:
        before = progress.rows
        try:
            # The next lines are spelled while the server takes the last ones.
            with closing(prefetch(self._lines(session, columns, fitting, progress), _PREFETCHED)) as lines:
                names = [column.name for column in columns.values()]
                counted = session.copy(table, names, "FORMAT text, ENCODING 'UTF8'", lines)
        except (WorkflowError, RestartLoad):
            raise
        except Exception as error:
            raise placed(error, "row", self._places.find) or error from error
        check_copied(counted, progress.rows - before)

    def _lines(
        self, session: SqlSession, columns: Mapping[str, TargetColumn], fitting: Fitting, progress: Progress
    ) -> Iterator[Any]:
        for batch in self._reader:
            yield from copy_text(self._fitted(batch, columns, fitting, progress), session.dialect)
            progress.add(batch.num_rows, batch.nbytes)
            del batch  # it must not stay while the next one is made


def check_copied(counted: int, expected: int) -> None:
    """Refuse where COPY has put fewer rows into the table than it was given."""
    if counted != expected:
        raise WorkflowError(
            f"the table took {counted} of {expected} rows; a trigger or a rule of the table leaves rows out"
        )


_Page = tuple[str, int, Raw]  # how errors name the output, the number of the first row, the rows


def is_paged(group: Sequence[ResolvedOutput]) -> bool:
    """True if every output of a group is a table that comes in pages."""
    return all(isinstance(item.source, RowSource) for item in group)


class PagedRows:
    """Tables in pages for one table; the arguments are those of `CsvRows`, ``texts`` is that of `table`. `close` it."""

    def __init__(
        self,
        group: Sequence[ResolvedOutput],
        chosen: Mapping[str, str] | None,
        types: Mapping[str, pa.DataType],
        seen: dict[str, ColumnStats],
        texts: Container[str] = frozenset(),
    ) -> None:
        self._group, self._types, self._seen, self._texts = group, types, seen, texts
        self._wanted = None if chosen is None else frozenset(chosen)
        self._pages = self._read()  # the client fetches the next page while one is written
        self._first = next(self._pages, None)
        names: tuple[str, ...] = ()
        if self._first is not None:
            names = self._first[2].names
            self._learn(self._first[2])
        if not set(chosen or ()) <= set(names) or not set(types) <= set(names):
            self.close()
            raise RestartLoad("a column is unknown")
        self._chosen = dict(chosen or {name: name for name in seen})

    @property
    def schema(self) -> pa.Schema:
        """The columns, and the types that the rows seen so far have."""
        kinds = {name: self._types.get(name) or kept_type(self._seen[name]) for name in self._chosen}
        return pa.schema([(target, kinds[source]) for source, target in self._chosen.items()])

    def close(self) -> None:
        """End the flow that reads the pages."""
        self._pages.close()

    def into(
        self,
        session: SqlSession,
        table: TableName,
        columns: Mapping[str, TargetColumn],
        progress: Progress,
        *,
        typed: bool,
    ) -> None:
        """Write page after page."""
        if not session.can_copy:
            raise RestartLoad("the database has no COPY … FROM STDIN")
        places = Places()
        reader = pa.RecordBatchReader.from_batches(self.schema, self._batches(self.schema, places))
        ArrowRows(reader, places).into(session, table, columns, progress, typed=typed)

    def _read(self) -> Generator[_Page]:
        for item in self._group:
            wanted = Wanted(self._wanted, frozenset(self._types), self._texts, self._seen, item.where)
            first_row = 1
            for raw in part_of(item.source, item.client, item.where).read(wanted):
                yield item.where, first_row, raw
                first_row += raw.batch.num_rows
                del raw  # it must not stay while the next one is made

    def _batches(self, schema: pa.Schema, places: Places) -> Iterator[pa.RecordBatch]:
        for where, first_row, raw in chain([self._first] if self._first else [], self._pages):
            self._first = None
            self._check(raw)
            places.add(where, raw.batch.num_rows)
            yield self._fitted(raw.batch, schema, where, first_row)
            del raw

    def _fitted(self, batch: pa.RecordBatch, schema: pa.Schema, where: str, first_row: int) -> pa.RecordBatch:
        """Give a page in the types of the table."""
        arrays: list[Any] = []
        for source, kind in zip(self._chosen, schema.types, strict=True):
            if source in batch.schema.names:
                arrays.append(converted(batch.column(source), kind, source, first_row=first_row, where=where))
            else:
                arrays.append(pa.nulls(batch.num_rows, kind))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _check(self, raw: Raw) -> None:
        before = {name: kept_type(one) for name, one in self._seen.items()}
        self._learn(raw)
        changed = [name for name, one in self._seen.items() if before.get(name) != kept_type(one)]
        if changed:
            kinds = ", ".join(f"{name!r} is {kept_type(self._seen[name])}" for name in changed)
            raise RestartLoad(f"the first page had other types: {kinds}", is_learnt=True)

    def _learn(self, raw: Raw) -> None:
        for name in raw.names if self._wanted is None else raw.seen:
            self._seen[name] = self._seen.get(name, ColumnStats()) | raw.seen.get(name, ColumnStats())

"""CSV files straight into ``COPY``: their bytes go through unparsed, and are checked on the way.

What makes a table from the first rows' types, or trusts a database to read a field as we would, has to be sure. Each
block of rows is matched with a pattern that accepts what is certain (`outputs.csv_grammar`). A block that it does not
accept is parsed and looked at as every value would be otherwise; where that changes a type, or the file is no plain
CSV, `Misfit` says to begin anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing

import pyarrow as pa

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.outputs.column_stats import ColumnStats
from airflow_workflow_provider.outputs.csv_grammar import kept_type
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.transfers.harvest import Harvested
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.sinks.copy_check import Check, checks_for_table, checks_for_types
from airflow_workflow_provider.transfers.sinks.copy_part import CsvPart
from airflow_workflow_provider.transfers.sinks.copy_stream import is_unfit, placed
from airflow_workflow_provider.transfers.sinks.sql_names import TableName
from airflow_workflow_provider.transfers.sinks.sql_rows import Misfit
from airflow_workflow_provider.transfers.sinks.sql_session import SqlSession

_PREFETCHED = 2  # blocks


def is_csv(group: Sequence[Harvested]) -> bool:
    """True if every output of a group is a CSV file."""
    return all(isinstance(item.source, FileSource) and item.source.format == "csv" for item in group)


class CsvRows:
    """CSV files for one table.

    ``chosen`` is source to target column (None: all under their own names), ``types`` the types that the user has
    settled by source column, ``seen`` what earlier attempts have found out, and is added to. `close` it.
    """

    def __init__(
        self,
        group: Sequence[Harvested],
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
        self, session: SqlSession, table: TableName, names: Sequence[str], progress: Progress, *, typed: bool
    ) -> None:
        """Copy all files, each by a statement of its own."""
        if not session.can_copy:
            raise Misfit("the database has no COPY … FROM STDIN")
        if session.rows("SHOW server_encoding") == [("SQL_ASCII",)]:
            raise Misfit("the database does not check encodings")
        own = dict(zip(self._chosen, names, strict=True))
        checks = (
            checks_for_types(self._seen, self._types, own)
            if typed
            else checks_for_table(session, table, self._types, own)
        )
        for number, item in enumerate(self._group):
            part = self._first if number == 0 else self._opened(item)
            self._check_names(part)
            self._copy(session, table, part, checks, progress)
            part.close()

    def _opened(self, item: Harvested) -> CsvPart:
        return self._open.enter_context(CsvPart(item))

    def _check_names(self, part: CsvPart) -> None:
        """A column that COPY is not given gets its default; one that a file lacks has no value."""
        if set(part.names) != set(self._chosen):
            raise Misfit("the files have different columns")

    def _checked(self, chosen: Mapping[str, str] | None) -> dict[str, str]:
        """Give the target of each column; COPY takes all fields of a row or none."""
        if (chosen is not None and set(chosen) != set(self._seen)) or not set(self._types) <= set(self._seen):
            raise Misfit("columns are left out")
        return dict(chosen or {name: name for name in self._seen})

    def _learn(self, part: CsvPart) -> None:
        for name, one in part.sample(self._types).items():
            self._seen[name] = self._seen.get(name, ColumnStats()) | one

    def _copy(
        self, session: SqlSession, table: TableName, part: CsvPart, checks: Mapping[str, Check], progress: Progress
    ) -> None:
        before = progress.rows
        # The next blocks are read and checked while the server works on the last one.
        blocks = prefetch(_told(part.checked(checks, self._seen), progress), _PREFETCHED)
        columns = [checks[name].column for name in part.names]
        filled = [session.quoted(checks[name].column) for name in part.names if checks[name].empty_is_null]
        options = "FORMAT csv, NULL '', ENCODING 'UTF8'" + (f", FORCE_NULL ({', '.join(filled)})" if filled else "")
        try:
            with closing(blocks):
                rows = session.copy(table, columns, options, blocks)
        except (WorkflowError, Misfit):
            raise
        except Exception as error:
            if is_unfit(error):
                raise Misfit(str(placed(error, "line", part.first_line) or error)) from error
            raise placed(error, f"{part.where}line", part.first_line) or error from error
        progress.rows = before + rows


def _told(blocks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    """Count while blocks go by. How many rows they are is known at the end, and estimated until then."""
    rows_per_byte = 0.0
    for block in blocks:
        yield block
        rows_per_byte = rows_per_byte or block.count(b"\n") / len(block)
        progress.add(round(len(block) * rows_per_byte), len(block))

"""The rows for one table, and how they get there: by COPY where the database has it, else by INSERT in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.outputs.prefetch import prefetch
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.sinks.copy_stream import placed
from airflow_workflow_provider.transfers.sinks.copy_text import copy_text
from airflow_workflow_provider.transfers.sinks.sql_names import TableName
from airflow_workflow_provider.transfers.sinks.sql_session import SqlSession

if TYPE_CHECKING:
    import pyarrow as pa

_PREFETCHED = 2  # pieces of a megabyte


class Rows(Protocol):
    """Rows for one table."""

    @property
    def schema(self) -> pa.Schema:
        """The columns, named as the table has them or will have them."""

    def into(
        self, session: SqlSession, table: TableName, names: Sequence[str], progress: Progress, *, typed: bool
    ) -> None:
        """Write all rows into these columns, in the schema's order.

        ``typed`` says that the table was made for the schema, so that its types must hold for all rows. May raise
        `Misfit`; then nothing is to stay.
        """


class Misfit(Exception):
    """Rows that were written while they came are not what the first ones promised; begin anew.

    ``is_learnt`` says that the next attempt knows better; otherwise only reading to the end first can help.
    """

    def __init__(self, why: str, *, is_learnt: bool = False) -> None:
        super().__init__(why)
        self.is_learnt = is_learnt


class ArrowRows:
    """Rows as Arrow record batches of certain types."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader = reader

    @property
    def schema(self) -> pa.Schema:
        """The reader's own."""
        return self._reader.schema

    def into(
        self, session: SqlSession, table: TableName, names: Sequence[str], progress: Progress, *, typed: bool
    ) -> None:
        """Write all rows."""
        if session.can_copy and names:
            self._copy(session, table, names, progress)
            return
        for batch in self._reader:
            if not batch.num_rows:
                continue
            first = progress.rows + 1
            try:
                session.insert(table, names, batch)
            except WorkflowError:
                raise
            except Exception as error:
                raise WorkflowError(f"rows {first} to {first + batch.num_rows - 1} were refused: {error}") from error
            progress.add(batch.num_rows, batch.nbytes)

    def _copy(self, session: SqlSession, table: TableName, names: Sequence[str], progress: Progress) -> None:
        try:
            # The next lines are spelled while the server takes the last ones.
            with closing(prefetch(self._lines(session, progress), _PREFETCHED)) as lines:
                session.copy(table, names, "FORMAT text, ENCODING 'UTF8'", lines)
        except (WorkflowError, Misfit):
            raise
        except Exception as error:
            raise placed(error, "row", 1) or error from error

    def _lines(self, session: SqlSession, progress: Progress) -> Iterator[Any]:
        for batch in self._reader:
            yield from copy_text(batch, session.dialect)
            progress.add(batch.num_rows, batch.nbytes)
            del batch  # it must not stay while the next one is made

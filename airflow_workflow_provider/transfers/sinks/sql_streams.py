"""Outputs that go into a table while they come, instead of being read to their end first."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from airflow_workflow_provider.outputs.column_stats import ColumnStats
from airflow_workflow_provider.outputs.table import Columns, chosen_columns
from airflow_workflow_provider.outputs.types import parse_types
from airflow_workflow_provider.transfers.harvest import Harvested
from airflow_workflow_provider.transfers.sinks.copy_csv import CsvRows, is_csv
from airflow_workflow_provider.transfers.sinks.copy_pages import PagedRows, is_paged
from airflow_workflow_provider.transfers.sinks.sql_dialects import dialect_of
from airflow_workflow_provider.transfers.sinks.sql_rows import Misfit, Rows

_ATTEMPTS = 3  # at types that the first rows suggest; then everything is read before anything is written
_TABLES = 8  # at a time; the head of each is kept in memory


class Streams:
    """The outputs of one load, by table, as long as it is worth trying to write them while they come."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[Harvested]],
        columns: Columns,
        types: Mapping[str, Any] | None,
        texts: Mapping[str, Container[str]],
    ) -> None:
        self._groups, self._texts = groups, texts
        self._chosen = chosen_columns(columns)
        sources = {target: source for source, target in (self._chosen or {}).items()}
        self._types = {
            name if name in (self._chosen or {}) else sources.get(name, name): kind
            for name, kind in parse_types(types).items()
        }
        self._seen: dict[str, dict[str, ColumnStats]] = {name: {} for name in groups}
        self._attempts = _ATTEMPTS if len(groups) <= _TABLES else 0

    def may_go(self, hook: Any) -> bool:
        """True if the target takes a stream, the sources give one, and too many attempts have not failed."""
        may_stream = all(is_csv(group) or is_paged(group) for group in self._groups.values())
        return self._attempts > 0 and dialect_of(hook).copies and may_stream

    @contextmanager
    def opened(self) -> Iterator[dict[str, Rows]]:
        """Open all sources, and look at their first rows. Raises `Misfit`."""
        with ExitStack() as opened:
            rows: dict[str, Rows] = {}
            for name, group in self._groups.items():
                made = self._made(name, group)
                opened.callback(made.close)
                rows[name] = made
            yield rows

    def _made(self, name: str, group: Sequence[Harvested]) -> CsvRows | PagedRows:
        if is_csv(group):  # a table that is there reads the fields by itself
            return CsvRows(group, self._chosen, self._types, self._seen[name])
        return PagedRows(group, self._chosen, self._types, self._seen[name], self._texts[name])

    def learn(self, misfit: Misfit) -> None:
        """Let the next attempt know why this one failed."""
        self._attempts = self._attempts - 1 if misfit.is_learnt else 0

"""A whole load into a database: looked over first, then read, then written in one transaction."""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.outputs.column_stats import ColumnStats
from airflow_workflow_provider.outputs.reading import part_of
from airflow_workflow_provider.outputs.table import Columns, chosen_columns, table
from airflow_workflow_provider.outputs.types import parse_types
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.resolve import PLACEHOLDER, ResolvedOutput, grouped
from airflow_workflow_provider.transfers.sql.csv_copy import CsvRows, is_csv
from airflow_workflow_provider.transfers.sql.dialects import dialect_of
from airflow_workflow_provider.transfers.sql.load_log import LoadLog
from airflow_workflow_provider.transfers.sql.modes import KEEPING, WAYS, Load, Mode, check_absent
from airflow_workflow_provider.transfers.sql.names import TableName, check_apart, parse_table
from airflow_workflow_provider.transfers.sql.rows import ArrowRows, PagedRows, RestartLoad, Rows, is_paged
from airflow_workflow_provider.transfers.sql.session import SqlSession, session

if TYPE_CHECKING:
    import pyarrow as pa


_UNFIT = r"\W"  # what cannot stand in a table's name without quotes


@dataclass(frozen=True)
class SqlLoad:
    """What to load where, as the operator was told. ``table`` may hold placeholders for runs and outputs."""

    hook: Any
    conn_id: str
    table: str
    mode: Mode
    columns: Columns
    column_types: Mapping[str, Any] | None
    attempt: Attempt
    log: logging.Logger | Any

    def earlier(self) -> dict[str, Any] | None:
        """Look at the database before anything is read; give what an earlier try returned, if it has loaded already."""
        with self._described(), session(self.hook) as opened:
            target = self._pattern(opened)
            load_log = self._load_log(opened)
            load_log.ensure()
            load_log.forget()
            done = load_log.done()
            if done is not None:
                self.log.info("An earlier try has committed this load, nothing is loaded again: %s", done)
            elif self.mode.if_exists == "fail" and not PLACEHOLDER.search(self.table):
                check_absent(opened, load_log, target, opened.columns(target))
            return done

    def run(self, resolved: Sequence[ResolvedOutput]) -> dict[str, Any]:
        """Read the outputs, write them, commit, and tell what was done."""
        groups = grouped(resolved, self.table, _UNFIT)
        with self._described():
            check_apart(groups, dialect_of(self.hook))
        texts = self._texts(groups)
        streams = Streams(groups, self.columns, self.column_types, texts)
        while streams.may_go(self.hook):
            try:
                with streams.opened() as rows:
                    return self._loaded(rows, Progress(self.log, "Wrote"))
            except RestartLoad as restart:
                self.log.info("Reading again from the beginning: %s", restart)
                streams.learn(restart)
        reading = Progress(self.log, "Read")
        spooled: dict[str, Rows] = {
            name: ArrowRows(self._reader(group, texts[name], reading)) for name, group in groups.items()
        }
        self.log.info("Read %s", reading)
        return self._loaded(spooled, Progress(self.log, "Wrote"), reading.seconds)

    def _loaded(self, rows: Mapping[str, Rows], progress: Progress, seconds: float = 0.0) -> dict[str, Any]:
        with ExitStack() as open_until_committed:
            with self._described():
                opened = open_until_committed.enter_context(session(self.hook))
                result = self._written(opened, rows, progress, seconds)
            self.log.info("Committing %s", progress)
            with self._described("whether the rows were committed is not known, a retry finds out"):
                opened.commit()
        self.log.info("Wrote %s to %s", progress, ", ".join(rows))
        return result

    def _written(
        self, opened: SqlSession, rows: Mapping[str, Rows], progress: Progress, seconds: float
    ) -> dict[str, Any]:
        try:
            self._write(opened, rows, progress)
            result = self._result(list(rows), progress, seconds + progress.seconds)
            self._load_log(opened).note(progress.rows, result)
        except BaseException:
            opened.undo()
            raise
        return result

    def _write(self, opened: SqlSession, rows: Mapping[str, Rows], progress: Progress) -> None:
        opened.begin()
        ways = []
        for number, (name, one) in enumerate(rows.items()):
            target = parse_table(name, opened.dialect)
            staging_name = f"airflow_{self.attempt.key[:16]}_{number}"
            load = Load(opened, self._load_log(opened), target, one, self.mode, progress, staging_name)
            ways.append(WAYS[self.mode.if_exists](load, opened.columns(target)))
        for _ in range(3):
            for way in ways:
                next(way, None)

    def _texts(self, names: Iterable[str]) -> dict[str, Container[str]]:
        """Tell which columns go into columns of text that are there, so that they keep the spelling of the source."""
        if self.mode.if_exists not in KEEPING:
            return dict.fromkeys(names, frozenset())
        chosen = chosen_columns(self.columns)
        with self._described(), session(self.hook) as opened:
            return {name: opened.text_columns(parse_table(name, opened.dialect), chosen) for name in names}

    def _reader(
        self, group: Sequence[ResolvedOutput], texts: Container[str], progress: Progress
    ) -> pa.RecordBatchReader:
        parts = [part_of(item.source, item.client, item.where) for item in group]
        return table(parts, columns=self.columns, column_types=self.column_types, texts=texts, watch=progress.add)

    def _result(self, names: list[str], progress: Progress, seconds: float) -> dict[str, Any]:
        tables = names[0] if len(names) == 1 else names
        return {"table": tables, "rows": progress.rows, "bytes": progress.size, "seconds": round(seconds, 3)}

    def _pattern(self, opened: SqlSession) -> TableName:
        """Read the table's name; where the load_log lies must not depend on a run."""
        target = parse_table(PLACEHOLDER.sub("x", self.table) if isinstance(self.table, str) else "", opened.dialect)
        if target.parts[:-1] != parse_table(PLACEHOLDER.sub("y", self.table), opened.dialect).parts[:-1]:
            raise InvalidArgument(f"table: {self.table!r} has a placeholder in its schema; only the name may have one")
        return target

    def _load_log(self, opened: SqlSession) -> LoadLog:
        return LoadLog(opened, self._pattern(opened), self.attempt, self.log)

    @contextmanager
    def _described(self, outcome: str = "nothing was changed") -> Iterator[None]:
        """Say in every error which table and connection it is about; a driver's error becomes a `WorkflowError`."""
        place = f"table {self.table!r} (connection {self.conn_id!r})"
        try:
            yield
        except RestartLoad:
            raise
        except Exception as error:
            said = re.sub(r"\s+", " ", str(error)).strip()
            if isinstance(error, WorkflowError):
                raise type(error)(f"{place}: {said}; {outcome}") from error
            raise WorkflowError(f"{place}: {type(error).__name__}: {said}; {outcome}") from error


_ATTEMPTS = 3  # at types that the first rows suggest; then everything is read before anything is written
_TABLES = 8  # at a time; the head of each is kept in memory


class Streams:
    """The outputs of one load, by table, as long as it is worth trying to write them while they come."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[ResolvedOutput]],
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
        """Open all sources, and look at their first rows. Raises `RestartLoad`."""
        with ExitStack() as opened:
            rows: dict[str, Rows] = {}
            for name, group in self._groups.items():
                made = self._made(name, group)
                opened.callback(made.close)
                rows[name] = made
            yield rows

    def _made(self, name: str, group: Sequence[ResolvedOutput]) -> CsvRows | PagedRows:
        if is_csv(group):  # a table that is there reads the fields by itself
            return CsvRows(group, self._chosen, self._types, self._seen[name])
        return PagedRows(group, self._chosen, self._types, self._seen[name], self._texts[name])

    def learn(self, restart: RestartLoad) -> None:
        """Let the next attempt know why this one failed."""
        self._attempts = self._attempts - 1 if restart.is_learnt else 0

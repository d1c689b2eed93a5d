"""A whole load into a database: looked over first, then read, then written in one transaction."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument, OutputGone, WorkflowError
from airflow_workflow_provider.outputs.column_arguments import chosen_columns
from airflow_workflow_provider.outputs.column_stats import ColumnStats
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.outputs.table import Columns, table
from airflow_workflow_provider.outputs.types import parse_types
from airflow_workflow_provider.transfers.arguments import LOAD_METHODS, PLACEHOLDER, check_choice
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.resolve import ResolvedOutput, grouped, nothing_found
from airflow_workflow_provider.transfers.source.parts import added_values, is_csv, part_for, with_added
from airflow_workflow_provider.transfers.source.places import Places, counted_part
from airflow_workflow_provider.transfers.sql.adbc import NAME as ADBC
from airflow_workflow_provider.transfers.sql.adbc import is_adbc
from airflow_workflow_provider.transfers.sql.bulk import FAST_EXECUTEMANY, allows_local_infile
from airflow_workflow_provider.transfers.sql.catalog import Target
from airflow_workflow_provider.transfers.sql.checks import Expect, count
from airflow_workflow_provider.transfers.sql.csv_copy import CsvRows
from airflow_workflow_provider.transfers.sql.dialects import SQLSERVER, dialect_of
from airflow_workflow_provider.transfers.sql.in_database import KNOWN, TableRows, find_table, is_certain
from airflow_workflow_provider.transfers.sql.load_log import LoadLog, find_logs
from airflow_workflow_provider.transfers.sql.modes import KEEPING, WAYS, Load, Mode, check_absent
from airflow_workflow_provider.transfers.sql.names import TableName, TextColumns, check_apart, parse_table
from airflow_workflow_provider.transfers.sql.rows import ArrowRows, PagedRows, RestartLoad, Rows, is_paged
from airflow_workflow_provider.transfers.sql.session import LOCK_TIMEOUT, SqlSession, session
from airflow_workflow_provider.transfers.sql.staged import STAGED, Staging, staged, why_not
from airflow_workflow_provider.transfers.sql.warehouse_load import WarehouseLoad
from airflow_workflow_provider.transfers.sql.warehouses import WAREHOUSES

_SPELLED_ALIKE = (
    "text",
    "enum",
    "uuid",
    "own",
    "bool",
    "any",
    "interval",
    "json",
    "json64",
    "hstore",
    "shape",
    "network",
)
# The bulk path of each database; the others have none here.
BULK = {"PostgreSQL": "COPY", "DuckDB": "Arrow batches", "MySQL": "LOAD DATA LOCAL", SQLSERVER.name: FAST_EXECUTEMANY}
BULK |= {name: path.name for name, path in STAGED.items()}
_UNFIT = r"\W"  # what cannot stand in a table's name without quotes
_RESTARTS = 8


@dataclass
class SqlLoad:
    """What to load where, as the operator was told. ``table`` may hold placeholders for runs and outputs.

    ``identities`` are the full names of the tables, by the names that the user gave, as far as they were resolved.
    """

    hook: Any
    conn_id: str
    table: str
    mode: Mode
    columns: Columns
    column_types: Mapping[str, Any] | None
    attempt: Attempt
    log: logging.Logger | Any
    lock_timeout: float = LOCK_TIMEOUT
    add_columns: Mapping[str, Any] = field(default_factory=dict)
    expect: Expect = field(default_factory=Expect)
    csv_options: CsvOptions = field(default_factory=CsvOptions)
    load_method: str = "auto"
    uris: Sequence[str] = ()
    bulk_loads: bool = False
    staging: Staging = field(default_factory=Staging)
    identities: dict[str, str] = field(default_factory=dict)
    _logs: tuple[TableName, ...] | None = None

    def earlier(self) -> dict[str, Any] | None:
        """Look at the database before anything is read; give what an earlier try returned, if it has loaded already."""
        with self._described(), self._session() as opened:
            target = self._pattern(opened)
            load_log = self._load_log(opened)
            load_log.forget()
            done = load_log.done()
            if done is not None:
                self.log.info("An earlier try has committed this load, nothing is loaded again: %s", done)
            elif self.mode.if_exists == "fail" and not PLACEHOLDER.search(self.table):
                check_absent(opened, load_log, opened.look(target))
            return done

    def run(self, resolved: Sequence[ResolvedOutput]) -> dict[str, Any]:
        """Read the outputs, write them, commit, and tell what was done."""
        groups = grouped(resolved, self.table, _UNFIT)
        for name, group in groups.items():
            for item in group:
                self.log.info("Loading output %r of run %s into %s", item.output.name, item.run.run_id, name)
        with self._described():
            check_apart(groups, dialect_of(self.hook))
        method = self._method(resolved)
        if method == "in_database" and dialect_of(self.hook).name in WAREHOUSES:
            return self._in_warehouse(groups)
        if method == "in_database":
            return self._in_database(groups)
        if method == "bulk" and dialect_of(self.hook).name in STAGED:
            return self._staged(groups)
        may_stream = not self.add_columns and method != "insert" and self.csv_options.is_default
        streams = Streams(groups, self.columns, self.column_types, may_stream=may_stream)
        for _ in range(_RESTARTS):
            try:
                if streams.may_go(self.hook):
                    return self._streamed(streams)
                return self._spooled(groups)
            except RestartLoad as restart:
                self.log.info("Reading again from the beginning: %s", restart)
                streams.learn(restart)
        with self._described():
            raise WorkflowError("the columns of the table have changed at every attempt")

    def _method(self, resolved: Sequence[ResolvedOutput]) -> str:
        """Choose how the rows get there, and say why."""
        dialect = dialect_of(self.hook).name
        with self._described():
            check_choice("load_method", self.load_method, LOAD_METHODS)
            if self.load_method == "in_database" and dialect not in (*KNOWN, *WAREHOUSES):
                known = ", ".join((*KNOWN, *WAREHOUSES))
                raise InvalidArgument(f"load_method: 'in_database' works for {known}, not for {dialect}; use 'auto'")
            if self.load_method == "bulk" and dialect not in BULK and not is_adbc(self.hook):
                raise InvalidArgument(f"load_method: 'bulk' works for {', '.join(BULK)}, not for {dialect}; use 'auto'")
        if self.load_method == "auto" and dialect in KNOWN and self._are_near(resolved):
            self.log.info("load_method='in_database': each output is a table of the target's own database")
            return "in_database"
        refused = self._bulk_refused(dialect)
        if self.load_method == "auto":
            how = "INSERT in batches" if refused or dialect not in BULK else BULK[dialect]
            how = ADBC if is_adbc(self.hook) else how
            self.log.info(
                "load_method='auto': %s%s; it is not certain that the outputs are tables of the target's own database",
                how,
                f", since {refused}" if refused else "",
            )
        else:
            self.log.info("load_method=%r, as the task says", self.load_method)
            if self.load_method == "bulk" and refused:
                with self._described():
                    raise InvalidArgument(f"load_method: 'bulk' is {BULK[dialect]}, and {refused}; use 'auto'")
        is_bulk = self.bulk_loads or (self.load_method == "auto" and dialect in STAGED and not refused)
        return "bulk" if is_bulk else self.load_method

    def _bulk_refused(self, dialect: str) -> str:
        """Tell why the bulk path of MySQL or a warehouse cannot be used; empty where it can, and for other databases.

        A client that allows LOAD DATA LOCAL sends any file that the server names, so a connection or a task says that
        it may.
        """
        if dialect in STAGED and not is_adbc(self.hook):
            return why_not(self.hook, dialect, self.staging)
        if dialect != "MySQL" or is_adbc(self.hook) or self.load_method not in ("auto", "bulk"):
            return ""
        if self.load_method == "auto" and not allows_local_infile(self.hook, self.conn_id):
            return "the connection does not set local_infile"
        with self._described(), self._session() as opened:
            if not opened.rows("SELECT @@GLOBAL.local_infile")[0][0]:
                return "the server's local_infile is off"
        self.hook.local_infile = self.bulk_loads = True
        return ""

    def _are_near(self, resolved: Sequence[ResolvedOutput]) -> bool:
        if len(self.uris) != len(resolved) or not all(is_certain(uri, self.hook, self.conn_id) for uri in self.uris):
            return False
        try:
            with self._session() as opened:
                for item in resolved:
                    find_table(opened, item)
        except WorkflowError as error:
            self.log.info("%s", error.summary)
            return False
        return True

    def _in_database(self, groups: Mapping[str, Sequence[ResolvedOutput]]) -> dict[str, Any]:
        """Insert by statements of the database: no row moves."""
        with ExitStack() as open_until_committed:
            with self._described():
                opened = open_until_committed.enter_context(self._session())
                targets = self._locked(opened, groups)
                done = self._done_meanwhile(opened)
                if done is not None:
                    return done
                rows: dict[str, Rows] = {name: self._table_rows(opened, group) for name, group in groups.items()}
            return self._committed(opened, targets, rows, Progress(self.log, "Wrote"), 0.0)

    def _in_warehouse(self, groups: Mapping[str, Sequence[ResolvedOutput]]) -> dict[str, Any]:
        """Load by the warehouse's own statements, which are all or nothing."""
        progress = Progress(self.log, "Wrote")
        with self._described(), self._session() as opened:
            if len(groups) > 1 or len(next(iter(groups.values()))) > 1:
                raise InvalidArgument("load_method='in_database' loads one output at a time here; use a task for each")
            ((name, (item,)),) = groups.items()
            targets = self._locked(opened, groups)
            done = self._done_meanwhile(opened)
            if done is not None:
                return done
            made = WarehouseLoad(opened, self._load_log(opened), targets[name].name, self.mode, self.expect, self.log)
            chosen = chosen_columns(with_added(self.columns, self.add_columns))
            sources = {target: source for source, target in (chosen or {}).items()}
            types = {sources.get(column, column): kind for column, kind in parse_types(self.column_types).items()}
            return self._moved(
                opened, name, progress, lambda: made.run(item, chosen, types, added_values(item, self.add_columns))
            )

    def _staged(self, groups: Mapping[str, Sequence[ResolvedOutput]]) -> dict[str, Any]:
        """Bring Parquet files into a staging table of the warehouse, and load that, which is all or nothing."""
        if len(groups) > 1:
            with self._described():
                raise InvalidArgument("load_method='bulk' loads one table at a time here; use a task for each")
        ((name, group),) = groups.items()
        progress = Progress(self.log, "Wrote")
        gone: list[ResolvedOutput] = []
        with self._described(), self._session() as opened:
            target = self._targets(opened, groups)[name].name
            self._load_log(opened).make_locks([target])
            looking = WarehouseLoad(opened, self._load_log(opened), target, self.mode, self.expect, self.log)
            texts = looking.texts(chosen_columns(with_added(self.columns, self.add_columns)))
        source = self._arrow_rows(group, texts, Progress(self.log, "Read"), gone)
        if len(gone) == len(group):
            raise nothing_found()
        with (
            self._described(),
            self._session() as opened,
            staged(opened, self.hook, self.conn_id, target, source.reader, self.staging) as rows,
        ):
            self.log.info("The staging table has %d rows", rows.rows)
            self._locked(opened, groups)
            done = self._done_meanwhile(opened)
            if done is not None:
                return done
            made = WarehouseLoad(opened, self._load_log(opened), target, self.mode, self.expect, self.log)
            return self._moved(opened, name, progress, lambda: made.run_staged(rows))

    def _moved(
        self,
        opened: SqlSession,
        name: str,
        progress: Progress,
        move: Callable[[], tuple[int, list[dict[str, Any]]]],
    ) -> dict[str, Any]:
        """Run the statements of a warehouse, note the load and commit."""
        try:
            rows, checks = move()
            progress.add(rows, 0)
            result = self._result([name], progress, progress.seconds)
            if checks:
                self.log.info("All checks hold: %s", checks)
                result["checks"] = checks
            self._load_log(opened).note(rows, result)
            opened.commit()
        except BaseException:
            opened.undo()
            raise
        self.log.info("Wrote %s to %s", progress, name)
        return result

    def _table_rows(self, opened: SqlSession, group: Sequence[ResolvedOutput]) -> TableRows:
        chosen = chosen_columns(with_added(self.columns, self.add_columns))
        sources = {target: source for source, target in (chosen or {}).items()}
        types = {
            name if name in (chosen or {}) else sources.get(name, name): kind
            for name, kind in parse_types(self.column_types).items()
        }
        added = [added_values(item, self.add_columns) for item in group]
        return TableRows(opened, [find_table(opened, item) for item in group], chosen, types, added)

    def _streamed(self, streams: Streams) -> dict[str, Any]:
        """Lock the tables first, and write while the outputs are read."""
        with ExitStack() as open_until_committed:
            with self._described():
                opened = open_until_committed.enter_context(self._session())
                targets = self._locked(opened, streams.names)
                done = self._done_meanwhile(opened)
            if done is not None:
                return done
            texts = {name: self._texts(target, streams.group(name)) for name, target in targets.items()}
            rows = open_until_committed.enter_context(streams.opened(texts))
            return self._committed(opened, targets, rows, Progress(self.log, "Wrote"), 0.0)

    def _spooled(self, groups: Mapping[str, Sequence[ResolvedOutput]]) -> dict[str, Any]:
        """Read the outputs to their end, then lock the tables and write."""
        with self._described(), self._session() as opened:
            known = self._targets(opened, groups)
            self._load_log(opened).make_locks(target.name for target in known.values())
        reading = Progress(self.log, "Read")
        gone: list[ResolvedOutput] = []
        spooled: dict[str, Rows] = {
            name: self._arrow_rows(group, self._texts(known[name], group), reading, gone)
            for name, group in groups.items()
        }
        self.log.info("Read %s", reading)
        for item in gone:
            self.log.info("Leaving out output %r of run %s, which is gone", item.output.name, item.run.run_id)
        if len(gone) == sum(map(len, groups.values())):
            raise nothing_found()
        groups = {name: group for name, group in groups.items() if not all(item in gone for item in group)}
        spooled = {name: rows for name, rows in spooled.items() if name in groups}
        with ExitStack() as open_until_committed:
            with self._described():
                opened = open_until_committed.enter_context(self._session())
                targets = self._locked(opened, groups)
                done = self._done_meanwhile(opened)
            if done is not None:
                return done
            if any(targets[name].declared != known[name].declared for name in groups):
                raise RestartLoad("another load has changed the columns of the table meanwhile", is_learnt=True)
            return self._committed(opened, targets, spooled, Progress(self.log, "Wrote"), reading.seconds)

    def _done_meanwhile(self, opened: SqlSession) -> dict[str, Any] | None:
        """Look again under the lock: a try that was taken for dead may have committed while this one waited."""
        done = self._load_log(opened).done()
        if done is not None:
            self.log.info("An earlier try has committed this load meanwhile, nothing is loaded again: %s", done)
            opened.undo()
        return done

    def _committed(
        self,
        opened: SqlSession,
        targets: Mapping[str, Target],
        rows: Mapping[str, Rows],
        progress: Progress,
        seconds: float,
    ) -> dict[str, Any]:
        with self._described():
            result = self._written(opened, targets, rows, progress, seconds)
        self.log.info("Committing %s", progress)
        with self._described("whether the rows were committed is not known, a retry finds out"):
            opened.commit()
        self.log.info("Wrote %s to %s", progress, ", ".join(rows))
        return result

    def _written(
        self,
        opened: SqlSession,
        targets: Mapping[str, Target],
        rows: Mapping[str, Rows],
        progress: Progress,
        seconds: float,
    ) -> dict[str, Any]:
        try:
            checks = self._write(opened, targets, rows, progress)
            result = self._result(list(rows), progress, seconds + progress.seconds)
            if checks:
                self.log.info("All checks hold: %s", checks)
                result["checks"] = checks
            self._load_log(opened).note(progress.rows, result)
        except BaseException:
            opened.undo()
            raise
        return result

    def _write(
        self, opened: SqlSession, targets: Mapping[str, Target], rows: Mapping[str, Rows], progress: Progress
    ) -> list[dict[str, Any]]:
        loads: dict[str, Load] = {}
        load_log = self._load_log(opened)
        checks: list[dict[str, Any]] = []
        before = {name: count(opened, target.rows_sql) for name, target in targets.items() if self._counts(target)}
        for number, (name, one) in enumerate(rows.items()):
            checks += self.expect.check_columns(one.schema.names)
            staging_name = f"airflow_{self.attempt.key[:16]}_{number}"
            loads[name] = Load(opened, load_log, targets[name], one, self.mode, progress, staging_name, self.log)
        ways = {name: WAYS[self.mode.if_exists](load) for name, load in loads.items()}
        written = dict.fromkeys(rows, 0)
        for step in range(3):
            if step == 2:  # what is put in its place by a statement that commits is checked before
                checks += self._checked(loads, written, before, commits=True)
            for name, way in ways.items():
                so_far = progress.rows
                next(way, None)
                written[name] += progress.rows - so_far
        return checks + self._checked(loads, written, before, commits=False)

    def _checked(
        self, loads: Mapping[str, Load], written: Mapping[str, int], before: Mapping[str, int], *, commits: bool
    ) -> list[dict[str, Any]]:
        checks: list[dict[str, Any]] = []
        for name, load in loads.items():
            if (load.filled is not None) == commits:
                target = load.target if load.filled is None else Target(load.filled)
                checks += self.expect.check(load.session, target, written[name], before.get(name, 0))
        return checks

    def _counts(self, target: Target) -> bool:
        return self.expect.needs_before and target.is_there

    def _session(self) -> AbstractContextManager[SqlSession]:
        return session(
            self.hook,
            lock_timeout=self.lock_timeout,
            application=f"airflow {self.attempt.task}",
            load_method="bulk" if self.bulk_loads else self.load_method,
        )

    def _targets(self, opened: SqlSession, names: Iterable[str]) -> dict[str, Target]:
        """Describe the tables by their identities. Two names of one table are refused."""
        resolved = {name: opened.resolve(parse_table(name, opened.dialect)) for name in names}
        known: dict[TableName, str] = {}
        for name, identity in resolved.items():
            if (other := known.setdefault(identity, name)) != name:
                raise InvalidArgument(f"table: {other!r} and {name!r} are one table; keep them apart with {{index}}")
        self.identities.update((name, identity.sql) for name, identity in resolved.items())
        return {name: opened.look(identity) for name, identity in resolved.items()}

    def _locked(self, opened: SqlSession, names: Iterable[str]) -> dict[str, Target]:
        """Begin the transaction, wait for other loads of the tables, and describe these."""
        names = list(names)
        logs = self._load_log(opened)
        opened.begin()
        identities = [opened.resolve(parse_table(name, opened.dialect)) for name in names]
        opened.lock(identities)
        logs.lock(identities)
        return self._targets(opened, names)

    def _texts(self, target: Target, group: Sequence[ResolvedOutput]) -> Container[str]:
        """Tell which columns of an output are read as the source spells them, to be compared with the table's types.

        A column that takes everything keeps the text of a CSV file, so that a value is stored the same whatever other
        values a file has; values of JSON have types of their own.
        """
        if self.mode.if_exists not in KEEPING or target.columns is None:
            return frozenset()
        # Where the file spells numbers or times otherwise, only its reader knows what they mean.
        known = dialect_of(self.hook).name == "SQLite"  # elsewhere nothing is known of such a column
        plain = self.csv_options.decimal == "." and self.csv_options.date_format is None
        texts = [
            name
            for name, column in target.columns.items()
            if (column.is_read_as_text or (is_csv(group) and column.type.kind == "any" and known))
            and (plain or column.type.kind in _SPELLED_ALIKE)
        ]
        return TextColumns(list(target.columns), texts, chosen_columns(with_added(self.columns, self.add_columns)))

    def _arrow_rows(
        self, group: Sequence[ResolvedOutput], texts: Container[str], progress: Progress, gone: list[ResolvedOutput]
    ) -> ArrowRows:
        places = Places()
        parts = [counted_part(part_for(item, self.add_columns, gone, self.csv_options), places) for item in group]
        columns = with_added(self.columns, self.add_columns)
        reader = table(parts, columns=columns, column_types=self.column_types, texts=texts, watch=progress.add)
        return ArrowRows(reader, places)

    def _result(self, names: list[str], progress: Progress, seconds: float) -> dict[str, Any]:
        tables = names[0] if len(names) == 1 else names
        return {"table": tables, "rows": progress.rows, "bytes": progress.size, "seconds": round(seconds, 3)}

    def _pattern(self, opened: SqlSession) -> TableName:
        """Read the table's name; where the load log lies must not depend on a run."""
        target = parse_table(PLACEHOLDER.sub("x", self.table) if isinstance(self.table, str) else "", opened.dialect)
        if target.parts[:-1] != parse_table(PLACEHOLDER.sub("y", self.table), opened.dialect).parts[:-1]:
            raise InvalidArgument(f"table: {self.table!r} has a placeholder in its schema; only the name may have one")
        return opened.resolve(target)

    def _load_log(self, opened: SqlSession) -> LoadLog:
        if self._logs is None:
            self._logs = find_logs(opened, self._pattern(opened), self.log)
        return LoadLog(opened, self._logs, self.attempt)

    @contextmanager
    def _described(self, outcome: str = "nothing was changed") -> Iterator[None]:
        """Say in every error which table and connection it is about; a driver's error becomes a `WorkflowError`."""
        place = f"loading into table {self.table!r} (connection {self.conn_id!r}); {outcome}"
        try:
            yield
        except RestartLoad:
            raise
        except Exception as error:
            if isinstance(error, WorkflowError):
                raise error.during(place) from error.__cause__
            said = re.sub(r"\s+", " ", str(error)).strip()
            raise WorkflowError(f"{type(error).__name__}: {said}").during(place) from error


_ATTEMPTS = 3  # at types that the first rows suggest; then everything is read before anything is written
_TABLES = 8  # at a time; the head of each is kept in memory


class Streams:
    """The outputs of one load, by table, as long as it is worth trying to write them while they come."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[ResolvedOutput]],
        columns: Columns,
        types: Mapping[str, Any] | None,
        *,
        may_stream: bool = True,
    ) -> None:
        self._groups = groups
        self._chosen = chosen_columns(columns)
        sources = {target: source for source, target in (self._chosen or {}).items()}
        self._types = {
            name if name in (self._chosen or {}) else sources.get(name, name): kind
            for name, kind in parse_types(types).items()
        }
        self._seen: dict[str, dict[str, ColumnStats]] = {name: {} for name in groups}
        self._attempts = _ATTEMPTS if may_stream and len(groups) <= _TABLES else 0

    def may_go(self, hook: Any) -> bool:
        """True if the target takes a stream, the sources give one, and too many attempts have not failed."""
        may_stream = all(is_csv(group) or is_paged(group) for group in self._groups.values())
        return self._attempts > 0 and dialect_of(hook).copies and not is_adbc(hook) and may_stream

    @property
    def names(self) -> list[str]:
        """The tables, as the user names them."""
        return list(self._groups)

    def group(self, name: str) -> Sequence[ResolvedOutput]:
        """Give the outputs of a table."""
        return self._groups[name]

    @contextmanager
    def opened(self, texts: Mapping[str, Container[str]]) -> Iterator[dict[str, Rows]]:
        """Open all sources, and look at their first rows. Raises `RestartLoad`.

        ``texts`` are, by table, the columns that are read as the source spells them.
        """
        with ExitStack() as opened:
            rows: dict[str, Rows] = {}
            for name, group in self._groups.items():
                made = self._made(name, group, texts[name])
                opened.callback(made.close)
                rows[name] = made
            yield rows

    def _made(self, name: str, group: Sequence[ResolvedOutput], texts: Container[str]) -> CsvRows | PagedRows:
        try:
            return self._rows(name, group, texts)
        except OutputGone as error:
            if any(item.skips_missing for item in group):
                raise RestartLoad(f"an output is gone: {error.summary}") from error
            raise

    def _rows(self, name: str, group: Sequence[ResolvedOutput], texts: Container[str]) -> CsvRows | PagedRows:
        if is_csv(group):  # an existing table reads the fields by itself
            return CsvRows(group, self._chosen, self._types, self._seen[name])
        return PagedRows(group, self._chosen, self._types, self._seen[name], texts)

    def learn(self, restart: RestartLoad) -> None:
        """Let the next attempt know why this one failed."""
        self._attempts = self._attempts - 1 if restart.is_learnt else 0

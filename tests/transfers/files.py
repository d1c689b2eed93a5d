"""Outputs of runs without a server: what a client would have downloaded; each can be read again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.protocol.model import Output
from airflow_workflow_provider.protocol.results import FileSource, Page
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from airflow_workflow_provider.transfers.sql.checks import Expect
from airflow_workflow_provider.transfers.sql.load import SqlLoad
from airflow_workflow_provider.transfers.sql.modes import Mode
from airflow_workflow_provider.transfers.sql.session import sql_hook
from tests.outputs.playing import Player, pages
from tests.outputs.playing import file as played
from tests.transfers.conftest import Task, context
from tests.transfers.tables import run_with


@dataclass
class Log:
    """Keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    def info(self, text: str, *values: Any) -> None:
        """Keep a line."""
        self.lines.append(text % values)

    warning = info

    @property
    def began_again(self) -> list[str]:
        """Why what was streamed was read again."""
        return [line for line in self.lines if line.startswith("Reading again")]


def csv_outputs(*contents: str | bytes, breaks_at: int | None = None) -> list[ResolvedOutput]:
    """Outputs that are CSV files with these contents; each can be opened as often as one likes."""
    return file_outputs("csv", *contents, breaks_at=breaks_at)


def file_outputs(kind: str, *contents: str | bytes, breaks_at: int | None = None) -> list[ResolvedOutput]:
    """Outputs that are files of a format with these contents."""
    return [_output(kind, number, content, breaks_at) for number, content in enumerate(contents)]


def _output(kind: str, number: int, content: str | bytes, breaks_at: int | None) -> ResolvedOutput:
    def flow() -> Any:
        return (yield from played(kind, content, breaks_at).flow())

    run = run_with(f"out{number}", run_id=f"job-{number}")
    return ResolvedOutput(run, Output(f"out{number}", "file", "", (kind,)), number, FileSource(kind, flow), Player())


def paged_outputs(*outputs: Sequence[Page]) -> list[ResolvedOutput]:
    """Outputs that are tables in these pages."""
    return [
        ResolvedOutput(run_with(f"t{number}"), Output(f"t{number}", "table", ""), number, pages(*given), Player())
        for number, given in enumerate(outputs)
    ]


def table_output(location: str, number: int = 0) -> ResolvedOutput:
    """An output that is a table of a database, which no API serves."""
    run = run_with(location, run_id=f"job-{number}")
    return ResolvedOutput(run, Output(location, "table", location), number, pages(), Player())


def loading(database: Any, task: Task | None = None, **options: Any) -> tuple[SqlLoad, Log]:
    """A load as the operator makes it, and its log."""
    log = Log()
    more = (options.get("on_new_column", "fail"), options.get("on_missing_column", "null"))
    mode = Mode.of(options.get("if_exists", "append"), options.get("key_columns"), options.get("where"), *more)
    load = SqlLoad(
        hook=sql_hook(database.conn_id),
        conn_id=database.conn_id,
        table=options.get("table", "target"),
        mode=mode,
        columns=options.get("columns"),
        column_types=options.get("column_types"),
        attempt=Attempt.of(context(task)),
        log=log,
        lock_timeout=options.get("lock_timeout", 600.0),
        load_method=options.get("load_method", "auto"),
        csv_options=options.get("csv_options") or CsvOptions(),
        add_columns=options.get("add_columns", {}),
        expect=Expect.of(options.get("expect")),
    )
    return load, log


def land(database: Any, outputs: Sequence[ResolvedOutput], task: Task | None = None, **options: Any) -> tuple[Any, Log]:
    """Load outputs as the operator does; give what it returns, and its log."""
    load, log = loading(database, task, **options)
    return load.earlier() or load.run(outputs), log

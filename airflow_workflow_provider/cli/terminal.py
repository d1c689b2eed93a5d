"""Where a command talks: its result on standard output, sentences and progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_workflow_provider.cli import exit_codes

Row = Mapping[str, Any]


class Interrupted(Exception):
    """Ctrl-C; the text says what goes on without us."""


@dataclass(frozen=True)
class Result:
    """What a command gives.

    ``rows`` are for tables; ``data`` is what json and yaml show instead, ``sheet`` the one thing that a table shows
    with a line per field. ``note`` is a sentence for people.
    """

    rows: Sequence[Row] = ()
    data: Sequence[Any] | None = None
    sheet: Row | None = None
    code: int = exit_codes.DONE
    note: str = ""
    silent: bool = False


class Terminal:
    """Standard output and standard error of one command."""

    def __init__(self, program: str, output: str = "table") -> None:
        self.program, self.output = program, output
        self.stdout, self.stderr = sys.stdout, sys.stderr
        self._console: Any = None

    def say(self, text: str) -> None:
        """Tell the user something that is no result."""
        if self._console is not None:  # a line that changes is below
            self._console.print(text, highlight=False, soft_wrap=True)
        else:
            print(text, file=self.stderr, flush=True)

    def show(self, result: Result) -> None:
        """Print a result in the format that was asked for."""
        if not result.silent:
            _SHOWN[self.output](result)
            self.stdout.flush()
        if result.note:
            self.say(result.note)

    # What a client logs, such as "Run 7 cannot be polled at the moment": the terminal stands in for a logger.
    info = warning = lambda self, text, *values: self.say(text % values if values else text)

    @property
    def is_live(self) -> bool:
        """True where a person watches, so that a line may change."""
        return self.stderr.isatty()

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show a line that changes on a terminal, else a line for each change; gives what changes it."""
        if self.is_live:
            with self._live(text) as moving:
                yield moving
            return
        last = ""

        def change(now: str) -> None:
            nonlocal last
            if now != last:
                self.say(now)
            last = now

        yield change

    @contextmanager
    def _live(self, text: str) -> Iterator[Callable[[str], None]]:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = Console(file=self.stderr, markup=False, emoji=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as shown:
            task = shown.add_task(text, total=None)
            self._console = console
            try:
                yield lambda now: shown.update(task, description=now)
            finally:
                self._console = None


def _console() -> Any:
    from airflow.cli.simple_table import AirflowConsole

    class Console(AirflowConsole):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich ends the process with 1 here, whatever came of the command

    # A server's words are no markup: "[/x]" in a message must come out as it is.
    return Console(markup=False, emoji=False, highlight=False)


def _table(result: Result) -> None:
    if result.sheet is not None:
        rows = [{"property": name, "value": _cell(value)} for name, value in result.sheet.items()]
    else:
        rows = [{name: _cell(value) for name, value in row.items()} for row in result.rows]
    _console().print_as_table(rows)


def _plain(result: Result) -> None:
    """Columns with two spaces between them. Airflow's own plain table reads numbers: the run id 007 became 7."""
    if not result.rows:
        return  # nothing is what a script expects of no rows
    lines = [list(result.rows[0]), *([_cell(value) or "-" for value in row.values()] for row in result.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())  # noqa: T201  # the result itself


def _json(result: Result) -> None:
    _console().print_as_json(_data(result))


def _yaml(result: Result) -> None:
    _console().print_as_yaml(_data(result))


def _data(result: Result) -> Any:
    data = [dict(row) for row in result.rows] if result.data is None else list(result.data)
    return json.loads(json.dumps(data, default=str))


def _cell(value: Any) -> str:
    """One line of text for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return "" if value is None else " ".join(str(value).split())


_SHOWN: Mapping[str, Callable[[Result], None]] = {"table": _table, "json": _json, "yaml": _yaml, "plain": _plain}

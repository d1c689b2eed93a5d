"""The command that downloads an output of a run."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from airflow_workflow_provider.cli.arguments import hook_of, run_of
from airflow_workflow_provider.cli.terminal import Result, Terminal
from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.transfers.arguments import COMPRESSIONS
from airflow_workflow_provider.transfers.files.formats import FORMATS
from airflow_workflow_provider.transfers.files.storage import StoredFile, Tally, copied
from airflow_workflow_provider.transfers.progress import Progress

STANDARD_OUTPUT = "-"


def output(options: Namespace, terminal: Terminal) -> Result:
    """Write one output of a run to a file, or list its outputs."""
    hook = hook_of(options, terminal)
    run = run_of(options, hook)
    if options.to is None:
        return _listed(hook, run, options)
    if options.to != STANDARD_OUTPUT:
        _check_free(options)
    chosen = hook.output(run, options.name)
    with terminal.progress(f"reading {chosen.name}") as change:
        counted = _Counted(terminal, change)
        fill = _filler(hook, run, options, counted)
        if options.to == STANDARD_OUTPUT:
            fill(cast("BinaryIO", Tally(terminal.stdout.buffer)))
            return Result(silent=True)
        return _stored(fill, options, counted, chosen.name)


class _Counted(Progress):
    """Counts as a transfer does: on a terminal all the time, else a line every ten seconds."""

    def __init__(self, terminal: Terminal, change: Callable[[str], None]) -> None:
        super().__init__(terminal, "Read")
        self._change = change if terminal.is_live else lambda text: None

    def add(self, rows: int, size: int) -> None:
        """Count rows and bytes."""
        super().add(rows, size)
        self._change(f"read {self}")


def _listed(hook: WorkflowHook, run: Run, options: Namespace) -> Result:
    if options.name is not None or options.force or options.format != "raw":
        raise InvalidArgument("--to: is missing; it says which file to write, - is standard output")
    found = hook.outputs(run)
    rows = [{**one.to_json(), "index": index} for index, one in enumerate(found)]
    more = hook.system.unlisted_outputs
    return Result(rows, note=f"It can also be read by name: {more}" if more else "")


def _filler(hook: WorkflowHook, run: Run, options: Namespace, counted: _Counted) -> Callable[[BinaryIO], None]:
    write = FORMATS[options.format].write

    def fill(target: BinaryIO) -> None:
        if write is not None:
            reader = hook.read_output(run, options.name)
            write(reader, target, COMPRESSIONS[options.format][0], counted.add)
            return
        with hook.open_output(run, options.name) as source:
            copied(source, target, counted.add)

    return fill


def _stored(fill: Callable[[BinaryIO], None], options: Namespace, counted: _Counted, name: str) -> Result:
    file = _file(options)
    written = file.write(fill, compress=False)
    file.publish()
    rows = None if options.format == "raw" else counted.rows
    row = {"output": name, "path": options.to, "format": options.format, "rows": rows}
    return Result([{**row, "bytes": written.size, "sha256": written.sha256}])


def _check_free(options: Namespace) -> None:
    if options.to.endswith("/") or _file(options).is_folder():
        raise InvalidArgument(f"--to: {options.to!r} is a folder; give the name of a file in it")
    if not options.force and _file(options).exists():
        raise InvalidArgument(f"--to: {options.to!r} exists already; --force replaces it")


def _file(options: Namespace) -> StoredFile:
    path = options.to if "://" in options.to else str(Path(options.to).absolute())
    return StoredFile(path, None, str(os.getpid()))

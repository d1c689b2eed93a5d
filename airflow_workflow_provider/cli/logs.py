"""The command that shows the log of a run: lines on standard output, sentences about them on standard error."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from airflow_workflow_provider.cli import exit_codes, results
from airflow_workflow_provider.cli.arguments import hook_of, run_of
from airflow_workflow_provider.cli.results import how_to_go_on
from airflow_workflow_provider.cli.terminal import Interrupted, Result, Terminal
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.follow_log import LogFollower, WrittenLog
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import LogLine
from airflow_workflow_provider.protocol.times import iso

FOLLOW_INTERVAL = 5.0  # seconds; a person watches


def logs(options: Namespace, terminal: Terminal) -> Result:
    """Show the log of a run once, or until the run has ended."""
    hook = hook_of(options, terminal)
    run = run_of(options, hook)
    if options.follow:
        return _followed(hook, hook.get_run(run), options, terminal)
    lines = hook.read_log(run, options.since)
    if terminal.output in ("json", "yaml"):
        return Result([_row(line) for line in lines])
    _to_terminal(terminal)(list(lines))
    return Result(silent=True)


def _followed(hook: WorkflowHook, run: Run, options: Namespace, terminal: Terminal) -> Result:
    write, since = _to_terminal(terminal), options.since

    def write_new(lines: Sequence[LogLine]) -> None:
        write([line for line in lines if since is None or line.time is None or line.time >= since])

    interval = options.poll_interval or FOLLOW_INTERVAL
    log = WrittenLog(LogFollower.of(hook.system, run, interval=interval), write_new)
    try:
        if not run.state.is_terminal:
            run = hook.wait_for_run(run, poll_interval=interval, log=log)
        hook.client.run(log.finish(run))
    except KeyboardInterrupt:
        raise Interrupted(f"Run {run.run_id} goes on; {how_to_go_on(hook, run, terminal)}") from None
    return Result(silent=True, code=results.STATE_CODES.get(run.state, exit_codes.DONE))


def _to_terminal(terminal: Terminal) -> Callable[[Sequence[LogLine]], None]:
    spelled: Callable[[LogLine], str] = _as_json if terminal.output == "json" else text_of

    def write(lines: Sequence[LogLine]) -> None:
        for line in lines:
            print(spelled(line), file=terminal.stdout, flush=False)
        terminal.stdout.flush()

    return write


def text_of(line: LogLine) -> str:
    """Give a line as text for people."""
    moment = iso(line.time)
    return f"{f'{moment} ' if moment else ''}{line.level.upper():7} {line.text}"


def _as_json(line: LogLine) -> str:
    return json.dumps(_row(line), ensure_ascii=False)


def _row(line: LogLine) -> dict[str, Any]:
    return {"time": iso(line.time), "level": line.level, "text": line.text}

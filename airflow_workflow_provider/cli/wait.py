"""Waiting for a run at a terminal: a line that shows how it stands, and what Ctrl-C means."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from airflow_workflow_provider.cli import exit_codes, results
from airflow_workflow_provider.cli.logs import text_of
from airflow_workflow_provider.cli.results import how_to_go_on
from airflow_workflow_provider.cli.terminal import Interrupted, Result, Terminal
from airflow_workflow_provider.exceptions import RunTimedOut
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.follow_log import INTERVAL, LogFollower, WrittenLog
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.protocol.run_log import LogLine


def awaited(hook: WorkflowHook, run: Run, options: Namespace, terminal: Terminal, *, log: bool = False) -> Result:
    """Wait until a run has ended and show it, or how it stood when the time was up. Raises `Interrupted`.

    With ``log`` the lines of the run's log are shown as they come.
    """
    try:
        return results.ended(run if run.state.is_terminal else _ended(hook, run, options, terminal, log=log))
    except KeyboardInterrupt:
        raise Interrupted(f"Run {run.run_id} goes on; {how_to_go_on(hook, run, terminal)}") from None
    except RunTimedOut as error:
        seen = error.run or run
        return results.one(seen, code=exit_codes.GOING, note=f"{error}; {how_to_go_on(hook, seen, terminal)}")


def _ended(hook: WorkflowHook, run: Run, options: Namespace, terminal: Terminal, *, log: bool) -> Run:
    interval = options.poll_interval or hook.system.poll_interval
    with terminal.progress(_said(run)) as change:
        change(_said(run))

        def show(seen: Run) -> None:
            if not (log and seen.state.is_terminal):  # the end is the last line, after those of the log
                change(_said(seen))

        def write(lines: Sequence[LogLine]) -> None:
            for line in lines:
                terminal.say(text_of(line))

        follower = LogFollower.of(hook.system, run, interval=min(interval, INTERVAL)) if log else None
        written = WrittenLog(follower, write) if follower else None
        ended = hook.wait_for_run(
            run, poll_interval=interval, timeout=options.timeout or None, log=written, on_poll=show
        )
        if written:
            hook.client.run(written.finish(ended))
            change(_said(ended))
        return ended


def _said(run: Run) -> str:
    verb = {RunState.SUCCEEDED: "has", RunState.FAILED: "has", RunState.CANCELLED: "was"}.get(run.state, "is")
    return f"run {run.run_id} {verb} {run.state}"

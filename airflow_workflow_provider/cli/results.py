"""How a run looks, and what its state means as an exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from shlex import quote
from typing import Any

from airflow_workflow_provider.cli import exit_codes
from airflow_workflow_provider.cli.terminal import Result, Row, Terminal
from airflow_workflow_provider.cli.values import option
from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.capabilities import CanCancel
from airflow_workflow_provider.protocol.lifecycle import succeeded
from airflow_workflow_provider.protocol.model import Run, RunState

STATE_CODES = {
    RunState.SUCCEEDED: exit_codes.DONE,
    RunState.FAILED: exit_codes.FAILED,
    RunState.CANCELLED: exit_codes.CANCELLED,
    RunState.QUEUED: exit_codes.GOING,
    RunState.RUNNING: exit_codes.GOING,
}
_COLUMNS = ("run_id", "state", "started_at", "ended_at", "message")
_FIELDS = ("system", "conn_id", "workflow", "run_id", "state", "message", "url", "started_at", "ended_at")


def one(run: Run, *, code: int | None = None, note: str = "") -> Result:
    """Show one run; the exit code is that of its state, unless it is given."""
    document = run.to_json()
    sheet = {name: document[name] for name in _FIELDS}
    sheet["outputs"] = [output.name for output in run.outputs]
    return Result(
        rows=[_row(run)],
        data=[document],
        sheet=sheet,
        code=STATE_CODES[run.state] if code is None else code,
        note=note,
    )


def ended(run: Run) -> Result:
    """Show a run that was awaited; one that did not succeed is explained."""
    try:
        succeeded(run)
    except WorkflowError as error:
        return one(run, note=" ".join(str(error).split()))
    return one(run)


def many(runs: Sequence[Run]) -> Result:
    """Show a list of runs."""
    return Result(rows=[_row(run) for run in runs], data=[run.to_json() for run in runs])


def how_to_go_on(hook: WorkflowHook, run: Run, terminal: Terminal) -> str:
    """Say by which commands a run that goes on is watched and cancelled."""
    words = [quote(hook.conn_id), quote(run.run_id)]
    words += ["--workflow", quote(run.workflow)] if run.workflow else []
    known = {**run.details, **run.handle.watch}
    for name in sorted(hook.system.start_options & set(known)):
        words += ["--option", quote(_option(name, known[name]))]
    what = " ".join(words)
    watch = f"watch it with: {terminal.program} status {what} --wait"
    if not hook.system.supports(CanCancel):
        return f"{watch}\n{hook.system.label} has no API call that cancels it"
    return f"{watch}\ncancel it with: {terminal.program} cancel {what}"


def _option(name: str, value: Any) -> str:
    """Write an option so that it is read as the same value again."""
    plain = f"{name}={value}"
    return plain if isinstance(value, str) and option(plain)[1] == value else f"{name}={json.dumps(value)}"


def _row(run: Run) -> Row:
    document = run.to_json()
    return {name: document[name] for name in _COLUMNS}

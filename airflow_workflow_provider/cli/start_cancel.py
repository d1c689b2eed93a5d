"""Commands that change something on the remote system: start, cancel."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from dataclasses import replace

from airflow_workflow_provider.cli import exit_codes, results
from airflow_workflow_provider.cli.arguments import hook_of, options_of, parameters_of, run_of
from airflow_workflow_provider.cli.terminal import Interrupted, Result, Terminal
from airflow_workflow_provider.cli.wait import awaited
from airflow_workflow_provider.exceptions import ProtocolError, ServerUnavailable, WorkflowNotFound
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.model import Run, RunState


def start(options: Namespace, terminal: Terminal) -> Result:
    """Start a run, and wait for its end if asked to."""
    parameters = parameters_of(options)
    hook = hook_of(options, terminal)
    own = options_of(options, hook)
    try:
        run = hook.start_run(options.workflow, parameters, **own)
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted before the start was answered: a run may have been started, look for it"
        ) from None
    if options.wait:
        return awaited(hook, run, options, terminal, log=True)
    if run.state.is_terminal:
        return results.ended(run)
    return results.one(run, code=exit_codes.DONE)


def cancel(options: Namespace, terminal: Terminal) -> Result:
    """Ask for the stop of a run, and wait for its end if asked to."""
    hook = hook_of(options, terminal)
    run = run_of(options, hook)
    # A wrong id shows here: for a cancel, a run that is gone is as good as cancelled. A server that has trouble with
    # telling how a run stands may still stop it.
    with suppress(ServerUnavailable, ProtocolError):
        run = hook.get_run(run)
    if run.state.is_terminal:
        # Some systems stop a workflow's newest run, whatever run they are asked to stop.
        return results.one(run, code=exit_codes.DONE, note=f"Run {run.run_id} had already ended; nothing was cancelled")
    hook.cancel_run(run)
    seen = _looked_at(hook, run)
    if options.wait:
        shown = awaited(hook, seen, options, terminal)
        return shown if shown.code == exit_codes.GOING else replace(shown, code=exit_codes.DONE, note="")
    note = "" if seen.state.is_terminal else f"Run {seen.run_id} was asked to stop and is still {seen.state}"
    return results.one(seen, code=exit_codes.DONE, note=note)


def _looked_at(hook: WorkflowHook, run: Run) -> Run:
    """Poll a run that was asked to stop; return its last known state if the server does not answer."""
    try:
        return hook.get_run(run)
    except WorkflowNotFound:
        return replace(run, state=RunState.CANCELLED, message="the system does not know the run any more")
    except (ServerUnavailable, ProtocolError):
        return run

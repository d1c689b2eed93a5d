"""From the arguments of a command to a hook, a run and query parameters. Errors are `WorkflowError`s."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_workflow_provider.cli.terminal import Terminal
from airflow_workflow_provider.client.worker import WorkerClient
from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection
from airflow_workflow_provider.hooks.connections import mask
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.model import Run, parse_run, parse_runs
from airflow_workflow_provider.protocol.parameters import Parameters, checked
from airflow_workflow_provider.systems import known_keys


def hook_of(options: Namespace, terminal: Terminal) -> WorkflowHook:
    """Make the hook that the connection's type asks for; what it logs goes to the terminal."""
    conn_id = options.conn_id
    if not conn_id.strip():
        raise InvalidConnection("CONN: is empty; give the id of an Airflow connection")
    try:
        kind = BaseHook.get_connection(conn_id).conn_type
    except AirflowNotFoundException as error:
        raise InvalidConnection(
            f"connection {conn_id!r} is not defined; `airflow connections list` shows those in Airflow's database"
        ) from error
    if kind not in known_keys():
        known = ", ".join(known_keys())
        raise InvalidConnection(f"connection {conn_id!r} has the type {kind!r}; this works with: {known}")
    hook = WorkflowHook.for_system(kind, conn_id)
    hook.client = WorkerClient(hook.system.transport, mask=mask, logger=terminal, secrets=hook.system.credentials)
    return hook


def run_of(options: Namespace, hook: WorkflowHook) -> Run:
    """Read the argument RUN; the connection that was named is the one that is asked."""
    text = _text_of(options.run[1:]) if options.run.startswith("@") else options.run
    if text.lstrip().startswith("["):
        runs = parse_runs(text)  # what -o json prints
        if len(runs) != 1:
            raise InvalidArgument(f"RUN: expected one run, not {len(runs)}")
        run = runs[0]
    else:
        run = parse_run(text, system=hook.system.key, conn_id=hook.conn_id)
    if run.system != hook.system.key:
        raise InvalidArgument(
            f"RUN: belongs to the system {run.system!r}, but connection {hook.conn_id!r} is for {hook.system.key!r}"
        )
    named = replace(run, conn_id=hook.conn_id, workflow=options.workflow or run.workflow)
    return hook.system.with_options(named, options_of(options, hook))


def options_of(options: Namespace, hook: WorkflowHook) -> dict[str, Any]:
    """Give what ``--option`` said, once for each name; raises `InvalidArgument` for one that the system lacks."""
    found = dict(options.option)
    hook.system.check_options(found)
    return found


def parameters_of(options: Namespace) -> Parameters:
    """Give the query parameters: those of the file, those of ``-p`` over them."""
    found = checked(_text_of(options.parameters), "--parameters") if options.parameters else {}
    single = dict(options.parameter)
    if not single:
        return found
    if not isinstance(found, Mapping):
        raise InvalidArgument("--parameters: holds a list, which -p cannot add to")
    return {**found, **single}


def _text_of(name: str) -> str:
    """Read a file, or standard input where it is called ``-``."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidArgument(f"{name!r} cannot be read: {reason}") from error

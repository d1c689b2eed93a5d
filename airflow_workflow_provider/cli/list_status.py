"""Commands that only look: systems, workflows, runs, status."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_workflow_provider.cli import results
from airflow_workflow_provider.cli.arguments import hook_of, run_of
from airflow_workflow_provider.cli.terminal import Result, Terminal
from airflow_workflow_provider.cli.wait import awaited
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanListRuns, CanListWorkflows
from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.systems.registry import distribution_of, registered

# What the list shows of a system that was not imported.
NOT_LOADED = dict.fromkeys(
    ("system", "name", "list_workflows", "find_runs", "cancel", "poll_interval", "options", "distribution"), ""
)


def systems(options: Namespace, terminal: Terminal) -> Result:
    """List the systems and what each API can do; those of other distributions are named, and not imported."""
    others: list[dict[str, Any]] = [
        {**NOT_LOADED, "system": key, "name": point.value, "distribution": distribution_of(point)}
        for key, points in registered().items()
        for point in points
    ]
    own: list[dict[str, Any]] = [
        {
            "system": key,
            "name": system.label,
            "list_workflows": system.offers(CanListWorkflows),
            "find_runs": system.offers(CanListRuns),
            "cancel": system.offers(CanCancel),
            "poll_interval": system.poll_interval,
            "options": sorted(system.start_options),
            "distribution": "airflow-workflow-provider",
        }
        for key, system in SYSTEMS.items()
    ]
    return Result(own + others)


def workflows(options: Namespace, terminal: Terminal) -> Result:
    """List what a connection may start."""
    found = hook_of(options, terminal).list_workflows()
    return Result([{"id": workflow.id, "name": workflow.name} for workflow in found])


def runs(options: Namespace, terminal: Terminal) -> Result:
    """List the runs of a workflow."""
    found = hook_of(options, terminal).find_runs(options.workflow, since=options.since)
    shown = found[: options.limit] if options.limit else found
    left = len(found) - len(shown)
    result = results.many(shown)
    return Result(result.rows, result.data, note=f"{left} older runs are left out; --limit 0 shows all" if left else "")


def status(options: Namespace, terminal: Terminal) -> Result:
    """Look at a run once, or until it has ended."""
    hook = hook_of(options, terminal)
    # The first look is the moment when a wrong id shows; a wait would treat it as temporary.
    seen = hook.get_run(run_of(options, hook))
    return awaited(hook, seen, options, terminal) if options.wait else results.one(seen)

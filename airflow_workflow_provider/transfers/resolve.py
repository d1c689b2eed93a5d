"""From the argument ``run`` to the outputs that a transfer moves."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.hooks.connections import owner
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.model import Output, Run, parse_runs
from airflow_workflow_provider.protocol.results import Source
from airflow_workflow_provider.transfers.arguments import ON_MISSING_OUTPUT, PLACEHOLDER, check_choice

if TYPE_CHECKING:
    from airflow_workflow_provider.outputs.raw import Client

ALL = "*"


@dataclass(frozen=True, eq=False)
class ResolvedOutput:
    """One output of one run. ``index`` counts over all runs, from 0.

    ``skips_missing`` means that it is left out where it turns out to be gone when it is read.
    """

    run: Run
    output: Output
    index: int
    source: Source
    client: Client
    skips_missing: bool = False

    @property
    def where(self) -> str:
        """What stands before the text of an error."""
        return f"run {self.run.run_id}, output {self.output.name!r}: "

    def filled(self, pattern: str, unfit: str) -> str:
        """Fill ``{run_id}``, ``{output}`` and ``{index}``; characters that match ``unfit`` become ``_``."""
        values = {"run_id": self.run.run_id, "output": self.output.name, "index": str(self.index)}
        fit = {name: re.sub(unfit, "_", value) for name, value in values.items()}
        return PLACEHOLDER.sub(lambda match: fit[match[1]] if fit[match[1]].strip(".") else "_", pattern)


def resolve_outputs(
    value: Any,
    *,
    conn_id: str | None,
    output_name: str | int | None,
    on_missing_output: str,
    log: logging.Logger | Any,
    system: str | None = None,
) -> list[ResolvedOutput]:
    """Find the outputs to move. Raises `OutputUnavailable`, or skips as ``on_missing_output`` says."""
    check_choice("on_missing_output", on_missing_output, ON_MISSING_OUTPUT)
    runs = _runs(value, owner(system, conn_id))
    if not runs and on_missing_output == "fail":
        raise InvalidArgument(
            f"run: is empty ({value!r}); the upstream task returned no run object, for example because it was skipped"
        )
    found: list[ResolvedOutput] = []
    hooks: dict[tuple[str, str], WorkflowHook] = {}
    for given in runs:
        hook = hooks.setdefault((given.system, given.conn_id), WorkflowHook.for_run(given, conn_id))
        run = _ended(hook, given)
        try:
            outputs = _chosen(hook, run, output_name)
        except OutputUnavailable as error:
            if on_missing_output == "fail":
                raise
            log.info("Leaving out: %s", error)
            continue
        for output in outputs:
            source = hook.system.read(run, output)
            skips = on_missing_output == "skip"
            found.append(ResolvedOutput(run, output, len(found), source, hook.client, skips_missing=skips))
    if not found:
        raise nothing_found()
    return found


def nothing_found() -> AirflowSkipException:
    """Make what skips a task that has nothing to move."""
    return AirflowSkipException("No run has the output that was asked for, and on_missing_output='skip'")


def run_keys(value: Any) -> list[Any]:
    """Give what identifies the runs of an argument ``run``, whatever form it has."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return [value]
    if isinstance(value, Run):
        return [value.system, value.workflow, value.run_id]
    if isinstance(value, Mapping):
        return [value.get("system"), value.get("workflow"), value.get("run_id")]
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value]
    return [run_keys(item) for item in value]


def grouped(resolved: Sequence[ResolvedOutput], pattern: str, unfit: str) -> dict[str, list[ResolvedOutput]]:
    """Sort outputs by the target that the pattern gives them; those with one target are united there."""
    groups: dict[str, list[ResolvedOutput]] = {}
    for item in resolved:
        groups.setdefault(item.filled(pattern, unfit), []).append(item)
    return groups


def _runs(value: Any, whose: Mapping[str, str]) -> list[Run]:
    """Give the runs, of whose system bare ids are; tasks that were skipped leave None, which is no run."""
    if value is None:
        return []
    if isinstance(value, (Run, Mapping, str)) or not isinstance(value, Iterable):
        return parse_runs(value, **whose)
    given = [item for item in value if item is not None]
    return parse_runs(given, **whose) if given else []


def _ended(hook: WorkflowHook, run: Run) -> Run:
    seen = run if run.state.is_terminal else hook.get_run(run)
    if not seen.state.is_terminal:
        raise OutputUnavailable(f"run {seen.run_id} is still {seen.state}; wait for its end before you read its output")
    return hook.system.rebuilt(seen)  # a run object may come from anybody


def _chosen(hook: WorkflowHook, run: Run, wanted: str | int | None) -> list[Output]:
    if wanted != ALL:
        return [hook.output(run, wanted)]
    outputs = hook.outputs(run)
    if not outputs:
        raise OutputUnavailable(f"run {run.run_id} has no output")
    return outputs

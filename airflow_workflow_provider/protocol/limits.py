"""How much of a run goes into an event, an XCom or a store: Airflow's database and everybody's triggerer carry it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_workflow_provider.protocol.model import MOST_FORMATS, OUTPUT_LONGEST, Output, Run, RunHandle
from airflow_workflow_provider.protocol.text import cut_text, sendable

MAX_MESSAGE = 10_000  # characters
MAX_OUTPUTS = 2_000
MAX_OUTPUT_BYTES = 512 * 1024  # of all outputs together
LONGEST_FORMAT = 200  # characters
MAX_DETAIL_BYTES = 256 * 1024
TOTAL = "outputs_total"  # among the details: how many outputs the run has, where not all are listed
LEFT_OUT = "details_left_out"  # among the details: what was too large


def fitting(run: Run) -> Run:
    """Give the run as it goes into an event, an XCom or a store; its message says what was cut, its texts are clean.

    Outputs that are not listed can be read all the same: the system is asked for them again, see `is_cut`.
    """
    run = _clean(run)
    message, details = run.message, run.details
    outputs = _fitting_outputs(run)
    if len(outputs) < len(run.outputs):
        message = _with_line(message, f"Only {len(outputs)} of {len(run.outputs)} outputs are listed here.")
        details = {**details, TOTAL: len(run.outputs)}
    kept = _fitting_details(details)
    if len(kept) < len(details):
        left_out = sorted(set(details) - set(kept))[:100]
        message = _with_line(message, f"Details that are too large are left out: {', '.join(left_out)[:500]}.")
        kept[LEFT_OUT] = left_out
    if message is run.message and len(message) <= MAX_MESSAGE and len(outputs) == len(run.outputs):
        return run
    return replace(run, message=cut_text(message, MAX_MESSAGE), outputs=outputs, details=kept)


def is_cut(run: Run) -> bool:
    """True if the run has more outputs than it lists."""
    total = run.details.get(TOTAL)
    return isinstance(total, int) and total > len(run.outputs)


def _clean(run: Run) -> Run:
    """Clean what a run object from outside may hold; what servers say is clean already."""
    document = run.to_json()
    cleaned = sendable(document)
    if cleaned == document:
        return run
    texts = {name: cleaned[name] for name in ("system", "conn_id", "workflow", "run_id", "message", "url", "details")}
    handle = RunHandle(**cleaned.get("handle", {}))
    outputs = (Output(**{**one, "formats": tuple(one["formats"])}) for one in cleaned["outputs"])
    return replace(run, **texts, handle=handle, outputs=tuple(outputs))


def _fitting_outputs(run: Run) -> tuple[Output, ...]:
    size, kept = 0, []
    for output in run.outputs[:MAX_OUTPUTS]:
        if not _is_readable(output):
            continue
        size += len(json.dumps(output.to_json()))
        if size > MAX_OUTPUT_BYTES:
            break
        kept.append(output)
    return run.outputs if len(kept) == len(run.outputs) else tuple(kept)


def _is_readable(output: Output) -> bool:
    """Tell whether `Run.from_json` takes it."""
    texts = all(len(getattr(output, name)) <= longest for name, longest in OUTPUT_LONGEST.items())
    return texts and len(output.formats) <= MOST_FORMATS and all(len(word) <= LONGEST_FORMAT for word in output.formats)


def _fitting_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the smallest details first: ids are small, lists of files and messages are not."""
    sizes = {name: len(json.dumps(value, default=str)) + len(str(name)) for name, value in details.items()}
    if sum(sizes.values()) <= MAX_DETAIL_BYTES:
        return dict(details)
    left, kept = MAX_DETAIL_BYTES, set()
    for name, size in sorted(sizes.items(), key=lambda item: item[1]):
        if size > left:
            break
        left -= size
        kept.add(name)
    return {name: value for name, value in details.items() if name in kept}


def _with_line(message: str, line: str) -> str:
    """Put a line first, where it is not cut."""
    return f"{line}\n{message}" if message else line

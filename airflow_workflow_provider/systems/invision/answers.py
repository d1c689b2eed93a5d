"""Reading InVision's answers: keys in any case, four status words, and a log without run ids."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.api import Api, first_text
from airflow_workflow_provider.protocol.effects import Flow, Note, Request, Response
from airflow_workflow_provider.protocol.model import Run, RunState

# All words of the documentation; how a stopped run shows is unverified. The documentation's JSON is written without
# quotes, so the case of keys and words is unverified too.
STATES: Mapping[str, RunState] = {
    "pending": RunState.QUEUED,
    "running": RunState.RUNNING,
    "succeeded": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
}
WINDOW = 3_600.0  # seconds of log that are read for a run whose start is not known
SKEW = timedelta(seconds=60)  # the server's clock is not ours, and its log may lag
SHOWN = 10  # log lines that a message holds
LINE = 500  # characters of a line


def lowered(document: Any) -> dict[str, Any]:
    """Give the keys of an object in lower case; an empty one for anything else."""
    return {str(key).lower(): value for key, value in document.items()} if isinstance(document, Mapping) else {}


def run_id(document: Any) -> Any:
    """Give the id from the answer to a start."""
    return lowered(document).get("runid")


def blame(api: Api, path: str, run: Run, since: datetime, until: datetime) -> Flow[str]:
    """Give what the monitoring log says of a failed run, best effort: it has no run ids of its own."""
    params = {
        "fromDateTimeUtc": f"{since - SKEW:%Y.%m.%d %H:%M:%S}",
        "toDateTimeUtc": f"{until + SKEW:%Y.%m.%d %H:%M:%S}",
        "logEventType": "DataFlowExecution",
        "logLevel": "Error",
    }
    request = Request("GET", api.url(path), params=params)
    try:
        document = yield from api.read(request, f"reading the monitoring log of run {run.run_id}")
    except WorkflowError as error:
        yield Note(f"The monitoring log of run {run.run_id} cannot be read: {error}")
        return ""
    rows = [lowered(row) for row in document] if isinstance(document, list) else []
    lines = [str(row["data"])[:LINE] for row in rows if row.get("data")]
    if not lines:
        return ""
    named = [line for line in lines if run.run_id.lower() in line.lower()]
    same_flow = [line for line in lines if run.workflow.lower() in line.lower()]
    doubt = "" if named else "errors logged at the same time, perhaps of other runs: "
    return doubt + "; ".join((named or same_flow or lines)[-SHOWN:])


def said(response: Response) -> str:
    """Read an error body; no shape of one is documented."""
    body = response.json_or_none()
    if isinstance(body, str):
        return body
    found = lowered(body)
    return first_text(found.get(name) for name in ("detail", "message", "error", "title", "errors"))

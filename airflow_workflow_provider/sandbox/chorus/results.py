"""The results of a process as the engine stores them, and the words of its progress."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_workflow_provider.sandbox.system import now

from .catalog import SCHEMA, Operator
from .database import CAP, Preview
from .engine import Output, Process

# The engine writes the time of its own zone, with an offset without a colon.
ZONE = timezone(timedelta(hours=-7))
# inferred: only the word "number" has been seen.
TEXT_TYPES = {"VARCHAR", "DATE", "TIMESTAMP", "BOOLEAN"}


def document(process: Process, status: str) -> dict[str, Any]:
    """The whole of a process' results."""
    return {
        "flowMetaInfo": {
            "processId": process.id,
            "workflowId": str(process.file.id),
            "workflowName": process.file.name,
            "executeUser": str(process.user.id),
            "startTime": stamp(process.started_at),
            "endTime": stamp(process.ended_at or now()),
            "status": status,
            "noOfError": 1 if process.error else 0,
            "noOfNodesProcessed": len(process.outputs),
        },
        "logs": logs(process),
        "outputs": [output(process, one) for one in process.outputs],
    }


def logs(process: Process) -> list[dict[str, str]]:
    """One entry for each operator that was tried; without an error its message is the text ``null``."""
    tried = [(one.operator, "null") for one in process.outputs]
    if process.error and process.operator:
        tried.append((process.operator, process.error))
    return [
        {"uuid": node_id(process, operator), "nodeName": operator.name, "errMessage": message}
        for operator, message in tried
    ]


def output(process: Process, made: Output) -> dict[str, Any]:
    """What one operator shows: a table, or a list of titled tables."""
    node = node_id(process, made.operator)
    shared = {
        "out_id": float(f"{node}.5"),
        "out_title": made.operator.name,
        "isGenerateReport": True,
        "node_meta_info": meta(made),
    }
    if not made.parts:
        return shared | {"visualType": 0, "visualData": table(made.table)}
    # inferred: the keys of a nested output are those of an outer one.
    nested = [{"out_title": title, "visualType": 0, "visualData": table(part)} for title, part in made.parts]
    return shared | {"visualType": 6, "visualData": nested}


def table(preview: Preview) -> dict[str, Any]:
    """Columns and the first rows of a table, all cells as text (NULL as empty text is inferred)."""
    notes = []
    if preview.count > CAP:
        notes.append(
            f"Operation created output with {len(preview.columns)} columns and {preview.count:,} rows. "
            f"Visualization of rows limited to {CAP}. Please refer to output table for full results."
        )
    return {
        "columns": preview.columns,
        "columnTypes": ["string" if kind in TEXT_TYPES else "number" for kind in preview.types],
        "fixedNumberOfColumns": 0,
        "errorMessages": notes,
        "items": [dict(zip(preview.columns, row, strict=True)) for row in preview.rows],
    }


def meta(made: Output) -> Sequence[Sequence[str]]:
    """The pairs of name and value that the engine shows about an operator."""
    return [
        ["Node name:", made.operator.name],
        ["Algorithm name: ", made.operator.algorithm],
        ["Executing start from: ", clock(made.started_at)],
        ["Executing end to: ", clock(made.ended_at)],
        ["Database URL", "jdbc:postgresql://greenplum.example.com:5432/demo"],
        ["TableName", f"{SCHEMA}.{made.operator.table}"],
    ]


def progress(process: Process, state: str) -> dict[str, Any]:
    """What a query about a running process answers."""
    return started(process) | {
        "meta": identity(process, state),
        "message": f"In progress, processing node: {node_name(process)}, message:{note(process)}",
    }


def started(process: Process) -> dict[str, Any]:
    """What the start of a process answers."""
    return {"meta": identity(process, "STARTED"), "message": "workflow started", "results": ""}


def identity(process: Process, state: str) -> dict[str, str]:
    """Which process, of which flow and user; all as text."""
    file, user = process.file, process.user
    return {"workflowId": str(file.id), "processId": process.id, "user": str(user.id), "state": state}


def note(process: Process) -> str:
    """The note of an operator inside the message of a running process, itself JSON as text."""
    operator = process.operator or process.flow.operators[0]
    return json.dumps(
        {
            "analyticNodeId": node_id(process, operator),
            "analyticNodeName": operator.name,
            "messageType": "Info",
            "timeStamp": clock(now()),
            "props": {"message": process.said} if process.said else {},
        },
        separators=(",", ":"),
    )


def node_name(process: Process) -> str:
    """The operator that a process is at."""
    return (process.operator or process.flow.operators[0]).name


def node_id(process: Process, operator: Operator) -> str:
    """The id of an operator: milliseconds since 1970 of when it was drawn."""
    return str(1_484_954_351_000 + process.file.id % 1000 * 100 + process.flow.operators.index(operator))


def stamp(moment: datetime) -> str:
    """A time as ``2017-04-25T14:59:03.259-0700``."""
    local = moment.astimezone(ZONE)
    return f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03d}{local:%z}"


def clock(moment: datetime) -> str:
    """A time as ``Jan 20, 2017 3:19:11 PM``."""
    local = moment.astimezone(ZONE)
    return f"{local:%b} {local.day}, {local.year} {local.hour % 12 or 12}:{local:%M:%S %p}"

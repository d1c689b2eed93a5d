"""The list of an app's jobs, which says of many jobs at once whether they go on.

Parameters and fields are [v1]'s and [v3]'s; how many jobs a server gives at once, and in which order if it does not
heed ours, is unverified: whatever it does, a job that is not seen here is asked for alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.effects import Flow, Request, Shown
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.systems.alteryx.access import Generation
from airflow_workflow_provider.systems.alteryx.jobs import goes_on

PAGE = (50, 500)  # jobs asked for at once: at least, at most
DEPTH = 20  # jobs read for each that is waited for, before the rest is left to be asked for alone


def shown(api: Api, paths: Generation, workflow: str, wanted: Collection[str]) -> Flow[Shown]:
    """Read the jobs, newest first, until all that are wanted are found or there are no more."""
    missing, going, over = set(wanted), set[str](), set[str]()
    size = min(max(2 * len(missing), PAGE[0]), PAGE[1])
    read, requests, is_whole = 0, 0, False
    depth = max(size, DEPTH * len(wanted))
    while missing and read < depth:
        params = {**paths.newest_first, "offset": str(read), "limit": str(min(size, depth - read))}
        request = Request("GET", api.url(paths.jobs, workflow=workflow), params=params)
        document = yield from api.read(request, f"listing the jobs of workflow {workflow}")
        rows = 0
        for row in jobs_of(request, document):
            rows += 1
            run_id = str(row.get("id"))
            if run_id in missing and (state := goes_on(row)) is not None:
                missing.remove(run_id)
                (going if state else over).add(run_id)
        read, requests = read + rows, requests + 1
        if not rows:
            is_whole = True
            break
    return Shown(going, over, read, requests, is_whole)


def jobs_of(request: Request, document: Any) -> list[Mapping[str, Any]]:
    """Give the jobs of a list; raises `NotSupported` for an answer that is none."""
    rows = list(rows_of(document))
    is_empty = (document.get("data") if isinstance(document, Mapping) else document) == []
    if not is_empty and not any(row.get("id") for row in rows):
        raise NotSupported(f"{request}: the answer is not a list of jobs")
    return rows


def dated(runs: list[Run]) -> list[Run]:
    """Give runs whose start is known; one whose start is not may be any, so `NotSupported` is raised."""
    if any(run.started_at is None for run in runs):
        raise NotSupported("Alteryx's list of jobs does not tell when each was created")
    return runs


def is_past(runs: list[Run], since: datetime) -> bool:
    """Tell whether a page proves that the next ones hold older jobs only: it falls, and has come below ``since``."""
    times = [run.started_at for run in runs if run.started_at]
    falls = len(times) == len(runs) > 1 and all(later >= run for later, run in itertools.pairwise(times))
    return falls and times[0] > times[-1] and times[-1] < since


def rows_of(document: Any) -> Iterator[Mapping[str, Any]]:
    """Give the rows of a list, bare or in the envelope of the paged calls."""
    rows = document.get("data") if isinstance(document, Mapping) else document
    return (row for row in rows if isinstance(row, Mapping)) if isinstance(rows, list) else iter(())

"""The list of an app's jobs, which tells of many jobs at once whether they go on.

Parameters and fields are [v1]'s and [v3]'s; how many jobs a server gives at once, and in which order if it does not
heed ours, is unverified: whatever it does, a job that is not seen here is asked for alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.effects import Flow, Request, Shown
from airflow_workflow_provider.systems.alteryx_access import Generation
from airflow_workflow_provider.systems.alteryx_jobs import goes_on

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
        if not isinstance(document.get("data") if isinstance(document, Mapping) else document, list):
            raise NotSupported(f"{request}: the answer is no list")
        rows = 0
        for row in rows_of(document):
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


def rows_of(document: Any) -> Iterator[Mapping[str, Any]]:
    """Give the rows of a list, bare or in the envelope of the paged calls."""
    rows = document.get("data") if isinstance(document, Mapping) else document
    return (row for row in rows if isinstance(row, Mapping)) if isinstance(rows, list) else iter(())

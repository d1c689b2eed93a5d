"""Datasets of a workspace as CSV: whole tables, where an operator's stored result has 25 rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_workflow_provider.exceptions import OutputGone, OutputUnavailable
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.effects import Flow, Request, Response
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.protocol.paging import NumberedPages, read_pages
from airflow_workflow_provider.protocol.results import FileSource
from airflow_workflow_provider.protocol.system import existing, id_text
from airflow_workflow_provider.systems.chorus import answers

TABLE_PREFIX = "table:"
WORKFILE = "/workfiles/{workfile}"
DATASETS = "/workspaces/{workspace}/datasets"
DOWNLOAD = "/datasets/{dataset}/download"
PAGE = 50
MAX_PAGES = 40
# The server answers 200 before it runs the query [src]: an error of the database comes as text in the place of the
# header, and so does the remark that there are no rows.
NO_ROWS = b"The query returned no rows"
# Case and colon tell such a text from columns that are called "error" or "last_error".
_BLAME = re.compile(rb"^\W*((ERROR|FATAL)[: ]|[\w.:]*(Error|Exception):|PG::)")


class Datasets:
    """The datasets beside a flow."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def source(self, run: Run, output: Output) -> FileSource:
        """Download the one dataset of the flow's workspace that has this very name; it may be ``schema.name``."""
        name = output.name.removeprefix(TABLE_PREFIX).strip()
        return FileSource(
            "csv", lambda: existing(self._download(run, name), run, output), check=lambda head: _check(name, head)
        )

    def _download(self, run: Run, name: str) -> Flow[Response]:
        dataset = yield from self._find(run, name)
        request = Request("GET", self.api.url(DOWNLOAD, dataset=dataset), headers={"Accept": "*/*"}, stream=True)
        return (yield from self.api.call(request, f"downloading dataset {name!r}"))

    def _find(self, run: Run, name: str) -> Flow[str]:
        # A Job's number says nothing about workfiles: what it ran tells the workspace.
        told = run.details.get("workfiles") if run.run_id.startswith("job:") else [run.workflow]
        workfile_id = next((text for one in told if (text := id_text(one))), "") if isinstance(told, list) else ""
        if not workfile_id:
            raise OutputUnavailable(f"run {run.run_id}: the Job ran no workfile, so its workspace is not known")
        request = Request("GET", self.api.url(WORKFILE, workfile=workfile_id))
        workfile = answers.response_of((yield from self.api.read(request, f"reading workfile {workfile_id}")))
        place = workfile.get("workspace")
        workspace = str(place.get("id") or "") if isinstance(place, Mapping) else ""
        if not workspace:
            raise OutputUnavailable(f"run {run.run_id}: the workspace of workfile {run.workflow} is not known")
        return (yield from self._only(workspace, name))

    def _only(self, workspace: str, name: str) -> Flow[str]:
        """Give the id of the dataset; the schemas of a workspace may have several of one name."""
        # A name may hold dots of its own, so the list is asked for what surely is no schema.
        params = {"name_pattern": name.rpartition(".")[2]}
        request = Request("GET", self.api.url(DATASETS, workspace=workspace), params=params)
        rows = yield from read_pages(
            self.api,
            request,
            "listing datasets",
            paginator=NumberedPages(PAGE, total=answers.pages_of),
            rows_of=lambda request, document: answers.rows_of(document),
            max_pages=MAX_PAGES,
        )
        found = {
            str(row.get("id")): full for row in rows if name in (str(row.get("object_name")), full := _full_name(row))
        }
        if len(found) > 1:
            names = ", ".join(sorted(found.values()))
            raise OutputUnavailable(f"workspace {workspace} has several datasets {name!r}: {names}; name one of these")
        if not found:
            alike = ", ".join(str(row.get("object_name")) for row in rows[:10]) or "none"
            raise OutputGone(f"workspace {workspace} has no dataset {name!r}; alike: {alike}")
        return next(iter(found))


def _full_name(row: Mapping[str, Any]) -> str:
    schema = row.get("schema")
    name = str(row.get("object_name"))
    return f"{schema.get('name')}.{name}" if isinstance(schema, Mapping) else name


def _check(name: str, head: bytes) -> None:
    """Look at the first bytes of a download; raises `OutputUnavailable` where they are no header."""
    line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip()
    if line == NO_ROWS:
        raise OutputUnavailable(f"dataset {name!r} has no rows, and the server sends no columns for an empty dataset")
    if _BLAME.match(line):
        raise OutputUnavailable(f"dataset {name!r} cannot be read: {line.decode('utf-8', 'replace')[:300]}")

"""Datasets: the tables and views of a workspace's sandbox, and their download as CSV."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from . import answers, presenters
from .catalog import PUBLIC, SCHEMA, SECOND_SCHEMA
from .database import SECOND, SOURCES, Database
from .rails import Call, Endpoint, may_look
from .workfiles import workspace_of

if TYPE_CHECKING:
    from .settings import ChorusSettings

DROPPED = "dropped_table"  # once there, now gone: Chorus still has a record of it
TWIN = f"{SECOND_SCHEMA}.{SECOND}"
FIRST = 1_000_001


class Datasets:
    """The handlers; all tables belong to the workspace "Public"."""

    def __init__(self, settings: ChorusSettings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.numbers = itertools.count(FIRST)
        self.ids: dict[str, int] = {DROPPED: next(self.numbers)}

    def endpoints(self) -> list[Endpoint]:
        """What wants a session."""
        return [
            ("GET", "/workspaces/{workspace}/datasets", self.listed),
            ("GET", "/workspaces/{workspace}/datasets/{dataset}", self.show),
            ("GET", "/datasets/{dataset}/download", self.download),
        ]

    async def listed(self, call: Call) -> Response:
        """``GET /api/workspaces/:id/datasets``: names are looked up in the database at this moment."""
        workspace = workspace_of(call)
        pattern, subtype = str(call.params.get("name_pattern") or "").lower(), call.params.get("entity_subtype")
        tables = self.tables() if workspace == PUBLIC else {}
        shown = [self.shown(name, tables) for name in tables]
        # inferred: how letters compare; a pattern anywhere in the name is what the page of a workspace does.
        named = [one for one in shown if pattern in one["object_name"].lower()]
        found = [one for one in named if subtype in (None, "", one["entity_subtype"])]
        return answers.several(*answers.page(found, call.params))

    async def show(self, call: Call) -> Response:
        """``GET /api/workspaces/:id/datasets/:id``: one that is gone is shown all the same, with an error."""
        workspace = workspace_of(call)
        name = self.name_of(call)
        if workspace != PUBLIC:
            raise answers.not_found()
        tables = self.tables()
        if name not in tables:
            content = {"response": self.shown(name, tables), "errors": {"record": "MISSING_DB_OBJECT"}}
            return answers.RailsJson(content, status_code=422)
        return answers.one(self.shown(name, tables))

    async def download(self, call: Call) -> Response:
        """``GET /api/datasets/:id/download[?row_limit=]``: status 200 is sent before the query runs."""
        name = self.name_of(call)
        may_look(call.user, PUBLIC)
        limit = answers.whole(call.params.get("row_limit"), 0)
        schema, table = split(name)
        most, error_after = limit if limit > 0 else None, self.settings.download_error_after
        lines = self.database.csv(table, most, error_after, schema=schema)
        headers = {"content-disposition": f'attachment; filename="{table}.csv"', "content-type": "text/html"}
        return StreamingResponse(lines, headers=headers)

    def name_of(self, call: Call) -> str:
        """The name of the dataset in the path; 404 without one."""
        self.tables()
        number = call.id("dataset")
        name = next((name for name, one in self.ids.items() if one == number), None)
        if name is None:
            raise answers.not_found()
        return name

    def tables(self) -> dict[str, bool]:
        """What is in the database now, by name, in the second schema with its schema; each that is new gets an id."""
        tables = self.database.tables() | ({TWIN: False} if self.settings.second_schema else {})
        for name in tables:
            if name not in self.ids:
                self.ids[name] = next(self.numbers)
        return tables

    def shown(self, name: str, tables: dict[str, bool]) -> dict[str, Any]:
        """A dataset as JSON; one that is not in the database any more is stale."""
        view = tables.get(name, False)
        subtype = "CHORUS_VIEW" if view else "SOURCE_TABLE" if name in (*SOURCES, TWIN) else "SANDBOX_TABLE"
        kind = "VIEW" if view else "TABLE"
        schema, table = split(name)
        return presenters.dataset(self.ids[name], schema, table, subtype, kind, stale=name not in tables)


def split(name: str) -> tuple[str, str]:
    """The schema of a table, and its name there."""
    return (SECOND_SCHEMA, SECOND) if name == TWIN else (SCHEMA, name)

"""The JSON Data API and the Monitoring API, each with a key of its own."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from . import answers
from .catalog import DATA_KEY, MONITORING_KEY
from .eaze import EazeError
from .runs import Runs
from .settings import InvisionSettings
from .solution import RoutineError, Solution

if TYPE_CHECKING:
    from starlette.requests import Request

TIME_FORMAT = "%Y.%m.%d %H:%M:%S"


class DataApi:
    """The handlers."""

    def __init__(self, settings: InvisionSettings, solution: Solution, runs: Runs) -> None:
        self.settings, self.solution, self.runs = settings, solution, runs

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route("/api/pub/v1/db/tables/{name}/data", self.table),
            Route("/api/pub/v1/db/objects/{name}/data", self.object),
            Route("/api/v1/monitoring", self.monitoring),
        ]

    async def table(self, request: Request) -> Response:
        """``GET …/db/tables/{table}/data[?q={…}]``: by the name in the database."""
        return await self.rows(request, self.solution.tables)

    async def object(self, request: Request) -> Response:
        """``GET …/db/objects/{object}/data[?q={…}]``: by the name in the solution, which may contain spaces."""
        return await self.rows(request, self.solution.objects)

    async def rows(self, request: Request, tables: Mapping[str, str]) -> Response:
        """The rows of a table, all at once and in no promised order."""
        answers.admit(request, self.settings, DATA_KEY)
        table = tables.get(request.path_params["name"].lower())
        if table is None:
            raise answers.error(self.settings, 404)
        try:
            pieces = await self.solution.rows(table, request.query_params.get("q"))
        except (EazeError, RoutineError) as error:
            raise answers.error(self.settings, 400) from error
        return StreamingResponse(pieces, media_type="application/json; charset=utf-8")

    async def monitoring(self, request: Request) -> Response:
        """``GET /api/v1/monitoring?fromDateTimeUtc=&toDateTimeUtc=[&logEventType=][&logLevel=]``: no run ids."""
        answers.admit(request, self.settings, MONITORING_KEY)
        asked = request.query_params
        try:
            begin, end = moment(asked["fromDateTimeUtc"]), moment(asked["toDateTimeUtc"])
        except (KeyError, ValueError) as error:
            raise answers.error(self.settings, 400) from error
        event, level = asked.get("logEventType"), asked.get("logLevel")
        if self.settings.log_status:
            return Response(status_code=self.settings.log_status)
        found = [
            one
            for at, one in self.entries()
            if begin <= at <= end and event in (None, one["logevent"]) and level in (None, one["level"])
        ]
        return Response(self.settings.spoiled(bytes(JSONResponse(found).body)), media_type="application/json")

    def entries(self) -> list[tuple[datetime, dict[str, str]]]:
        """The log of all data flows, oldest first (how ids and times are spelled is inferred)."""
        lines = [line for run in self.runs.known.values() if run.environment is None for line in run.lines]
        return [
            (
                line.at,
                {
                    "rowid": str(uuid.UUID(int=line.number)),
                    "data": line.text,
                    "level": line.level,
                    "timestamputc": f"{line.at:%Y-%m-%dT%H:%M:%S.%f}"[:-3],
                    "logevent": "DataFlowExecution",
                },
            )
            for line in self.settings.kept(sorted(lines, key=lambda line: line.number))
        ]


def moment(text: str) -> datetime:
    """A time as ``2021.08.24 15:08:41``, in UTC."""
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)

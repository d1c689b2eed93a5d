"""The paths of CARTO's SQL API v3, as its reference lists them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import answers
from .catalog import CONNECTIONS, Connection
from .cdn import Cdn
from .dialect import Call, Parameters, Statement, understood
from .errors import ApiError, SqlError, UnknownProcedure, connection_not_found, error_answer, not_found
from .jobs import Job, Jobs
from .procedures import Invocation, invocation
from .queries import Queries
from .settings import CartoSettings
from .tokens import Token, Tokens, permit
from .warehouse import Warehouse

if TYPE_CHECKING:
    from starlette.requests import Request


class Api:
    """The handlers; each raises :class:`ApiError` for an answer that is an error."""

    def __init__(self, settings: CartoSettings) -> None:
        self.settings = settings
        self.tokens = Tokens(settings)
        self.fill(Warehouse())

    def reset(self) -> None:
        """A fresh warehouse, no jobs, no kept answers, only the fixed tokens."""
        self.stop()
        self.tokens.reset()
        # Making one takes a while, which tests of other systems need not pay.
        self.fill(Warehouse() if self.warehouse.used else self.warehouse)

    def fill(self, warehouse: Warehouse) -> None:
        """What the API holds when nothing has happened yet."""
        self.warehouse = warehouse
        self.queries = Queries(self.settings, warehouse)
        self.jobs = Jobs(self.settings, warehouse)
        self.cdn = Cdn()

    def stop(self) -> None:
        """Break off jobs and queries."""
        self.jobs.clear()
        self.warehouse.interrupt()

    def app(self) -> Starlette:
        """The ASGI app."""
        routes = [
            Route("/oauth/token", self.tokens.grant, methods=["POST"]),
            Route("/v3/sql/jobs", self.list_jobs),
            Route("/v3/sql/{connection}/query", self.query, methods=["GET", "POST"]),
            Route("/v3/sql/{connection}/job", self.create_job, methods=["GET", "POST"]),
            Route("/v3/sql/{connection}/job/{job}", self.job_status),
            Route("/v3/sql/{connection}/job/{job}", self.cancel_job, methods=["DELETE"]),
        ]
        handlers = {ApiError: self.refused, HTTPException: self.refused}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def refused(self, request: Request, error: Exception) -> Response:
        """An error as CARTO writes it; unknown paths and methods are 404."""
        return error_answer(error if isinstance(error, ApiError) else not_found(), self.settings.error_style)

    async def create_job(self, request: Request) -> Response:
        """``POST /v3/sql/{connection}/job``, and GET as the API dialog of a workflow offers it; SQL in ``query``."""
        token, connection = self.entered(request)
        query, parameters = await sent(request, "query")
        work = self.work_of(query, connection, parameters, token)
        job = self.jobs.start(connection, query, parameters, work)
        return JSONResponse(answers.created(job, self.settings), status_code=self.settings.job_status_code)

    def work_of(
        self, query: str, connection: Connection, parameters: Parameters, token: Token
    ) -> Invocation | Statement | SqlError:
        """What a job will do.

        inferred: only grants are checked before the job exists; whatever is wrong with the statement becomes the
        job's failure, as the documented failure "due to incorrect parameter types" does.
        """
        try:
            statement = understood(query, connection, parameters)
            permit(token, connection.name, statement)
            return invocation(statement, connection, self.settings) if isinstance(statement, Call) else statement
        except UnknownProcedure as error:
            if self.settings.unknown_procedure != "failure":
                raise ApiError(int(self.settings.unknown_procedure), error.message) from error
            return error
        except SqlError as error:
            return error

    async def job_status(self, request: Request) -> Response:
        """``GET /v3/sql/{connection}/job/{externalId}``."""
        return JSONResponse(answers.status(self.job_of(request), self.settings))

    async def cancel_job(self, request: Request) -> Response:
        """``DELETE /v3/sql/{connection}/job/{externalId}``; body and codes are inferred."""
        job = self.job_of(request)
        if not self.jobs.cancel(job):
            if self.settings.cancel_finished_status >= 400:
                raise ApiError(self.settings.cancel_finished_status, "Job is already finished")
            return JSONResponse({"externalId": job.id}, status_code=self.settings.cancel_finished_status)
        return JSONResponse({"externalId": job.id, "status": "cancelled"}, status_code=self.settings.cancel_status)

    async def list_jobs(self, request: Request) -> Response:
        """``GET /v3/sql/jobs``; only the path is documented, the shape is inferred."""
        self.tokens.of(request)
        listed = self.jobs.known.values() if self.settings.jobs_listed else []
        return JSONResponse([answers.status(job, self.settings) for job in listed])

    async def query(self, request: Request) -> Response:
        """``GET`` and ``POST /v3/sql/{connection}/query``: run and answer at once; SQL in ``q``."""
        token, connection = self.entered(request)
        kept = self.cdn.find(request) if request.method == "GET" and self.settings.get_cache else None
        if kept:
            return kept
        query, parameters = await sent(request, "q")
        body = await self.queries.result(query, connection, parameters, token)
        if request.method == "GET" and self.settings.get_cache:
            return self.cdn.keep(request, body)
        return Response(body, media_type="application/json")

    def entered(self, request: Request) -> tuple[Token, Connection]:
        """The token and the connection of a request; a missing token is said first."""
        token, name = self.tokens.of(request), request.path_params["connection"]
        if name not in CONNECTIONS:
            raise connection_not_found(name)
        return token, CONNECTIONS[name]

    def job_of(self, request: Request) -> Job:
        """The job of a request; what an unknown one answers is inferred."""
        _, connection = self.entered(request)
        job = self.jobs.known.get(request.path_params["job"])
        if job is None or job.connection != connection:
            raise ApiError(self.settings.unknown_job_status, "Job not found")
        return job


async def sent(request: Request, key: str) -> tuple[str, Parameters]:
    """The SQL under its key and the query parameters, from the URL of a GET or the JSON body of a POST."""
    values: Any = dict(request.query_params)
    try:
        if request.method == "POST":
            values = json.loads(await request.body())
        elif values.get("queryParameters"):
            values["queryParameters"] = json.loads(values["queryParameters"])
    except ValueError as error:
        raise ApiError(400, f"Invalid JSON: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get(key), str) or not values[key].strip():
        raise ApiError(400, f"Missing parameter: {key}")
    parameters = values.get("queryParameters") or {}
    if not isinstance(parameters, dict | list):
        raise ApiError(400, "queryParameters must be an object or an array")
    return values[key], parameters

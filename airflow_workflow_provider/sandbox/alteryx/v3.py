"""The paths of V3; job outputs are not among them, they are fetched through V1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import answers
from .access import Access
from .apps import APPS
from .body import wanted
from .catalog import App
from .errors import ApiError, denied, invalid, no_method, no_route
from .jobs import Job, Jobs
from .lists import PAGE, RESULT_FILTER, SORT_KEYS, STATUS_FILTER, day, filtered, listed, number, paged, pagination
from .package import package_of
from .settings import AlteryxSettings
from .users import ARTISAN
from .v1 import app_of, job_of, started

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass
class V3:
    """The handlers; each raises :class:`ApiError` for an answer that is an error."""

    settings: AlteryxSettings
    jobs: Jobs
    access: Access

    def routes(self) -> list[Route]:
        """The paths that concern workflows and their runs."""
        return [
            Route("/v3/workflows", self.workflows),
            Route("/v3/workflows/{app}", self.workflow),
            Route("/v3/workflows/{app}/questions", self.questions),
            Route("/v3/workflows/{app}/package", self.package),
            Route("/v3/workflows/{app}/jobs", self.list_jobs),
            Route("/v3/workflows/{app}/jobs", self.create_job, methods=["POST"]),
            Route("/v3/jobs", self.all_jobs),
            Route("/v3/jobs/{job}", self.job),
            Route("/v3/jobs/{job}", self.cancel, methods=["DELETE"]),
            Route("/v3/jobs/{job}/messages", self.messages),
        ]

    async def workflows(self, request: Request) -> Response:
        """``GET /v3/workflows``: all, or those that ``name``, ``ownerId`` and the dates leave; no paging."""
        await self.access.user(request, v3=True)
        asked = request.query_params
        view, name, owner = asked.get("view", "Default"), asked.get("name", ""), asked.get("ownerId") or ARTISAN.id
        if view not in ("Default", "Full"):
            raise invalid("view", f"The value '{view}' is not valid.")
        after, before = asked.get("createdAfter") or "", asked.get("createdBefore") or "9"
        dated = after <= answers.UPLOADED <= before and owner == ARTISAN.id
        found = [app for app in APPS if dated and self.named(app, name)]
        return JSONResponse([self.shown(app) if view == "Full" else answers.v3_reduced(app) for app in found])

    def named(self, app: App, name: str) -> bool:
        """Whether an app is meant by a name."""
        exact = self.settings.name_filter == "exact"
        return not name or (app.name == name if exact else name.lower() in app.name.lower())

    async def workflow(self, request: Request) -> Response:
        """``GET /v3/workflows/{workflowId}``."""
        await self.access.user(request, v3=True)
        return JSONResponse(self.shown(app_of(request)))

    def shown(self, app: App) -> dict[str, Any]:
        """A workflow with all that is known of it."""
        return answers.v3_app(app, sum(job.app is app for job in self.jobs.known.values()))

    async def questions(self, request: Request) -> Response:
        """``GET /v3/workflows/{workflowId}/questions``."""
        await self.access.user(request, v3=True)
        return JSONResponse([answers.question(one, v3=True) for one in app_of(request).questions])

    async def package(self, request: Request) -> Response:
        """``GET /v3/workflows/{workflowId}/package``."""
        await self.access.user(request, v3=True)
        return Response(package_of(app_of(request)), media_type="application/octet-stream")

    async def create_job(self, request: Request) -> Response:
        """``POST /v3/workflows/{workflowId}/jobs`` answers 200, not 201."""
        user = await self.access.user(request, v3=True)
        app = app_of(request)
        job = started(self.jobs, app, user, await wanted(request, "webapi", worker=True, credential=True))
        return JSONResponse(answers.v3_job(job, self.settings, started=True, with_messages=True))

    async def list_jobs(self, request: Request) -> Response:
        """``GET /v3/workflows/{workflowId}/jobs``: oldest first unless ``direction`` is desc."""
        await self.access.user(request, v3=True)
        app = app_of(request)
        states = filtered(request, "status", STATUS_FILTER) & filtered(request, "resultCode", RESULT_FILTER)
        found = [job for job in self.jobs.listed() if job.app is app and job.state in states]
        found = found[::-1] if request.query_params.get("direction", "").lower() == "desc" else found
        return JSONResponse([answers.v3_listed_job(job, self.settings) for job in paged(request, found)])

    async def job(self, request: Request) -> Response:
        """``GET /v3/jobs/{jobId}``; ``includeMessages`` is taken for true, as in V1 (inferred)."""
        await self.access.user(request, v3=True)
        asked = request.query_params.get("includeMessages", "").lower()
        job = job_of(request, self.jobs)
        if asked == "true" and self.settings.log_status:
            return Response(status_code=self.settings.log_status)
        shown = answers.v3_job(job, self.settings, started=False, with_messages=asked != "false")
        return Response(self.settings.spoiled(bytes(JSONResponse(shown).body)), media_type="application/json")

    async def cancel(self, request: Request) -> Response:
        """``DELETE /v3/jobs/{jobId}`` since 2025.1: 200 without a body; curators any job, others their own.

        inferred: the code for somebody else's job.
        """
        user = await self.access.user(request, v3=True)
        if not self.access.has("cancel"):
            is_405 = self.settings.cancel_unsupported_status == 405
            raise no_method("DELETE") if is_405 else no_route(str(request.url))
        job = job_of(request, self.jobs)
        if job.user is not user and not user.curator:
            raise denied()
        if not self.jobs.cancel(job) and self.settings.cancel_ended_status >= 400:
            # inferred: that a job which has ended is refused, and how.
            raise ApiError(self.settings.cancel_ended_status, "The job is not queued or running.")
        return Response()

    async def messages(self, request: Request) -> Response:
        """``GET /v3/jobs/{jobId}/messages`` since 2024.2, for curators; the code for others is inferred."""
        user = await self.access.user(request, v3=True)
        if not self.access.has("messages"):
            raise no_route(str(request.url))
        if not user.curator:
            raise denied()
        found = answers.messages(job_of(request, self.jobs), self.settings)
        if self.settings.messages_style == "list":
            return JSONResponse(found)
        return JSONResponse(found[0] if found else None)

    async def all_jobs(self, request: Request) -> Response:
        """``GET /v3/jobs`` since 2025.2, for curators: a page of everybody's jobs.

        inferred: that it takes no ``allUsers`` for that.
        """
        user = await self.access.user(request, v3=True)
        if not self.access.has("job list"):
            raise no_route(str(request.url))
        if not user.curator:
            raise denied()
        found = [job for job in self.jobs.listed() if self.meant(job, request)]
        key = SORT_KEYS.get(request.query_params.get("sortField", "CreateDate"))
        if key is None:
            raise invalid("sortField", "The value is not valid.")
        found.sort(key=key, reverse=request.query_params.get("direction", "").lower() == "desc")
        offset, limit = number(request, "offset", 0), number(request, "limit", PAGE)
        rows = [answers.v3_paged_job(job, self.settings) for job in found[offset : offset + limit]]
        return JSONResponse({"data": rows, "pagination": pagination(len(found), offset, limit)})

    def meant(self, job: Job, request: Request) -> bool:
        """Whether the filters of a page leave a job; how they compare is inferred."""
        shown = answers.v3_paged_job(job, self.settings)
        by_value = {
            "priorities": (job.wanted.priority, shown["priority"]),
            "statuses": (shown["status"],),
            "users": (job.user.id, job.user.name),
            "workflowNames": (job.app.name, job.app.file_name),
        }
        chosen = all(not (asked := listed(request, name)) or asked & set(values) for name, values in by_value.items())
        after, before = day(request, "completedAfter", date.min), day(request, "completedBefore", date.max)
        ended = job.ended_at.date() if job.ended_at else None
        return chosen and (ended is None or after <= ended <= before)

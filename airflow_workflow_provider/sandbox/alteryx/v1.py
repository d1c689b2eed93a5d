"""The paths of V1, which both worlds have, and the few of V2 that concern runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email import message_from_bytes
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from ..file_response import file_response
from . import answers
from .access import Access
from .apps import APPS, BY_ID
from .body import wanted
from .catalog import App
from .engine import BOM
from .errors import ApiError, invalid, not_found
from .jobs import Job, Jobs, Wanted
from .lists import paged
from .package import package_of
from .settings import AlteryxSettings
from .users import CREDENTIALS, User

if TYPE_CHECKING:
    from starlette.requests import Request

# The sort fields of the subscription list that differ between our apps.
SORTED_BY = {"name": lambda app: app.name.lower(), "description": lambda app: app.summary.lower()}


@dataclass
class V1:
    """The handlers; each raises :class:`ApiError` for an answer that is an error."""

    settings: AlteryxSettings
    jobs: Jobs
    access: Access

    def routes(self, prefix: str = "") -> list[Route]:
        """The paths below a prefix; a path of a workflow itself is not among them, no source knows one."""
        shared = [
            Route(prefix + "/v1/workflows/subscription", self.subscription),
            Route(prefix + "/v1/workflows/{app}/questions", self.questions),
            Route(prefix + "/v1/workflows/{app}/jobs", self.list_jobs),
            Route(prefix + "/v1/workflows/{app}/jobs", self.create_job, methods=["POST"]),
            Route(prefix + "/v1/jobs/{job}", self.job),
            Route(prefix + "/v1/jobs/{job}/output/{output}", self.output),
            Route(prefix + "/v1/{app}/package", self.package),
            Route(prefix + "/user/v2/inputfiles", self.input_file, methods=["POST"]),
        ]
        if self.access.world == "gallery":
            return shared
        return [
            *shared,
            Route(prefix + "/v1/workflows/{app}/package", self.package),
            Route(prefix + "/user/v2/workflows/{app}/jobs", self.create_job, methods=["POST"]),
            Route(prefix + "/user/v2/credentials", self.credentials),
        ]

    def answer(self, body: Any) -> Response:
        """JSON, with a byte order mark where the switch says so; any origin may ask, as recorded."""
        marked = self.settings.v1_bom in ("always", self.access.world)
        data = (BOM if marked else b"") + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"content-type": "application/json; charset=utf-8", "access-control-allow-origin": "*"}
        return Response(data, headers=headers)

    async def subscription(self, request: Request) -> Response:
        """``GET /v1/workflows/subscription``: the apps; how ``search`` compares is inferred."""
        await self.access.user(request)
        search = request.query_params.get("search", "").lower()
        package_type = request.query_params.get("packageType", "0")
        found = [app for app in APPS if search in app.name.lower() and package_type in ("0", "App")]
        if key := SORTED_BY.get(request.query_params.get("sortField", "").lower()):
            found.sort(key=key)
        shown = [answers.v1_app(app, self.runs_of(app), self.access.world) for app in paged(request, found)]
        return self.answer(shown)

    async def questions(self, request: Request) -> Response:
        """``GET /v1/workflows/{appId}/questions``."""
        await self.access.user(request)
        return self.answer([answers.question(one, v3=False) for one in app_of(request).questions])

    async def create_job(self, request: Request) -> Response:
        """``POST /v1/workflows/{appId}/jobs``, and V2's, which can choose a credential."""
        user = await self.access.user(request)
        app, is_v2 = app_of(request), "/user/v2/" in request.url.path
        job = started(self.jobs, app, user, await wanted(request, self.access.world, worker=False, credential=is_v2))
        return self.answer(self.shown(job, started=True))

    async def list_jobs(self, request: Request) -> Response:
        """``GET /v1/workflows/{appId}/jobs``: what the API started, oldest first unless ``direction`` is desc."""
        await self.access.user(request)
        app = app_of(request)
        found = [job for job in self.jobs.listed() if job.app is app]
        found = found[::-1] if request.query_params.get("direction") == "desc" else found
        shown = [answers.v1_listed_job(job, self.settings, self.access.world) for job in paged(request, found)]
        return self.answer(shown)

    async def job(self, request: Request) -> Response:
        """``GET /v1/jobs/{jobId}``, with messages unless ``includeMessages`` is false."""
        await self.access.user(request)
        asked = request.query_params.get("includeMessages", "").lower()
        job = job_of(request, self.jobs)
        if asked == "true" and self.settings.log_status:
            return Response(status_code=self.settings.log_status)
        return self.answer(self.shown(job, with_messages=asked != "false"))

    async def output(self, request: Request) -> Response:
        """``GET /v1/jobs/{jobId}/output/{outputId}?format=``: a file in one of its formats; headers are inferred."""
        await self.access.user(request)
        outputs = {one.id: one for one in job_of(request, self.jobs).outputs}
        if request.path_params["output"] not in outputs:
            raise not_found("Output")
        made = outputs[request.path_params["output"]]
        # inferred: that Raw is the default, as it is of the JavaScript client, and the code for another format.
        asked = request.query_params.get("format", "Raw")
        if asked not in made.output.formats:
            raise ApiError(400, f"The format {asked} is not available for this output.")
        source = made.output.name.rpartition(".")[2].capitalize()
        form = source if asked == "Raw" else asked
        path = await self.jobs.engine.file(made, form, self.settings.csv_bom and form == "Csv" and source != "Csv")
        name = f"{made.output.name.rpartition('.')[0]}.{form.lower()}"
        return file_response(request, path, "application/octet-stream", filename=name)

    async def input_file(self, request: Request) -> Response:
        """``POST /user/v2/inputfiles``: multipart ``file`` and ``name``; the text of the answer is inferred."""
        await self.access.user(request)
        parts = multipart(request.headers.get("content-type", ""), await request.body())
        if "file" not in parts or not parts.get("name"):
            raise invalid("file", "A file and its name are needed.")
        name, content = parts["name"].decode(), parts["file"]
        return self.answer(f"{sha256(content).hexdigest()[:24]}_{name}")

    async def package(self, request: Request) -> Response:
        """``GET /v1/{appId}/package``: the .yxzp."""
        await self.access.user(request)
        return Response(package_of(app_of(request)), media_type="application/octet-stream")

    async def credentials(self, request: Request) -> Response:
        """``GET /user/v2/credentials``."""
        await self.access.user(request)
        return self.answer([{"id": one, "userName": name} for one, name in CREDENTIALS.items()])

    def shown(self, job: Job, *, started: bool = False, with_messages: bool = True) -> dict[str, Any]:
        """A job in V1's form."""
        return answers.v1_job(job, self.settings, self.access.world, started=started, with_messages=with_messages)

    def runs_of(self, app: App) -> int:
        """How often an app was run."""
        return sum(job.app is app for job in self.jobs.known.values())


def multipart(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields of a multipart body; 415 for another one."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    if message.get_content_type() != "multipart/form-data" or not message.is_multipart():
        raise ApiError(415, "Unsupported Media Type")
    parts = {str(part.get_param("name", header="content-disposition")): part for part in message.walk()}
    return {name: bytes(part.get_payload(decode=True) or b"") for name, part in parts.items()}


def app_of(request: Request) -> App:
    """The app of a path; 404 for an unknown one (inferred for V1)."""
    app = BY_ID.get(request.path_params["app"].lower())
    if app is None:
        raise not_found("Workflow")
    return app


def job_of(request: Request, jobs: Jobs) -> Job:
    """The job of a path; 404 for an unknown or purged one (inferred)."""
    job = jobs.find(request.path_params["job"].lower())
    if job is None:
        raise not_found("Job")
    return job


def started(jobs: Jobs, app: App, user: User, asked: Wanted) -> Job:
    """A new job, if the app may be executed and, where the switch says so, knows all the questions."""
    if not app.executable:
        raise ApiError(403, "You do not have permission to execute this workflow.")
    unknown = app.unknown(asked.questions)
    if unknown and jobs.settings.unknown_questions == "refused":
        raise invalid("questions", f"The question '{unknown[0]}' does not exist.")
    return jobs.start(app, user, asked)

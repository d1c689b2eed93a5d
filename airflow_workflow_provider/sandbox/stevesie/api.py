"""The paths of Stevesie's workflow API, as https://stevesie.com/docs/api-access/workflows lists them."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from .answers import many, one, shown_collection, shown_execution
from .catalog import WORKFLOWS, Collection, Workflow, collections
from .errors import ApiError, access_denied, bad, error_answer, unknown
from .executions import Execution, Executions
from .files import Files
from .order import order_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .settings import StevesieSettings

TOKEN = "5e7e51e0-0000-4000-8000-00000000cafe"  # noqa: S105 - obviously fake


class Api:
    """The handlers; each raises :class:`ApiError` for an answer that is an error."""

    def __init__(self, settings: StevesieSettings) -> None:
        self.settings = settings
        self.executions = Executions(settings)
        self.files = Files(settings, self.executions)
        self.reset()

    def reset(self) -> None:
        """No executions; workflows and collections as at the start."""
        self.executions.clear()
        self.workflows = {workflow.id: workflow for workflow in WORKFLOWS}
        self.collections = collections()
        self.served: deque[float] = deque()

    def app(self) -> Starlette:
        """The ASGI app."""
        routes = [
            Route("/workflows", self.list_workflows),
            Route("/workflows/executions/{execution}", self.execution),
            Route("/workflows/{workflow}", self.workflow),
            Route("/workflows/{workflow}", self.destroy, methods=["DELETE"]),
            Route("/workflows/{workflow}/executions", self.start, methods=["POST"]),
            Route("/workflows/{workflow}/executions", self.list_executions),
            Route("/collections/{collection}", self.collection),
            Route("/collections/{collection}", self.change_collection, methods=["POST"]),
        ]
        handlers = {ApiError: self.refused, HTTPException: self.refused}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        return app

    async def refused(self, request: Request, error: Exception) -> Response:
        """An error; unknown paths and methods are like unknown ids."""
        known = error if isinstance(error, ApiError) else unknown("resource", self.settings.unknown_status)
        return error_answer(known, self.settings.error_style)

    def enter(self, request: Request) -> None:
        """Check the rate, then the ``Token`` header."""
        self.check_rate()
        if self.settings.token_revoked or request.headers.get("token") != TOKEN:
            raise access_denied()

    def check_rate(self) -> None:
        """Refuse what comes above the limit within a second (429 and its headers are inferred)."""
        limit, moment = self.settings.rate_limit, time.monotonic()
        while self.served and self.served[0] <= moment - 1:
            self.served.popleft()
        if limit is not None and len(self.served) >= limit:
            wait = self.settings.retry_after
            headers = None if wait is None else {"retry-after": f"{wait:g}"}
            raise ApiError(429, "rate_limit", "You have exceeded your rate limit", headers)
        self.served.append(moment)

    async def list_workflows(self, request: Request) -> Response:
        """``GET /workflows``."""
        self.enter(request)
        return many([workflow.to_json(whole=False) for workflow in self.workflows.values()])

    async def workflow(self, request: Request) -> Response:
        """``GET /workflows/{id}``, with the mappings."""
        return one(self.workflow_of(request).to_json())

    async def destroy(self, request: Request) -> Response:
        """``DELETE /workflows/{id}`` destroys the definition; the answer is inferred."""
        workflow = self.workflows.pop(self.workflow_of(request).id)
        return one(workflow.to_json(whole=False))

    async def start(self, request: Request) -> Response:
        """``POST /workflows/{id}/executions`` answers nothing but the id."""
        workflow = self.workflow_of(request)
        order = order_of(await json_object(request), self.settings.proxy_required)
        source = self.collections.get(workflow.mapping.collection_id) if workflow.mapping else None
        execution = self.executions.start(workflow, order, source.items if source else [])
        return one({"id": execution.id}, self.settings.start_status)

    async def list_executions(self, request: Request) -> Response:
        """``GET /workflows/{id}/executions``, newest first; only the path is documented, the rest is inferred."""
        workflow = self.workflow_of(request)
        if self.settings.executions_list == "absent":
            raise unknown("resource", self.settings.unknown_status)
        found = [execution for execution in self.executions.known.values() if execution.workflow is workflow][::-1]
        if self.settings.executions_list == "ids":
            return many([{"id": execution.id} for execution in found])
        return many([self.shown(request, execution) for execution in found])

    async def execution(self, request: Request) -> Response:
        """``GET /workflows/executions/{id}``: not below its workflow."""
        self.enter(request)
        execution = self.executions.known.get(request.path_params["execution"])
        if execution is None:
            raise unknown("execution", self.settings.unknown_status)
        return one(self.shown(request, execution))

    def shown(self, request: Request, execution: Execution) -> dict[str, Any]:
        """An execution as whoever asks sees it."""
        return shown_execution(execution, self.settings, lambda result: self.files.url(request, execution, result))

    async def collection(self, request: Request) -> Response:
        """``GET /collections/{id}``."""
        return one(shown_collection(self.collection_of(request)))

    async def change_collection(self, request: Request) -> Response:
        """``POST /collections/{id}`` with ``method`` add or remove; that the answer is the collection is inferred."""
        collection, body = self.collection_of(request), await json_object(request)
        items, method = body.get("items"), body.get("method")
        if not isinstance(items, list) or any(isinstance(item, dict | list | bool | None) for item in items):
            raise bad("items", "must be a list of values")
        if method not in ("add", "remove"):
            raise bad("method", "must be add or remove")
        change = self.added if method == "add" else removed
        collection.items = change(collection.items, [str(item) for item in items])
        shown = shown_collection(collection)
        return one(shown if self.settings.collection_answer == "full" else {"count": shown["count"]})

    def added(self, items: list[str], more: list[str]) -> list[str]:
        """The items with more of them at the end; no item twice unless the switch allows it (inferred)."""
        return items + more if self.settings.duplicate_items else list(dict.fromkeys(items + more))

    def workflow_of(self, request: Request) -> Workflow:
        """The workflow of a path."""
        self.enter(request)
        if request.path_params["workflow"] not in self.workflows:
            raise unknown("workflow", self.settings.unknown_status)
        return self.workflows[request.path_params["workflow"]]

    def collection_of(self, request: Request) -> Collection:
        """The collection of a path."""
        self.enter(request)
        if request.path_params["collection"] not in self.collections:
            raise unknown("collection", self.settings.unknown_status)
        return self.collections[request.path_params["collection"]]


def removed(items: list[str], gone: list[str]) -> list[str]:
    """The items without those that are gone."""
    return [item for item in items if item not in gone]


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise bad("body", "is not JSON") from error
    if not isinstance(body, dict):
        raise bad("body", "must be a JSON object")
    return body

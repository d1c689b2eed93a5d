"""One server's API as flows: requests with credentials, and its answers turned into our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import unescape
from re import DOTALL, IGNORECASE
from re import compile as pattern
from typing import Any
from urllib.parse import quote, urljoin

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    PermissionDenied,
    ProtocolError,
    RequestRejected,
    ServerUnavailable,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.auth import Auth, redacted
from airflow_workflow_provider.protocol.effects import Flow, NoAnswer, NotSent, Now, Request, Response, T
from airflow_workflow_provider.protocol.json_rows import rows_document
from airflow_workflow_provider.protocol.retry import is_transient, retry_after_seconds
from airflow_workflow_provider.protocol.times import from_epoch

_TITLE = pattern(r"<title[^>]*>(.*?)</title>", IGNORECASE | DOTALL)
MAX_REDIRECTS = 6
_SNIPPET = 500  # characters of a server's text that an error shows
_ERRORS: dict[int, type[WorkflowError]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: WorkflowNotFound,
    410: WorkflowNotFound,
}


def path(template: str, **values: str) -> str:
    """Fill a path; every value is percent-encoded whole, slashes too. One that would climb out of it is refused."""
    filled = {}
    for name, value in values.items():
        text = str(value)
        if text in ("", ".", ".."):
            raise InvalidArgument(f"{name}: {value!r} cannot be part of an address")
        filled[name] = text if text.isalnum() and text.isascii() else quote(text, safe="")
    return template.format_map(filled)


@dataclass(eq=False)
class Api:
    """Calls to one server under one connection.

    ``describe`` reads the server's own message from an answer; ``secrets`` are removed from what errors show.
    """

    conn_id: str
    base_url: str
    auth: Auth
    describe: Callable[[Response], str] = lambda response: ""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def url(self, template: str, **values: str) -> str:
        """Append a path to the base URL, whose own path is kept."""
        return self.base_url + path(template, **values)

    def call(self, request: Request, doing: str) -> Flow[Response]:
        """Send a request that is safe to repeat; give its 2xx answer or raise what its status means.

        ``doing`` says for people what the request is for, as in "reading the status of run 7".
        """
        try:
            response = yield from self._send(request)
        except (NotSent, NoAnswer) as error:
            raise self._unreached(request, doing, error) from error
        if not 200 <= response.status < 300:
            raise (yield from self._error(request, response, doing))
        return response

    def read(self, request: Request, doing: str) -> Flow[Any]:
        """As `call`, and give the JSON document of the answer."""
        response = yield from self.call(request, doing)
        return self.document(request, response, doing)

    def read_rows(self, request: Request, doing: str, words: Mapping[str, str]) -> Flow[Any]:
        """As `read` for a document with many rows, no digit of whose numbers is lost; see `json_rows`."""
        response = yield from self.call(request, doing)
        return rows_document(response.body, words) or self.document(request, response, doing, exact=True)

    def probe(self, request: Request, doing: str) -> Flow[int]:
        """Find out whether this API is there and takes the credentials: give the status of an answer in JSON.

        Raises as `call` does for 401, 3xx and a server that is unavailable, and `ProtocolError` where any other
        answer is not JSON, as a web site's pages are not.
        """
        response = yield from self.reached(request, doing)
        if is_transient(response.status):
            raise (yield from self._error(request, response, doing))
        self.document(request, response, doing)
        return response.status

    def reached(self, request: Request, doing: str) -> Flow[Response]:
        """Give any answer but 401 and a redirect, for APIs whose errors tell nothing."""
        try:
            response = yield from self._send(request)
        except (NotSent, NoAnswer) as error:
            raise self._unreached(request, doing, error) from error
        if response.status == 401 or 300 <= response.status < 400:
            raise (yield from self._error(request, response, doing))
        return response

    def download(self, request: Request, doing: str) -> Flow[Response]:
        """As `call` for a file on another host, which may redirect; only for requests without credentials."""
        for _ in range(MAX_REDIRECTS):
            try:
                response: Response = yield request
            except (NotSent, NoAnswer) as error:
                raise self._unreached(request, doing, error) from error
            place = response.headers.get("location", "")
            if not 300 <= response.status < 400 or not place:
                break
            request = replace(request, url=urljoin(request.url, place))
        if not 200 <= response.status < 300:
            raise (yield from self._error(request, response, doing))
        return response

    def start(self, request: Request, doing: str, parse: Callable[[Response], T]) -> Flow[T]:
        """Send a request that starts a run: never twice, unless it certainly was not taken.

        `ServerUnavailable` means that nothing was started (connection refused, 429); `UnknownStart` that nobody
        knows: a reset, a time-out, 408, 5xx, or an answer that ``parse`` cannot read.
        """
        try:
            response = yield from self._send(request)
        except NotSent as error:
            raise self._unreached(request, doing, error) from error
        except NoAnswer as error:
            raise self._unknown(request, doing, str(error)) from error
        status = response.status
        if status == 408 or status >= 500 or status < 200:
            raise self._unknown(request, doing, f"HTTP {status}{self._said(response)}", status)
        if status >= 300:
            raise (yield from self._error(request, response, doing, rejected=status != 429))
        try:
            return parse(response)
        except ProtocolError as error:
            raise self._unknown(request, doing, str(error), status) from error

    def document(self, request: Request, response: Response, doing: str, *, exact: bool = False) -> Any:
        """Parse an answer as JSON; raises `ProtocolError`."""
        try:
            return response.json(exact=exact)
        except ValueError:
            raise self.unreadable(request, response, doing) from None

    def unreadable(self, request: Request, response: Response, doing: str, reason: str = "") -> ProtocolError:
        """Make the error for a 2xx answer that is not what this API gives."""
        what = reason or f"the answer is not JSON{self._said(response)}"
        return ProtocolError(
            self._message(request, doing, f"{what}; check the field 'host' of the connection"), status=response.status
        )

    def _send(self, request: Request) -> Flow[Response]:
        """Send with credentials, and once more with new ones after a 401."""
        authorized = yield from self.auth.authorize(request)
        response: Response = yield authorized
        if response.status == 401 and (yield from self.auth.refused(authorized)):
            response = yield (yield from self.auth.authorize(request))
        return response

    def _error(self, request: Request, response: Response, doing: str, rejected: bool = False) -> Flow[WorkflowError]:
        status = response.status
        text = self._message(request, doing, f"HTTP {status}{self._said(response)}")
        if 300 <= status < 400:
            place = response.headers.get("location", "").partition("?")[0]
            hint = f"; it redirects to {place or 'nowhere'}: check the field 'host' of the connection (http or https?)"
            return ProtocolError(self._hidden(text + hint), status=status)
        if is_transient(status) and not rejected:
            now = yield Now()
            wait = retry_after_seconds(response.headers.get("retry-after"), from_epoch(now))
            return ServerUnavailable(text, status=status, retry_after=wait)
        if status in (401, 403):
            text += (
                "; check the credentials of the connection" if status == 401 else "; the credentials lack this right"
            )
        return _ERRORS.get(status, RequestRejected if 400 <= status < 500 else ProtocolError)(text, status=status)

    def _unreached(self, request: Request, doing: str, error: NotSent | NoAnswer) -> ServerUnavailable:
        wait = error.retry_after if isinstance(error, NotSent) else None
        return ServerUnavailable(self._message(request, doing, str(error)), retry_after=wait)

    def _unknown(self, request: Request, doing: str, what: str, status: int | None = None) -> UnknownStart:
        text = f"{what}. The request was sent and a run may have been started; look for it before starting another"
        return UnknownStart(self._message(request, doing, text), status=status)

    def _message(self, request: Request, doing: str, what: str) -> str:
        return self._hidden(f"connection {self.conn_id!r}, {doing} ({request}): {what}")

    def _hidden(self, text: str) -> str:
        return redacted(text, (*self.secrets, *self.auth.minted))

    def _said(self, response: Response) -> str:
        said = self.describe(response).strip() or summary(response)
        return f": {said[:_SNIPPET]}" if said else ""


def is_page(response: Response) -> bool:
    """True for an HTML page, which no API here gives."""
    start = response.text().lstrip()[:1000].lower()
    return "<html" in start or start.startswith("<!doctype html")


def summary(response: Response) -> str:
    """Tell in a line what an answer holds that is not an API's."""
    text = response.text().strip()
    if is_page(response):
        title = _TITLE.search(text)
        return f"an HTML page{f' titled {unescape(title[1]).strip()!r}' if title else ''}"
    return " ".join(text[:_SNIPPET].split())


def first_text(values: Iterable[Any]) -> str:
    """Give the first value that is text for people; a list of texts is joined."""
    for value in values:
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
            return "; ".join(value)
    return ""

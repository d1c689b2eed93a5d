"""One server's API as flows: requests with credentials, and its answers turned into our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import unescape
from re import IGNORECASE
from re import compile as pattern
from typing import Any
from urllib.parse import quote, urljoin

from airflow_workflow_provider.exceptions import (
    InvalidArgument,
    ProtocolError,
    RequestRejected,
    ServerUnavailable,
    UnknownStart,
    WorkflowError,
)
from airflow_workflow_provider.protocol.auth import Auth
from airflow_workflow_provider.protocol.effects import (
    BadAnswer,
    Flow,
    NoAnswer,
    NotSent,
    Now,
    Request,
    Response,
    T,
    TooLarge,
)
from airflow_workflow_provider.protocol.policy import Asked, is_transient, meaning
from airflow_workflow_provider.protocol.redact import redacted, without_whole
from airflow_workflow_provider.protocol.retry import retry_after_seconds, unexpected
from airflow_workflow_provider.protocol.text import cut_text, one_line
from airflow_workflow_provider.protocol.times import from_epoch

_TITLE = pattern(r"<title\b[^>]{0,200}>([^<]{0,500})", IGNORECASE)
_HEAD = 4096  # bytes of a page or of plain text that are looked at
_USERINFO = pattern(r"//[^/?#@]*@")
_EXPIRED = "The address of the result was refused, or it has expired."
MAX_REDIRECTS = 6
_SNIPPET = 500  # characters of a server's text that an error shows
_MISTAKEN_SCHEME = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "record layer failure", "wrong version number")


_CLIMBS = frozenset({".", ".."})
_SLASH = pattern(r"[/\\]")
_CONTROL = pattern("[\x00-\x1f\x7f\ud800-\udfff]")


def path(template: str, **values: str) -> str:
    """Fill a path; every value is percent-encoded whole, slashes too.

    A value that would climb out of its place once a proxy has decoded it is refused.
    """
    filled = {}
    for name, value in values.items():
        text = str(value)
        if not text or not _CLIMBS.isdisjoint(_SLASH.split(text)) or _CONTROL.search(text):
            raise InvalidArgument(f"{name}: {value!r} cannot be part of an address")
        filled[name] = text if text.isalnum() and text.isascii() else quote(text, safe="")
    return template.format_map(filled)


@dataclass(eq=False)
class Api:
    """Calls to one server under one connection.

    ``describe`` reads the server's own message from an answer; ``secrets`` are removed from what errors show.
    ``label`` is the name of the system; ``fields`` are the fields of the connection that hold the credentials and
    ``place`` is the one that holds the address, all for errors.
    """

    conn_id: str
    base_url: str
    auth: Auth
    describe: Callable[[Response], str] = lambda response: ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    label: str = "the server"
    fields: str = "field 'password'"
    place: str = "field 'host'"

    def url(self, template: str, **values: str) -> str:
        """Append a path to the base URL, whose own path is kept."""
        return self.base_url + path(template, **values)

    def call(self, request: Request, doing: str, asked: Asked = Asked.OTHER) -> Flow[Response]:
        """Send a request that is safe to repeat; give its 2xx answer or raise what its status means.

        ``doing`` says for people what the request is for, as in "reading the status of run 7"; ``asked`` says what it
        asks for, by which a status is understood.
        """
        response = yield from self._reached(request, doing)
        if not 200 <= response.status < 300:
            raise (yield from self._error(request, response, doing, asked))
        return response

    def read(self, request: Request, doing: str, asked: Asked = Asked.OTHER) -> Flow[Any]:
        """As `call`, and give the JSON document of the answer."""
        response = yield from self.call(request, doing, asked)
        return self.document(request, response, doing)

    def probe(self, request: Request, doing: str) -> Flow[int]:
        """Find out whether this API is there and takes the credentials: give the status of an answer in JSON.

        Raises as `call` does for 401, 3xx and a server that is unavailable, and `ProtocolError` where any other
        answer is not JSON, as a web site's pages are not.
        """
        response = yield from self.reached(request, doing)
        if is_transient(response.status):
            raise (yield from self._error(request, response, doing, Asked.OTHER))
        self.document(request, response, doing)
        return response.status

    def reached(self, request: Request, doing: str) -> Flow[Response]:
        """Give any answer but 401 and a redirect, for APIs whose errors tell nothing."""
        response = yield from self._reached(request, doing)
        if response.status == 401 or 300 <= response.status < 400:
            raise (yield from self._error(request, response, doing, Asked.OTHER))
        return response

    def download(self, request: Request, doing: str) -> Flow[Response]:
        """As `call` for a file on another host, which may redirect; only for requests without credentials.

        The client refuses addresses that no result can have, at every step; see `Request.foreign`.
        """
        for _ in range(MAX_REDIRECTS):
            request = request.changed(foreign=True)
            try:
                response: Response = yield request
            except NotSent as error:
                failure: WorkflowError = self._unreachable(request, doing, error)
            except NoAnswer as error:
                failure = self._unanswered(request, doing, error)
            else:
                place = response.headers.get("location", "")
                if not 300 <= response.status < 400 or not place:
                    break
                request = request.changed(url=urljoin(request.url, place))
                continue
            raise failure
        if not 200 <= response.status < 300:
            raise (yield from self._error(request, response, doing, Asked.OUTPUT))
        return response

    def start(
        self,
        request: Request,
        doing: str,
        parse: Callable[[Response], T],
        refused: Callable[[Response], str] | None = None,
    ) -> Flow[T]:
        """Send a request that starts a run: never twice, unless it certainly was not taken.

        `ServerUnavailable` means that nothing was started (connection refused, 429); `UnknownStart` that it is not
        known: a reset, a time-out, 408, 5xx, or an answer that ``parse`` cannot read, whatever it raises.
        ``refused`` reads the server's words from a 2xx answer that says that nothing was started: `RequestRejected`.
        """
        response: Response | None = None
        try:
            response = yield from self._send(request.changed(starts=True))
        except NotSent as error:
            failure: WorkflowError = self._unreachable(request, doing, error)
        except NoAnswer as error:
            failure = self._unknown(request, doing, f"No answer from {self.label}: {error}")
        if response is None:
            raise failure
        status = response.status
        if status == 408 or status >= 500 or status < 200:
            raise self._unknown(request, doing, f"HTTP {status} from {self.label}{self._said(response)}", status)
        if status >= 300:
            raise (yield from self._error(request, response, doing, Asked.START, rejected=status != 429))
        try:
            words = refused(response) if refused else ""
            if not words:
                return parse(response)
        except WorkflowError as error:
            words, what = "", error.summary
        except Exception as error:  # noqa: BLE001  # whatever the code of a system raises, the start was taken
            words, what = "", f"The answer has an unexpected shape ({unexpected(error)})"
        if words:
            said = cut_text(one_line(self._hidden(words)), _SNIPPET)
            raise RequestRejected(self._message(request, doing, f'{self.label} refused it: "{said}"'), status=status)
        raise self._unknown(request, doing, what, status)

    def document(self, request: Request, response: Response, doing: str, *, exact: bool = False) -> Any:
        """Parse an answer as JSON; raises `ProtocolError`."""
        try:
            return response.json(exact=exact)
        except ValueError as error:
            reason = f" ({error})" if str(error).startswith(("nested", "more than", "a number")) else ""
        raise self.unreadable(request, response, doing, f"The answer is not JSON{reason}{self._said(response)}")

    def unreadable(self, request: Request, response: Response, doing: str, reason: str = "") -> ProtocolError:
        """Make the error for a 2xx answer that is not what this API gives."""
        what = (reason or f"The answer is not JSON{self._said(response)}").rstrip(".")
        return ProtocolError(
            self._message(request, doing, f"{_capital(what)}. Check the {self.place} of {self._conn}."),
            status=response.status,
        )

    @property
    def _conn(self) -> str:
        return f"connection {self.conn_id!r}"

    def _reached(self, request: Request, doing: str) -> Flow[Response]:
        try:
            return (yield from self._send(request))
        except NotSent as error:
            failure: WorkflowError = self._unreachable(request, doing, error)
        except NoAnswer as error:
            failure = self._unanswered(request, doing, error)
        raise failure  # here and not above: the message holds what the network library raised

    def _send(self, request: Request) -> Flow[Response]:
        """Send with credentials, and once more with new ones after a 401."""
        authorized = yield from self._signed(request)
        response: Response = yield authorized
        if response.status == 401 and (yield from self.auth.refused(authorized)):
            response = yield (yield from self._signed(request))
        return response

    def _signed(self, request: Request) -> Flow[Request]:
        authorized: Request = yield from self.auth.authorize(request)
        if authorized is not request:
            # The object is new and belongs to this flow alone; a copy would cost as much as all the rest of a poll.
            object.__setattr__(authorized, "signed_for", self.base_url)
        return authorized

    def _error(
        self, request: Request, response: Response, doing: str, asked: Asked, rejected: bool = False
    ) -> Flow[WorkflowError]:
        status = response.status
        found = meaning(status, asked)
        what = f"HTTP {status} from {self.label}{self._said(response)}. "
        if 300 <= status < 400:
            place = _USERINFO.sub("//", self._hidden(one_line(response.headers.get("location", "")).partition("?")[0]))
            what += f"It redirects to {place or 'nowhere'}. Check the {self.place} of {self._conn} (http or https?)."
            return ProtocolError(self._message(request, doing, what), status=status)
        advice = found.advice.format(conn=self._conn, label=_capital(self.label), fields=self.fields, place=self.place)
        if request.foreign and status in (401, 403):
            advice = _EXPIRED  # it was asked for without credentials
        if found.error is ServerUnavailable and not rejected:
            wait = retry_after_seconds(response.headers.get("retry-after"), from_epoch((yield Now())))
            return ServerUnavailable(self._message(request, doing, what + advice), status=status, retry_after=wait)
        kind = RequestRejected if found.error is ServerUnavailable else found.error
        return kind(self._message(request, doing, what + advice), status=status)

    def _unreachable(self, request: Request, doing: str, error: NotSent) -> ServerUnavailable:
        what = f"{_capital(self.label)} cannot be reached: {error}. Check the {self.place} of {self._conn}."
        if any(word in str(error) for word in _MISTAKEN_SCHEME) and request.url.startswith("https:"):
            what += " The server does not speak TLS there: if it is plain http, write http:// into the field."
        return ServerUnavailable(
            self._message(request, doing, what), retry_after=error.retry_after, is_unreachable=error.retry_after is None
        )

    def _unanswered(self, request: Request, doing: str, error: NoAnswer) -> WorkflowError:
        message = self._message(request, doing, f"No answer from {self.label}: {error} ({self._conn}).")
        if isinstance(error, BadAnswer):
            return ProtocolError(message, is_too_large=isinstance(error, TooLarge))
        return ServerUnavailable(message)

    def _unknown(self, request: Request, doing: str, what: str, status: int | None = None) -> UnknownStart:
        text = (
            f"{_capital(what).rstrip('.')}. The request was sent and a run may have been started; look for it before "
            f"starting another ({self._conn})."
        )
        return UnknownStart(self._message(request, doing, text), status=status)

    def _message(self, request: Request, doing: str, what: str) -> str:
        # What the server said is redacted already; ids must stay readable.
        secrets = (*self.secrets, *self.auth.minted)
        first, task = without_whole(one_line(what), secrets), without_whole(one_line(doing), secrets)
        return f"{first}\n  while: {task}\n  request: {request}"

    def told(self, words: Iterable[str]) -> str:
        """Give words of an answer for an error: without a secret, on one line and not too long; ``none`` without any.

        A server may say a secret where a name belongs.
        """
        return cut_text(", ".join(one_line(self._hidden(word)) for word in words), _SNIPPET) or "none"

    def _hidden(self, text: str) -> str:
        return redacted(text, (*self.secrets, *self.auth.minted))

    def _said(self, response: Response) -> str:
        """Give the server's own words, quoted; redacted before they are cut, or half a secret would stay."""
        try:
            said = self.describe(response).strip()
        except Exception:  # noqa: BLE001  # the code of a system that reads errors must not hide one
            said = ""
        said = one_line(self._hidden(said or summary(response)))
        return f': "{cut_text(said, _SNIPPET)}"' if said else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def is_page(response: Response) -> bool:
    """True for an HTML page, which no API here gives."""
    start = response.text(_HEAD).lstrip()[:1000].lower()
    return "<html" in start or start.startswith("<!doctype html")


def summary(response: Response) -> str:
    """Tell in a line what an answer holds that is not an API's; only its beginning is read."""
    if is_page(response):
        title = _TITLE.search(response.text(_HEAD))
        return f"an HTML page{f' titled {unescape(title[1]).strip()!r}' if title else ''}"
    return one_line(response.text(_HEAD))


def first_text(values: Iterable[Any]) -> str:
    """Give the first value that is text for people; a list of texts is joined."""
    for value in values:
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
            return "; ".join(value)
    return ""

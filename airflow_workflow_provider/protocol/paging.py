"""Lists that come in pages: how the next page is asked for, and one loop that reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from airflow_workflow_provider.exceptions import ProtocolError
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.effects import Flow, Request, Response

MAX_PAGES = 50

Row = Mapping[str, Any]


class Paginator(Protocol):
    """Asks for pages. ``first`` prepares the first request, ``after`` makes the request for the next page."""

    def first(self, request: Request) -> Request:
        """Give the request for the first page."""

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Give the request for the page after one with this many rows; None where there is none."""


def _with(request: Request, **params: str) -> Request:
    return request.changed(params={**(request.params or {}), **params})


@dataclass(frozen=True)
class SinglePage:
    """The whole list is one answer."""

    def first(self, request: Request) -> Request:
        """Give the request as it is."""
        return request

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """There is no other page."""
        return None


@dataclass(frozen=True)
class OffsetPages:
    """The request says how many rows to leave out and how many to give.

    ``in_body`` puts both numbers into the JSON body instead of the query. ``total`` reads the number of all rows from
    an answer; without it a page shorter than ``size`` is the last one, which a server that gives smaller pages than it
    is asked for breaks off.
    """

    size: int = 100
    offset: str = "offset"
    limit: str = "limit"
    in_body: bool = False
    total: Callable[[Any], int] | None = None

    def first(self, request: Request) -> Request:
        """Ask from the first row."""
        return self._from(request, 0)

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Ask from the row after the last one."""
        sent: Any = request.json if self.in_body else request.params
        following = int((sent or {}).get(self.offset, 0)) + rows
        is_last = not rows or (following >= self.total(document) if self.total else rows < self.size)
        return None if is_last else self._from(request, following)

    def _from(self, request: Request, row: int) -> Request:
        if self.in_body:
            return request.changed(json={**(request.json or {}), self.offset: row, self.limit: self.size})
        return _with(request, **{self.offset: str(row), self.limit: str(self.size)})


@dataclass(frozen=True)
class NumberedPages:
    """The request says the number of the page.

    ``total`` reads the number of pages from an answer; without it a page shorter than ``size`` is the last one.
    """

    size: int = 100
    page: str = "page"
    limit: str = "per_page"
    start: int = 1
    total: Callable[[Any], int] | None = None

    def first(self, request: Request) -> Request:
        """Ask for the first page."""
        return _with(request, **{self.page: str(self.start), self.limit: str(self.size)})

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Ask for the page with the next number."""
        number = int((request.params or {}).get(self.page, str(self.start)))
        is_last = number - self.start + 1 >= self.total(document) if self.total else rows < self.size
        return None if is_last else _with(request, **{self.page: str(number + 1)})


@dataclass(frozen=True)
class CursorPages:
    """An answer holds a cursor for the next page; the last answer holds none.

    ``read`` gives the cursor of an answer's document, ``header`` names the header that holds it instead. ``param`` is
    the name of the request's parameter; ``in_body`` puts it into the JSON body.
    """

    read: Callable[[Any], Any] | None = None
    param: str = "cursor"
    header: str = ""
    in_body: bool = False

    def __post_init__(self) -> None:
        if (self.read is None) == (not self.header):
            raise TypeError("CursorPages: give read or header, which say where an answer holds the cursor")

    def first(self, request: Request) -> Request:
        """Ask without a cursor."""
        return request

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Ask with the cursor of the answer."""
        cursor = self.read(document) if self.read else response.headers.get(self.header.lower())
        if not isinstance(cursor, (str, int)) or isinstance(cursor, bool) or not str(cursor):
            return None
        sent: Any = request.json if self.in_body else request.params
        if str((sent or {}).get(self.param)) == str(cursor):
            return None  # the server repeats itself
        if self.in_body:
            return request.changed(json={**(request.json or {}), self.param: cursor})
        return _with(request, **{self.param: str(cursor)})


@dataclass(frozen=True)
class LinkedPages:
    """An answer holds the address of the next page: in its ``Link`` header, or where ``read`` finds it.

    An address of another origin is refused: the request for it would carry the connection's credentials.
    """

    read: Callable[[Any], Any] | None = None

    def first(self, request: Request) -> Request:
        """Give the request as it is."""
        return request

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Ask for the address that the answer names."""
        found = self.read(document) if self.read else next_link(response.headers.get("link", ""))
        if not isinstance(found, str) or not found:
            return None
        url = urljoin(request.url, found)
        if urlsplit(url)[:2] != urlsplit(request.url)[:2]:
            raise ProtocolError(f"The next page is at another server, {urlsplit(url).netloc!r}; it is not read.")
        return None if url == request.url else request.changed(url=url, params=None)


def next_link(header: str) -> str:
    """Give the address with ``rel="next"`` in a ``Link`` header (RFC 8288); empty text where there is none."""
    for part in header.split(","):
        address, *attributes = (piece.strip() for piece in part.split(";"))
        is_next = any(one.replace(" ", "").lower() in ('rel="next"', "rel=next") for one in attributes)
        if is_next and address.startswith("<") and address.endswith(">"):
            return address[1:-1]
    return ""


def read_pages(
    api: Api,
    request: Request,
    doing: str,
    *,
    paginator: Paginator,
    rows_of: Callable[[Request, Any], Sequence[Row]],
    until: Callable[[Sequence[Row]], bool] = lambda rows: False,
    max_pages: int = MAX_PAGES,
    whole: bool = False,
) -> Flow[list[Row]]:
    """Read a list page by page and give all its rows.

    ``rows_of`` reads the rows of an answer, and raises where it is no list. ``until`` is given each page's rows and
    says that no later page is needed. A list with more pages than ``max_pages`` ends there, or, with ``whole``, is
    `ProtocolError`.
    """
    found: list[Row] = []
    following: Request | None = paginator.first(request)
    for _ in range(max_pages):
        if following is None:
            break
        asked = following
        response = yield from api.call(asked, doing)
        document = api.document(asked, response, doing)
        rows = rows_of(asked, document)
        found += rows
        following = None if until(rows) else paginator.after(asked, response, document, len(rows))
    if whole and following is not None:
        what = f"The list has more than {max_pages} pages, and a part of it would mislead"
        raise api.unreadable(request, response, doing, what)
    return found

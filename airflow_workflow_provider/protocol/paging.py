"""Lists that come in pages: how the next page is asked for, and one loop that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from airflow_workflow_provider.exceptions import ProtocolError
from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.effects import Flow, Request, Response
from airflow_workflow_provider.protocol.places import Place, found, named, shown, wrong_place

MAX_PAGES = 50
REPEATED = "The pages of the list repeat themselves"

Row = Mapping[str, Any]


class Paginator(Protocol):
    """Asks for pages. ``first`` prepares the first request, ``after`` makes the request for the next page."""

    def first(self, request: Request) -> Request:
        """Give the request for the first page."""

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Give the request for the page after one with this many rows; None where there is none."""


def _number(document: Any, place: Place, what: str) -> int:
    """Read a number from an answer that declares one."""
    value = found(document, place)
    try:
        number = None if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        raise ProtocolError(f"The answer has no number of all {what} at {shown(place)}.")
    return number


def _wrong(paginator: Any, *, sizes: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> Iterator[str]:
    """Say what is wrong with the fields of a paginator; each sentence begins with the field."""
    for name in sizes:
        value = getattr(paginator, name)
        if type(value) is not int or value < (name == "size"):
            yield f"{name}: expected a number, not {value!r}"
    used = [getattr(paginator, name) for name in names]
    for name, value in zip(names, used, strict=True):
        if not isinstance(value, str) or not value:
            yield f"{name}: expected the name of a parameter, not {value!r}"
    if len({str(value) for value in used}) < len(used):
        yield f"{names[0]}: {used[0]!r} is the name of two parameters"
    for name in ("total", "read"):
        place = getattr(paginator, name, None)
        if place is not None:
            yield from (f"{name}: {reason}" for reason in wrong_place(place))
    if not isinstance(getattr(paginator, "in_body", False), bool):
        yield f"in_body: expected True or False, not {named(paginator.in_body)}"


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

    ``in_body`` puts both numbers into the JSON body instead of the query. ``total`` is the place of the number of all
    rows in an answer; without it a page shorter than ``size`` is the last one, so a server that gives smaller pages
    than it is asked for ends the list too early.
    """

    size: int = 100
    offset: str = "offset"
    limit: str = "limit"
    in_body: bool = False
    total: Place | None = None

    def first(self, request: Request) -> Request:
        """Ask from the first row."""
        return self._from(request, 0)

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Ask from the row after the last one."""
        sent: Any = request.json if self.in_body else request.params
        following = int((sent or {}).get(self.offset, 0)) + rows
        is_last = not rows or (
            rows < self.size if self.total is None else following >= _number(document, self.total, "rows")
        )
        return None if is_last else self._from(request, following)

    def mistakes(self) -> Iterator[str]:
        """Say what is wrong with the fields."""
        return _wrong(self, sizes=("size",), names=("offset", "limit"))

    def _from(self, request: Request, row: int) -> Request:
        if self.in_body:
            return request.changed(json={**(request.json or {}), self.offset: row, self.limit: self.size})
        return _with(request, **{self.offset: str(row), self.limit: str(self.size)})


@dataclass(frozen=True)
class NumberedPages:
    """The request says the number of the page.

    ``total`` is the place of the number of pages in an answer; without it a page shorter than ``size`` is the last one.
    """

    size: int = 100
    page: str = "page"
    limit: str = "per_page"
    start: int = 1
    total: Place | None = None

    def first(self, request: Request) -> Request:
        """Ask for the first page."""
        return _with(request, **{self.page: str(self.start), self.limit: str(self.size)})

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Ask for the page with the next number."""
        number = int((request.params or {}).get(self.page, str(self.start)))
        is_last = (
            rows < self.size
            if self.total is None
            else number - self.start + 1 >= _number(document, self.total, "pages")
        )
        return None if is_last else _with(request, **{self.page: str(number + 1)})

    def mistakes(self) -> Iterator[str]:
        """Say what is wrong with the fields."""
        return _wrong(self, sizes=("size", "start"), names=("page", "limit"))


@dataclass(frozen=True)
class CursorPages:
    """An answer holds a cursor for the next page; the last answer holds none.

    ``read`` is the place of the cursor in an answer, ``header`` names the header that holds it instead. ``param`` is
    the name of the request's parameter; ``in_body`` puts it into the JSON body.
    """

    read: Place | None = None
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
        cursor = found(document, self.read) if self.read is not None else response.headers.get(self.header.lower())
        if not isinstance(cursor, (str, int)) or isinstance(cursor, bool) or not str(cursor):
            return None
        sent: Any = request.json if self.in_body else request.params
        if str((sent or {}).get(self.param)) == str(cursor):
            return None  # the server repeats itself
        if self.in_body:
            return request.changed(json={**(request.json or {}), self.param: cursor})
        return _with(request, **{self.param: str(cursor)})

    def mistakes(self) -> Iterator[str]:
        """Say what is wrong with the fields."""
        return _wrong(self, names=("param",))


@dataclass(frozen=True)
class LinkedPages:
    """An answer holds the address of the next page: in its ``Link`` header, or at the place ``read``.

    An address of another origin is refused: the request for it would carry the connection's credentials.
    """

    read: Place | None = None

    def first(self, request: Request) -> Request:
        """Give the request as it is."""
        return request

    def after(self, request: Request, response: Response, document: Any, rows: int) -> Request | None:
        """Ask for the address that the answer names."""
        link = next_link(response.headers.get("link", "")) if self.read is None else found(document, self.read)
        if not isinstance(link, str) or not link:
            return None
        url = urljoin(request.url, link)
        if urlsplit(url)[:2] != urlsplit(request.url)[:2]:
            raise ProtocolError(f"The next page is at another server, {urlsplit(url).netloc!r}; it is not read.")
        return None if url == request.url else request.changed(url=url, params=None)

    def mistakes(self) -> Iterator[str]:
        """Say what is wrong with the fields."""
        return _wrong(self)


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
    on_cut: Callable[[], None] = lambda: None,
) -> Flow[list[Row]]:
    """Read a list page by page and give all its rows.

    ``rows_of`` reads the rows of an answer, and raises where it is no list. ``until`` is given each page's rows and
    says that no later page is needed. A list with more pages than ``max_pages`` ends there, after a call of ``on_cut``,
    or, with ``whole``, is `ProtocolError`. A page that repeats the one before is not read twice: the server gives the
    same page whatever it is asked for.
    """
    listed: list[Row] = []
    before: Sequence[Row] = ()
    visited = set[str]()
    following: Request | None = paginator.first(request)
    for _ in range(max_pages):
        if following is None:
            break
        asked = following
        visited.add(place_of(asked))
        response = yield from api.call(asked, doing)
        document = api.document(asked, response, doing)
        rows = rows_of(asked, document)
        following = None if until(rows) else paginator.after(asked, response, document, len(rows))
        is_repeated = rows == before and any(row != rows[0] for row in rows)
        if is_repeated or (following is not None and place_of(following) in visited):
            if whole:
                raise api.unreadable(asked, response, doing, REPEATED)
            following = None
        before = rows
        if not is_repeated:
            listed += rows
    if whole and following is not None:
        what = f"The list has more than {max_pages} pages, and a part of it would mislead"
        raise api.unreadable(request, response, doing, what)
    if following is not None:
        on_cut()
    return listed


def place_of(request: Request) -> str:
    """Name what a request for a page asks for, so that a list that leads in a circle is recognised."""
    return repr((request.url, sorted((request.params or {}).items()), request.json))

"""A request in its bytes: built, encoded and signed once, by `requests`, and only for an address that it may reach."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests
from multidict import CIMultiDict
from requests.exceptions import RequestException
from requests.structures import CaseInsensitiveDict

from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection
from airflow_workflow_provider.protocol.connection import Transport, is_loopback, origin_of
from airflow_workflow_provider.protocol.effects import Request

USER_AGENT = "airflow-workflow-provider"
# An address that `requests` leaves exactly as it is: a test compares.
_PLAIN = re.compile(
    r"https?://[a-z0-9](?:[a-z0-9-]|\.(?=[a-z0-9]))*(?::[1-9][0-9]{0,3}|:[1-5][0-9]{4})?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?"
)
_WORD = re.compile(r"[A-Za-z0-9._~-]+")  # of a query, that needs no encoding
HEADER_SETS = 64
# Services of cloud providers that give credentials to whoever asks from inside; the rest of them is link-local.
_METADATA = frozenset({"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"})
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
# IPv6 addresses that end with the IPv4 address they stand for.
_EMBEDDED = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96"))
# 2130706433, 0x7f.1 or 0177.0.0.1: resolvers, and so proxies, read each as 127.0.0.1.
_NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+)){0,3}")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def prepared(request: Request) -> requests.PreparedRequest:
    """Build the bytes of a request. A URL or header that cannot be sent raises `InvalidArgument`."""
    # A result is streamed as the server stores it; everything else may be compressed on the way.
    encoding = "identity" if request.stream else "gzip, deflate"
    common = {"Accept": "application/json", "Accept-Encoding": encoding, "User-Agent": USER_AGENT}
    headers: dict[str, Any] = {**common, **request.headers}
    if " " in request.url.partition("?")[0].partition("://")[2].partition("/")[0]:
        raise InvalidArgument(f"{request} cannot be sent: the host contains spaces")  # older requests would look it up
    try:
        made = requests.Request(
            request.method,
            request.url,
            params=dict(request.params) if request.params else None,
            headers=headers,
            json=request.json,
            data=dict(request.form) if request.form is not None else None,
            files=dict(request.files) if request.files is not None else None,
            auth=request.sign,
        ).prepare()
    except (RequestException, ValueError) as error:
        what = type(error).__name__
    else:
        # requests_oauthlib leaves bytes among the headers, which aiohttp does not take.
        made.headers = CaseInsensitiveDict({_text(name): _text(value) for name, value in made.headers.items()})
        return made
    raise InvalidArgument(f"{request} cannot be sent: {what}")


def check_address(request: Request, url: str, transport: Transport) -> None:
    """Refuse an address before anything is signed or sent.

    A signed request goes to the API whose credentials it carries, and only where the connection itself names that
    server. A foreign one, for a result at an address that a server gave, goes to no address of the inner network
    that the API is not on itself. Raises `InvalidArgument` or `InvalidConnection`.
    """
    if request.signed_for:
        origin = _origin(url)
        if origin != _origin(request.signed_for) or (transport.origins and origin not in transport.origins):
            raise InvalidArgument(
                f"{request} is not sent: the credentials of connection {transport.conn_id!r} go to "
                f"{_origin(request.signed_for) or 'its own server'} only"
            )
    elif request.foreign:
        _check_result(url, transport)


def _check_result(url: str, transport: Transport) -> None:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    shown = f"{parts.scheme}://{host}"
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(
            transport, f"the address of the result begins with {parts.scheme}:, which is neither http nor https"
        )
    if _origin(url) in transport.origins:
        return
    is_local = is_loopback(host) and _api_is_local(transport)
    if parts.scheme == "http" and not transport.allow_http and not is_local:
        raise _refused(transport, f"the result is at {shown}, plain http; use https, or set allow_http")
    if transport.result_hosts and not _is_own(host, transport) and not _is_listed(host, transport):
        raise _refused(transport, f"the result is at {shown}, which result_hosts does not name")
    if "%" in host and ":" not in host:  # a proxy might decode it
        raise _refused(transport, f"the result is at {shown}, a host with encoded characters")
    # A name is checked by `check_peer` again, when it has been resolved.
    check_peer(
        host, "127.0.0.1" if is_loopback(host) and not host[0].isdigit() and ":" not in host else host, transport
    )


def check_peer(host: str, peer: str, transport: Transport) -> None:
    """Refuse a connection to an inner address for a result; ``peer`` is the address that ``host`` was resolved to."""
    if _is_own(host, transport) or _is_listed(host, transport):
        return
    address = _address(peer)
    if address and address.is_loopback and _api_is_local(transport):
        return
    if address is None:
        is_refused = host.lower() in _METADATA_NAMES
    else:
        is_inner = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
        is_refused = is_inner or str(address) in _METADATA
    if is_refused:
        raise _refused(
            transport,
            f"the result is at {host} ({peer}), an address of this machine, a link-local address or a service for "
            "credentials; if this is correct, add the host to result_hosts",
        )


def _address(text: str) -> Address | None:
    """Give the address that a text stands for, in whatever spelling; None for a name."""
    try:
        return _real(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text)) if _NUMERIC.fullmatch(text) else None
    except OSError:
        return None


def _real(address: Address) -> Address:
    """Give the IPv4 address that is written as an IPv6 address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.is_loopback or address.is_unspecified:
        return address
    if any(address in network for network in _EMBEDDED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address


def _refused(transport: Transport, reason: str) -> InvalidConnection:
    return InvalidConnection(f"connection {transport.conn_id!r}, field 'result_hosts': {reason}")


def _hosts(transport: Transport) -> set[str]:
    return {urlsplit(origin).hostname or "" for origin in transport.origins}


def _is_own(host: str, transport: Transport) -> bool:
    return host in _hosts(transport)


def _is_listed(host: str, transport: Transport) -> bool:
    return any(fnmatchcase(host.lower(), pattern) for pattern in transport.result_hosts)


def _api_is_local(transport: Transport) -> bool:
    return any(is_loopback(host) for host in _hosts(transport))


def _origin(url: str) -> str:
    # Readers of addresses disagree about a backslash, so an address with one has no origin.
    return "" if "\\" in url else _origin_of_server("/".join(url.split("/", 3)[:3]))


@lru_cache(maxsize=256)
def _origin_of_server(address: str) -> str:
    """As `origin_of`, for an address without its path; the paths of a thousand runs would fill the cache."""
    return origin_of(address)


@dataclass(frozen=True, slots=True)
class Made:
    """A request ready to be sent by aiohttp."""

    method: str
    url: str
    headers: CIMultiDict[str]
    body: Any = None


class Maker:
    """Makes the requests of one client at the least cost: a waiting run asks the same every time."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._headers: dict[Any, CIMultiDict[str]] = {}

    def made(self, request: Request) -> Made:
        """Give the request in its bytes, signed for this attempt where it is to be signed."""
        made: Made | None = request.made
        if made is None:
            if any(body is not None for body in (request.json, request.form, request.files)) or request.stream:
                return self._whole(request)
            if request.sign is not None and not hasattr(request.sign, "header"):
                return self._whole(request)  # a signature that wants to see more than method and address
            url = _plain_url(request)
            made = self._plain(request, url) if url else self._whole(request.changed(sign=None))
            if request.lasting:
                # It goes with the request, and so with the run that it asks for.
                object.__setattr__(request, "made", made)
        if request.sign is None:
            return made
        headers = made.headers.copy()
        headers["Authorization"] = request.sign.header(made.method, made.url)
        return Made(made.method, made.url, headers)

    def _plain(self, request: Request, url: str) -> Made:
        """Make a request without preparing it: `requests` would only repeat what it did for another address."""
        check_address(request, url, self._transport)
        key = (request.method, *request.headers.items())
        headers = self._headers.get(key)
        if headers is None:
            if len(self._headers) >= HEADER_SETS:  # tokens come and go
                self._headers.clear()
            headers = self._headers[key] = self._whole(request.changed(sign=None)).headers
        return Made(request.method, url, headers)

    def _whole(self, request: Request) -> Made:
        check_address(request, request.url, self._transport)  # before it is signed
        made = prepared(request)
        url = str(made.url)
        if url != request.url:
            check_address(request, url, self._transport)
        return Made(str(made.method), url, CIMultiDict(made.headers), made.body)


def _plain_url(request: Request) -> str:
    """Give the whole address where `requests` would leave it as it is, else nothing."""
    if not _PLAIN.fullmatch(request.url):
        return ""
    if not request.params:
        return request.url
    words = [word for pair in request.params.items() for word in pair]
    if not all(isinstance(word, str) and _WORD.fullmatch(word) for word in words):
        return ""
    return f"{request.url}?{'&'.join([f'{name}={value}' for name, value in request.params.items()])}"


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

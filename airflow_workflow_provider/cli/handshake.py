"""Whether a server's address can be reached, and with which TLS; what is said to its API is none of this."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from airflow_workflow_provider.protocol.connection import is_loopback

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT = 10.0  # seconds
SOON = 14  # days before a certificate's end that are worth a warning


@dataclass(frozen=True)
class Place:
    """Where a URL leads from here: the server itself, or the proxy on the way."""

    url: str
    proxy: str
    verify: bool | str

    @classmethod
    def of(cls, url: str, session: requests.Session) -> Place:
        """Decide as `requests` does, with the connection's settings and those of the environment."""
        settings: Any = session.merge_environment_settings(url, dict(session.proxies), False, session.verify, None)
        return cls(url, select_proxy(url, settings["proxies"]) or "", settings["verify"])

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that a connection is opened to."""
        parts = urlsplit(self.proxy or self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def shown(self) -> str:
        """The server, or the proxy without its password."""
        host, port = self.address
        server = urlunsplit((*urlsplit(self.url)[:2], "", "", ""))
        return f"{server} through the proxy {host}:{port}" if self.proxy else server


def reached(place: Place) -> str:
    """Open a connection and close it; say how long it took. Raises OSError."""
    began = time.perf_counter()
    with socket.create_connection(place.address, timeout=CONNECT_TIMEOUT):
        return f"{place.shown} takes connections ({(time.perf_counter() - began) * 1000:.0f} ms)"


def encrypted(place: Place) -> tuple[bool, str]:
    """Do a TLS handshake; give whether all is well, and what was found. Raises OSError and ssl.SSLError."""
    parts = urlsplit(place.url)
    if parts.scheme != "https":
        if is_loopback(parts.hostname or ""):
            return True, "not used (localhost)"
        return False, "none: the credentials are sent unencrypted; use an https URL"
    if place.proxy:
        return place.verify is not False, _checked(place, "not checked, because the proxy is between")
    with _handshake(place) as connection:
        version, certificate = connection.version() or "TLS", connection.getpeercert() or {}
    end = certificate.get("notAfter")
    if not end:
        return place.verify is not False, _checked(place, version)
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(end)), UTC)
    days = (expires - datetime.now(UTC)).days
    text = f"{version}, certificate valid until {expires:%Y-%m-%d}"
    return days >= SOON, text if days >= SOON else f"{text}, in {days} days; renew it"


def _checked(place: Place, text: str) -> str:
    if place.verify is False:
        return f"{text}; the certificate is not checked, because the field 'verify' of the connection is false"
    return text


@contextmanager
def _handshake(place: Place) -> Iterator[ssl.SSLSocket]:
    host, _ = place.address
    with (
        socket.create_connection(place.address, timeout=CONNECT_TIMEOUT) as plain,
        _context(place.verify).wrap_socket(plain, server_hostname=host) as connection,
    ):
        yield connection


def _context(verify: bool | str) -> ssl.SSLContext:
    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    bundle = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)

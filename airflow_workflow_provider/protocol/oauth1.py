"""OAuth 1.0a signatures, one-legged, with HMAC-SHA1 (RFC 5849 section 3.4).

Every poll of a waiting run is signed, and this is a fifth of what oauthlib costs. It covers what the systems send:
requests without a body, or with a JSON body, which is not signed. Tests compare it with requests_oauthlib, which signs
everything else: a form that somebody posts through the hook's own session.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
_SIMPLE = re.compile(r"[A-Za-z0-9._~:/-]+").fullmatch
FORM = "application/x-www-form-urlencoded"


def escaped(text: str) -> str:
    """Percent-encode as RFC 5849 section 3.6 wants it: blanks become %20."""
    return text if text.isalnum() and text.isascii() else quote(text, safe="~")


def _escaped_address(text: str) -> str:
    """As `escaped`, for an address; `quote` goes through it letter by letter."""
    return text.replace("/", "%2F").replace(":", "%3A") if _SIMPLE(text) else quote(text, safe="~")


class OAuth1:
    """Signs requests with a consumer key and its secret; every signature has a nonce of its own.

    It is a `requests` auth object, too.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        nonce: Callable[[], str] = lambda: token_hex(8),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._pair = key, secret
        self._key, self._nonce, self._now = escaped(key), nonce, now
        self._mac = hmac.new(f"{escaped(secret)}&".encode(), digestmod="sha1")

    def header(self, method: str, url: str) -> str:
        """Give the ``Authorization`` header of a request to this URL, query included."""
        nonce, moment = self._nonce(), int(self._now())
        mac = self._mac.copy()  # the part that the secret needs is done once
        mac.update(base_string(method, url, self._key, nonce, moment).encode())
        signature = b64encode(mac.digest()).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        return (
            f'OAuth oauth_consumer_key="{self._key}", oauth_nonce="{nonce}", oauth_signature_method="HMAC-SHA1", '
            f'oauth_timestamp="{moment}", oauth_version="1.0", oauth_signature="{signature}"'
        )

    def __call__(self, prepared: Any) -> Any:
        """Sign what `requests` has prepared."""
        if str(prepared.headers.get("Content-Type", "")).startswith(FORM):
            from requests_oauthlib import OAuth1 as OfLibrary  # importing it takes long

            return OfLibrary(*self._pair)(prepared)
        prepared.headers["Authorization"] = self.header(str(prepared.method), str(prepared.url))
        return prepared


def base_string(method: str, url: str, key: str, nonce: str, moment: int) -> str:
    """Give the text that is signed (RFC 5849 section 3.4.1); key and nonce are encoded, or need no encoding."""
    address, _, query = url.partition("#")[0].partition("?")
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    place = _escaped_address(f"{_server(scheme, host)}/{path}")
    own = [
        ("oauth_consumer_key", key),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", str(moment)),
        ("oauth_version", "1.0"),
    ]
    if query:
        own = sorted([*own, *_pairs(query)])
    # Of what is encoded once, these three are all that a second time would change.
    parameters = "&".join([f"{name}={value}" for name, value in own])
    twice = parameters.replace("%", "%25").replace("=", "%3D").replace("&", "%26")
    return f"{method.upper()}&{place}&{twice}"


@lru_cache(maxsize=64)
def _pairs(query: str) -> tuple[tuple[str, str], ...]:
    """Give the encoded parameters of a query; every poll has the same ones."""
    return tuple((escaped(name), escaped(value)) for name, value in parse_qsl(query, keep_blank_values=True))


@lru_cache(maxsize=256)
def _server(scheme: str, host: str) -> str:
    """Give scheme and host in lower case, without the port that goes without saying."""
    parts = urlsplit(f"{scheme}://{host}".lower())
    if parts.port is not None and parts.port == DEFAULT_PORTS.get(parts.scheme):
        return f"{parts.scheme}://{parts.netloc.rpartition(':')[0]}"
    return f"{parts.scheme}://{parts.netloc}"

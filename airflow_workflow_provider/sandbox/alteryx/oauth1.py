"""OAuth 1.0a, one-legged, as the Gallery API up to 2021.4 demands it: the verifying side of RFC 5849.

Written by hand on purpose: clients sign with a library, and a verifier of the same library would share its mistakes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from .errors import ApiError, v1_body
from .settings import AlteryxSettings

REQUIRED = ("oauth_consumer_key", "oauth_signature_method", "oauth_signature", "oauth_timestamp", "oauth_nonce")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
BAD_SIGNATURE = "The provided signature(oauth_signature) is invalid."
# inferred: the wording is known, the missing space before the bracket is taken over from the sentence above.
BAD_KEY = "The provided API Key(oauth_consumer_key) is invalid."
NONCES_KEPT = 100_000

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class SignedRequest:
    """What a signature covers: ``url`` is the raw one as received, without its query; ``form`` a form-encoded body."""

    method: str
    url: str
    query: str = ""
    authorization: str = ""
    form: str = ""

    def parameters(self) -> list[tuple[str, str]]:
        """All parameters, decoded: of the header but for ``realm``, of the query, of a form."""
        scheme, _, rest = self.authorization.partition(" ")
        header = header_parameters(rest) if scheme.lower() == "oauth" else []
        return header + [pair for part in (self.query, self.form) for pair in parse_qsl(part, keep_blank_values=True)]


def header_parameters(text: str) -> list[tuple[str, str]]:
    """The parameters of an ``Authorization: OAuth`` header."""
    pairs = [part.strip().partition("=") for part in text.split(",") if "=" in part]
    decoded = [(unquote(name.strip()), unquote(value.strip().strip('"'))) for name, _, value in pairs]
    return [(name, value) for name, value in decoded if name.lower() != "realm"]


def encoded(text: str) -> str:
    """RFC 3986 encoding: only letters, digits and ``-._~`` stay."""
    return quote(text, safe="~")


def base_string(method: str, url: str, parameters: Pairs) -> str:
    """The text that is signed; ``oauth_signature`` is left out of the parameters."""
    parts = urlsplit(url)
    host = parts.netloc.lower().removesuffix(DEFAULT_PORTS.get(parts.scheme.lower(), ""))
    address = f"{parts.scheme.lower()}://{host}{parts.path or '/'}"
    pairs = sorted((encoded(name), encoded(value)) for name, value in parameters if name != "oauth_signature")
    normalized = "&".join(f"{name}={value}" for name, value in pairs)
    return "&".join((method.upper(), encoded(address), encoded(normalized)))


def signature(secret: str, text: str) -> str:
    """HMAC-SHA1 with no token secret, in base 64."""
    key = f"{encoded(secret)}&".encode()
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()


def refused(message: str) -> ApiError:
    """401 in V1's form."""
    return ApiError(401, message, v1_body(401, message))


@dataclass
class Verifier:
    """Decides whether a request is signed by a known key; ``secrets`` is by consumer key."""

    settings: AlteryxSettings
    secrets: Mapping[str, str]
    clock: Callable[[], float] = time.time
    seen: set[tuple[str, str, str]] = field(default_factory=set)
    order: deque[tuple[str, str, str]] = field(default_factory=deque)

    def consumer_key(self, request: SignedRequest) -> str:
        """The key that signed a request; raises a 401."""
        pairs = request.parameters()
        given = {name: value for name, value in pairs if name.startswith("oauth_")}
        for name in REQUIRED:
            if not given.get(name):
                # inferred: the sentence; that these five are required is documented.
                raise refused(f"The required parameter {name} is missing.")
        key = given["oauth_consumer_key"]
        if key not in self.secrets or self.settings.keys_revoked:
            raise refused(BAD_KEY)
        expected = signature(self.secrets[key], base_string(request.method, request.url, pairs))
        matches = hmac.compare_digest(expected.encode(), given["oauth_signature"].encode())
        if not matches or given["oauth_signature_method"] != "HMAC-SHA1" or given.get("oauth_version", "1.0") != "1.0":
            raise refused(BAD_SIGNATURE)
        self.check_time(key, given["oauth_timestamp"], given["oauth_nonce"])
        return key

    def check_time(self, key: str, timestamp: str, nonce: str) -> None:
        """Refuse old and repeated requests.

        inferred: whether the server does so is not known; RFC 5849 wants it, and a client that signs each time
        never notices.
        """
        window = self.settings.timestamp_window
        sent = int(timestamp) if timestamp.isascii() and timestamp.isdigit() else 0
        if window is not None and abs(self.clock() - sent) > window:
            raise refused("The provided timestamp(oauth_timestamp) is invalid.")
        use = (key, timestamp, nonce)
        if use in self.seen and self.settings.refuse_reused_nonce:
            raise refused("The provided nonce(oauth_nonce) is invalid.")
        if use not in self.seen:
            self.seen.add(use)
            self.order.append(use)
        if len(self.order) > NONCES_KEPT:
            self.seen.discard(self.order.popleft())

    def forget(self) -> None:
        """Forget the nonces."""
        self.seen.clear()
        self.order.clear()

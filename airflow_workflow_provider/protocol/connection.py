"""An Airflow connection as plain values, and what every system reads from one."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_workflow_provider.exceptions import InvalidConnection
from airflow_workflow_provider.protocol.documents import MAX_ANSWER, MAX_SHARED_ANSWER

MAX_TIMEOUT = 600.0  # seconds; a server that hangs must not hold a worker or a place in the triggerer for longer
LEAST_ANSWER, LARGEST_ANSWER = 64 * 1024, 256 * 1024 * 1024  # bytes; the bounds of ``max_answer_bytes``
DEFAULT_PORTS = {"http": 80, "https": 443}
_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
_NOT_IN_URL = re.compile(r"""[\s<>"{}|\\^`\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]""")
_USERINFO = re.compile(r"(?<=://).*@", re.DOTALL)
_FALSE = frozenset({"false", "0", "no", "off", "f", "n"})


def _environment_proxies() -> list[str]:
    """Give the proxies that the environment names, such as ``HTTPS_PROXY``."""
    return [value for name, value in os.environ.items() if re.fullmatch(r"(?i)(?!no_)\w+_proxy", name)]


@dataclass(frozen=True)
class Transport:
    """How the clients talk to a server: TLS verification (bool or CA file), seconds a request, proxies by scheme.

    ``conn_id`` is whose it is, for messages. ``origins`` are the servers that the connection names itself: a request
    with its credentials goes to these only; where none is known, to the API's own. ``max_answer`` (bytes) bounds an
    answer after decompression; 0 means the default of the driver, see `worker_limit` and `triggerer_limit`.
    ``allow_http`` permits results over plain http, and ``result_hosts``, unless empty, are the only other hosts that
    results are read from. ``environment_secrets`` are the passwords of proxies that environment variables name.
    """

    conn_id: str = ""
    verify: bool | str = True
    timeout: float = 30.0
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    origins: Collection[str] = ()
    max_answer: int = 0
    allow_http: bool = False
    result_hosts: tuple[str, ...] = ()
    environment_secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def worker_limit(self) -> int:
        """Bytes that an answer may have on a worker, after decompression."""
        return self.max_answer or MAX_ANSWER

    @property
    def triggerer_limit(self) -> int:
        """Bytes that an answer may have in a triggerer, after decompression."""
        return self.max_answer or MAX_SHARED_ANSWER

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords of its proxies, and of those of the environment."""
        return (*passwords_of(self.proxies.values()), *self.environment_secrets)

    def within(self, seconds: float) -> Transport:
        """Give the same with a shorter time-out."""
        return replace(self, timeout=min(self.timeout, seconds))


@dataclass(frozen=True)
class ConnectionValues:
    """The fields of an Airflow connection; extras may be text where they came from a URI.

    Every method raises `InvalidConnection`, which names the connection and the field.
    """

    conn_id: str
    host: str = ""
    schema: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origins: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """The servers that the connection names: of every address that was checked."""

    def invalid(self, name: str, reason: str) -> InvalidConnection:
        """Make the error for one field."""
        return InvalidConnection(f"connection {self.conn_id!r}, field {name!r}: {reason}")

    def text(self, name: str, default: str = "") -> str:
        """Give an extra as text without blanks around it."""
        value = self.extra.get(name)
        if value is None or value == "":
            return default
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise self.invalid(name, f"expected text, not {type(value).__name__}")
        return str(value).strip() or default

    def secret(self, name: str, value: str) -> str:
        """Check that a credential is there; blanks around it are a slip of copying."""
        text = (value or "").strip()
        if not text:
            raise self.invalid(name, "is empty")
        if not text.isprintable():
            raise self.invalid(name, "holds a line break or another character that cannot be printed")
        return text

    def header_secret(self, name: str, value: str) -> str:
        """As `secret`, for one that travels in a header, which takes ASCII only."""
        text = self.secret(name, value)
        if not text.isascii():
            raise self.invalid(name, "holds a character that is not ASCII; was it copied whole?")
        return text

    def flag(self, name: str, default: bool) -> bool:
        """Give an extra as a bool; ``"false"`` from a URI is False."""
        value = self.extra.get(name)
        if value is None or value == "":
            return default
        word = str(value).strip().lower()
        if isinstance(value, bool) or word in _TRUE | _FALSE:
            return word in _TRUE
        raise self.invalid(name, f"expected true or false, not {value!r}")

    def number(self, name: str, default: float, most: float = MAX_TIMEOUT) -> float:
        """Give an extra as a positive number."""
        value = self.extra.get(name)
        if value is None or value == "":
            return default
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = -1.0
        if isinstance(value, bool) or not 0 < number <= most:
            is_huge = isinstance(value, int) and value.bit_length() > 1024  # Python spells no number of all digits
            shown = "a number of many digits" if is_huge else repr(value)[:100]
            raise self.invalid(name, f"expected a number above 0 and at most {most:g}, not {shown}")
        return number

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Give an extra that is one of some words."""
        value = self.text(name, default).lower()
        if value and value not in choices:
            raise self.invalid(name, f"expected one of {', '.join(choices)}, not {value!r}")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """Give an extra as a mapping; it may be JSON text."""
        value = self.extra.get(name)
        if value is None or value == "":
            return {}
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                raise self.invalid(name, "is not JSON") from None
        if not isinstance(value, Mapping):
            raise self.invalid(name, f"expected an object, not {type(value).__name__}")
        return dict(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Give an extra as a list of texts: a JSON list, or a text with commas."""
        value = self.extra.get(name)
        if isinstance(value, str) and value.strip().startswith("["):
            try:
                value = json.loads(value)
            except ValueError:
                raise self.invalid(name, "is not JSON") from None
        items = value.split(",") if isinstance(value, str) else [] if value is None else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise self.invalid(name, "expected a list of texts, or a text with commas")
        return tuple(item.strip() for item in items if item.strip())

    def transport(self, timeout: float = 30.0) -> Transport:
        """Read ``verify``, ``timeout``, ``proxies``, ``allow_http``, ``max_answer_bytes`` and ``result_hosts``."""
        verify: bool | str
        raw = self.extra.get("verify")
        is_path = isinstance(raw, str) and raw.strip().lower() not in _TRUE | _FALSE | {""}
        verify = str(raw).strip() if is_path else self.flag("verify", True)
        proxies = {str(scheme): str(url).strip() for scheme, url in self.mapping("proxies").items() if url}
        for url in proxies.values():
            if not _is_proxy(url):
                raise self.invalid("proxies", "every proxy is an http or https URL")
        max_answer = self.number("max_answer_bytes", 0, LARGEST_ANSWER)
        if max_answer and max_answer < LEAST_ANSWER:
            raise self.invalid("max_answer_bytes", f"expected at least {LEAST_ANSWER}, not {max_answer:g}")
        return Transport(
            conn_id=self.conn_id,
            verify=verify,
            timeout=self.number("timeout", timeout),
            proxies=proxies,
            origins=self.origins,
            max_answer=int(max_answer),
            allow_http=self.flag("allow_http", False),
            result_hosts=tuple(host.lower() for host in self.texts("result_hosts")),
            environment_secrets=passwords_of(_environment_proxies()),
        )

    def base_url(self, default: str = "") -> str:
        """Give the URL that paths are appended to, without a slash at its end.

        ``host`` is a full URL with any path prefix, or a bare name that ``schema`` (default https) and ``port``
        complete. A plain http URL is refused unless it is loopback or ``allow_http`` is set: a secret would
        travel in the open.
        """
        host = (self.host or "").strip() or default
        if not host:
            raise self.invalid("host", "is empty; give the base URL of the API")
        if "://" not in host:
            scheme = (self.schema or "").strip() or "https"
            if scheme not in ("http", "https"):
                raise self.invalid("schema", f"{scheme!r} is neither http nor https")
            host = f"{scheme}://{host}"
        return self.checked_url("host", host, port=self.port)

    def checked_url(self, name: str, url: str, *, port: int | None = None) -> str:
        """Check one URL of this connection as `base_url` does."""
        shown = _USERINFO.sub("***@", url.strip())  # an address that is wrong may hold a password all the same
        try:
            parts = urlsplit(url.strip())
            hostname, own_port = parts.hostname or "", parts.port
        except ValueError:
            raise self.invalid(name, f"{shown!r} is not a URL") from None
        if parts.scheme not in ("http", "https"):
            raise self.invalid(name, f"{shown!r} is neither an http nor an https URL")
        if not hostname or _NOT_IN_URL.search(url.strip()):
            raise self.invalid(name, f"{shown!r} is not a URL with a host name")
        if parts.username or parts.password:
            raise self.invalid(name, "holds credentials; put them into login and password")
        if parts.query or parts.fragment:
            raise self.invalid(name, "holds a query or fragment; give the base URL only")
        if parts.scheme == "http" and not is_loopback(hostname) and not self.flag("allow_http", False):
            raise self.invalid(
                name,
                f"{shown!r} is plain http, which sends the credentials unencrypted; use https, or set allow_http",
            )
        if port is not None and not 0 < port < 65_536:
            raise self.invalid("port", f"{port} is no port")
        bracketed = f"[{hostname}]" if ":" in hostname else hostname
        chosen = own_port or port
        netloc = f"{bracketed}:{chosen}" if chosen else bracketed
        checked = urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))
        self.origins.add(origin_of(checked))
        return checked


def passwords_of(urls: Iterable[str]) -> tuple[str, ...]:
    """Give the passwords in some addresses of proxies, as they are written and decoded."""
    found: set[str] = set()
    for url in urls:
        try:
            password = urlsplit(url).password
        except ValueError:
            continue
        found |= {text for text in (password, unquote(password or "")) if text}
    return tuple(sorted(found))


def origin_of(url: str) -> str:
    """Give scheme, host and port of a URL in one spelling; empty for what is no URL with a host."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme.lower())
    except ValueError:
        return ""
    host = (parts.hostname or "").rstrip(".")
    return f"{parts.scheme.lower()}://{host}:{port}" if host and port else ""


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        valid_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and valid_port and not any(map(str.isspace, url))


def is_loopback(hostname: str) -> bool:
    """True for this machine's own names and addresses."""
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False

"""URIs that name outputs: ``<system>://<server>/<workflow>/<output>``, or a file's own address."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
_URL_CHARACTERS = "/%:@!$&'()*+,;=~"


def own_uri(system: str, server: str, *names: str) -> str:
    """Make a URI of a system's own scheme; every name is one part of the path, whatever characters it has."""
    return "/".join([f"{system}://{server}", *(quote(name, safe="") for name in names)])


def server_of(url: str | None) -> str:
    """Give host and port of a URL, without the port that its scheme has anyway; empty where there is none."""
    try:
        parts = urlsplit(url or "")
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port in (None, DEFAULT_PORTS.get(parts.scheme)) else f"{bracketed}:{port}"


def file_uri(location: str) -> str | None:
    """Give a file's address without user, query and fragment, or None where it is no address."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return None
    server = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not server or not parts.path.strip("/"):
        return None
    return urlunsplit((parts.scheme, server, quote(parts.path.rstrip("/"), safe=_URL_CHARACTERS), "", ""))

"""The URIs of our own schemes, ``<system>://<server>/<workflow>/<output>``, as Airflow checks them.

Airflow calls the handler wherever an asset is made, a DAG file included: it does no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

DEFAULT_PORTS = {"http": 80, "https": 443}


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check and normalise a URI of ours; raises ValueError, which says what is missing.

    The server's name is lower case, and query and fragment go: they are no part of an output's name.
    """
    server = uri.netloc.rpartition("@")[2].lower()
    if not server:
        raise ValueError(f"URI format {uri.scheme}:// must contain the host of the server")
    names = [name for name in uri.path.split("/") if name]
    if not names:
        raise ValueError(f"URI format {uri.scheme}:// must contain a workflow, or a workflow and an output")
    return uri._replace(netloc=server, path="/" + "/".join(names), query="", fragment="")


def own_uri(system: str, server: str, *names: str) -> str:
    """Make a URI of ours; every name is one part of the path, whatever characters it has."""
    return "/".join([f"{system}://{server}", *(quote(name, safe="") for name in names)])


def server_of(url: str | None) -> str:
    """Give host and port of a URL, without the port that its scheme has anyway; empty where there is none."""
    parts = urlsplit(url or "")
    host = (parts.hostname or "").lower()
    if not host:
        return ""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f"{bracketed}:{parts.port}"

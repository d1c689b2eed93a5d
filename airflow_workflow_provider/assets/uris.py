"""The URIs of our own schemes, ``<system>://<server>/<workflow>/<output>``, as Airflow checks them.

Airflow calls the handler wherever an asset is made, a DAG file included: it does no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check and normalise a URI with a scheme of this package. Raises ValueError, which names the missing part.

    The server's name is lower case, and query and fragment go: they are no part of an output's name.
    """
    server = uri.netloc.rpartition("@")[2].lower()
    if not server:
        raise ValueError(f"URI format {uri.scheme}:// must contain the host of the server")
    names = [name for name in uri.path.split("/") if name]
    if not names:
        raise ValueError(f"URI format {uri.scheme}:// must contain a workflow, or a workflow and an output")
    return uri._replace(netloc=server, path="/" + "/".join(names), query="", fragment="")

"""OpenLineage namespace and name of an asset's URI.

Source: https://openlineage.io/docs/spec/naming
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_workflow_provider.protocol.text import clean_text, cut_text

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset

DATABASES = ("snowflake", "postgres", "redshift")
CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")  # what stands before the @ is a container and no user
LONGEST = 2_000  # characters of a name
_USER = re.compile(r"^([^/:]+://)?[^/?#]*@")


def name_of(uri: str) -> tuple[str, str]:
    """Return namespace and name of a URI, without a user, a password or a query."""
    try:
        namespace, name = _name_of(uri)
    except ValueError:  # it is no URI
        namespace, name = "unknown", without_user(uri.partition("?")[0])
    return short(namespace), short(name)


def short(text: str) -> str:
    """Return a text as a facet has it: clean and not too long."""
    return cut_text(clean_text(text), LONGEST)


def without_user(address: str) -> str:
    """Return an address without user and password: those who read lineage need not know them."""
    return _USER.sub(r"\1", address)


def _name_of(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    if parts.scheme not in CONTAINERS:
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    names = [unquote(part) for part in parts.path.split("/") if part]
    if parts.scheme == "bigquery":
        return "bigquery", ".".join([unquote(parts.netloc), *names])
    if parts.scheme in DATABASES:
        return f"{parts.scheme}://{parts.netloc}", ".".join(names)
    if parts.scheme in ("", "file"):
        return (f"file://{parts.netloc}" if parts.netloc else "file"), unquote(parts.path)
    return f"{parts.scheme}://{parts.netloc}", "/".join(names) or "/"


def convert_asset_to_openlineage(asset: Any, lineage_context: Any) -> Dataset:
    """Return the OpenLineage dataset of an asset with a scheme of this package; Airflow calls this."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    namespace, name = name_of(asset.uri)
    return Dataset(namespace=namespace, name=name)

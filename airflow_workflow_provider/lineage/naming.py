"""OpenLineage namespace and name of an asset's URI.

Source: https://openlineage.io/docs/spec/naming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset

DATABASES = ("snowflake", "postgres", "redshift")


def name_of(uri: str) -> tuple[str, str]:
    """Return namespace and name of a URI."""
    parts = urlsplit(uri)
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

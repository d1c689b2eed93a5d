"""What arguments for Stevesie may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument

FORMATS = ("csv", "json")
METHODS = ("add", "remove", "replace")


def checked_items(items: Any) -> list[str]:
    """Give the items of a collection as text, each once. Raises `InvalidArgument`, for None among them as well."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidArgument(f"items: expected a list, not {type(items).__name__}")
    wanted: dict[str, None] = {}
    for item in items:
        if isinstance(item, bool) or not isinstance(item, (str, int, float, Decimal, date)):
            raise InvalidArgument(f"items: expected text or numbers, not {item!r:.100}")
        wanted[str(item)] = None
    return list(wanted)


def checked_proxy(proxy: Any) -> Any:
    """Give the proxy block of a start. Raises `InvalidArgument` where it has a URL: that may hold a password."""
    if isinstance(proxy, Mapping) and "url" in proxy:
        raise InvalidArgument("proxy: expected a mapping without a URL; the URL is a secret of the connection")
    return proxy

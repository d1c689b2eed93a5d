"""The body that starts an execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import bad

PROXY_TYPES = ("shared", "dedicated", "custom")
# From https://stevesie.com/docs/stevesie-api.
LOCATIONS = ("nyc", "sfo", "ams", "sgp", "lon", "fra", "tor", "blr")
FORMATS = ("csv", "json")


@dataclass(frozen=True)
class Order:
    """A checked body; ``form`` is csv or json, and of the proxy it keeps only what is no secret."""

    parameters: dict[str, Any] | None = None
    maximum: int | None = None
    form: str = "csv"
    hot_swap: bool = False
    proxy_type: str | None = None
    proxy_location: str | None = None

    def given(self, name: str, default: Any) -> Any:
        """One execution parameter."""
        return (self.parameters or {}).get(name, default)


def order_of(body: Mapping[str, Any], proxy_required: bool) -> Order:
    """Check a body; what the page does not say is refused (all refusals are inferred)."""
    proxy = checked_proxy(body.get("proxy"), proxy_required)
    parameters = body.get("execution_parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise bad("execution_parameters", "must be a JSON object")
    maximum = body.get("maximum_requests_count")
    if maximum is not None and (isinstance(maximum, bool) or not isinstance(maximum, int) or maximum < 0):
        raise bad("maximum_requests_count", "must be a whole number")
    form: str = body.get("output_aggregation_format") or "csv"
    if form not in FORMATS:
        raise bad("output_aggregation_format", "must be csv or json")
    hot_swap = body.get("do_proxy_hot_swap") or False
    if not isinstance(hot_swap, bool):
        raise bad("do_proxy_hot_swap", "must be true or false")
    return Order(parameters, maximum, form, hot_swap, proxy.get("type"), proxy.get("location"))


def checked_proxy(proxy: Any, required: bool) -> dict[str, Any]:
    """The ``proxy`` block: shared and dedicated ones have a location (or the id of one's own), custom ones a URL."""
    if proxy is None and not required:
        return {}
    if not isinstance(proxy, dict):
        raise bad("proxy", "is required")
    if proxy.get("type") not in PROXY_TYPES:
        raise bad("proxy", 'type must be "shared", "dedicated" or "custom"')
    if proxy["type"] == "custom" and not (isinstance(proxy.get("url"), str) and proxy["url"]):
        raise bad("proxy", "url is required for a custom proxy")
    own = proxy["type"] == "dedicated" and proxy.get("proxy_id")
    if proxy["type"] != "custom" and not own and proxy.get("location") not in LOCATIONS:
        raise bad("proxy", "location is not known")
    return proxy

"""Airflow's own collector of asset events, as a running task gets it, on 2.11 and 3.x alike."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from airflow.providers.common.compat.sdk import AssetAlias

AIRFLOW_3 = version("apache-airflow") >= "3"
# Airflow 3.0 to 3.1.6 take no objects and lists in the extra of an alias's event.
OBJECTS_ARE_TEXT = (3,) < tuple(map(int, version("apache-airflow").split("."))) < (3, 1, 7)


def new_events() -> Any:
    """Give what ``context["outlet_events"]`` is."""
    if AIRFLOW_3:
        from airflow.sdk.execution_time.context import OutletEventAccessors
    else:
        from airflow.utils.context import OutletEventAccessors
    return OutletEventAccessors()


def emitted(events: Any, alias: str) -> list[tuple[str, dict[str, Any]]]:
    """Give URI and extra of each event that an alias has received."""
    accessor = events[AssetAlias(alias)]
    if AIRFLOW_3:
        return [(event.dest_asset_key.uri, event.extra) for event in accessor.asset_alias_events]
    return [(event["dest_dataset_uri"], event["extra"]) for event in accessor.dataset_alias_events]


def parameters_of(extra: dict[str, Any]) -> Any:
    """Give the query parameters in an event's extra, which are JSON text on some Airflows."""
    found = extra["parameters"]
    if not OBJECTS_ARE_TEXT:
        assert isinstance(found, dict)
        return found
    return json.loads(found)

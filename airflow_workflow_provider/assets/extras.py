"""The extra of an asset event, in a form that every version of Airflow accepts.

Airflow before 3.1.7 puts the extras of an alias's events into a set. It fails the task if an extra contains an object
or a list. This happens after the run has succeeded, in Airflow's own code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any


class HashableObject(dict[str, Any]):
    """A JSON object that can be in a set. It must not be changed."""

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none
        return hash(json.dumps(self, sort_keys=True))


class HashableList(list[Any]):
    """A JSON list that can be in a set. It must not be changed."""

    def __hash__(self) -> int:  # type: ignore[override]  # a list has none
        return hash(json.dumps(self, sort_keys=True))


def storable(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extra in the form for the installed Airflow."""
    return _way()(extra)


def as_objects(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extra unchanged: Airflow 3.1.7 and newer."""
    return dict(extra)


def as_texts(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return objects and lists as JSON text: Airflow 3.0 to 3.1.6, whose server compares them."""
    return {name: json.dumps(value) if isinstance(value, (dict, list)) else value for name, value in extra.items()}


def as_hashable(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return objects and lists that can be in a set: Airflow 2, where the task itself compares them."""
    kinds: dict[type, Callable[[Any], Any]] = {dict: HashableObject, list: HashableList}
    return {name: kinds.get(type(value), _same)(value) for name, value in extra.items()}


def _same(value: Any) -> Any:
    return value


def _way() -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    try:
        from airflow.sdk.definitions.asset import AssetAliasEvent
    except ImportError:
        return as_hashable
    # The field came with 3.1.7, which compares JSON text.
    return as_objects if hasattr(AssetAliasEvent, "dest_asset_extra") else as_texts

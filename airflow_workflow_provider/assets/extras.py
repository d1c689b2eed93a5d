"""What an asset event carries, in a shape that every Airflow takes.

Airflow below 3.1.7 compares events of an alias by putting what they carry into a set, and fails the task over an
object or a list in it: after the run has succeeded, and where no code of ours could catch it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any


class HashableObject(dict[str, Any]):
    """A JSON object that can be in a set; it is not to be changed any more."""

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none
        return hash(json.dumps(self, sort_keys=True))


class HashableList(list[Any]):
    """A JSON list that can be in a set; it is not to be changed any more."""

    def __hash__(self) -> int:  # type: ignore[override]  # a list has none
        return hash(json.dumps(self, sort_keys=True))


def storable(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Give what this Airflow can take in."""
    return _way()(extra)


def as_objects(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Leave everything as it is: Airflow 3.1.7 and newer."""
    return dict(extra)


def as_texts(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Make JSON text of objects and lists: Airflow 3.0 to 3.1.6, where they cross to a server that compares them."""
    return {name: json.dumps(value) if isinstance(value, (dict, list)) else value for name, value in extra.items()}


def as_hashable(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Make objects and lists that can be compared: Airflow 2, where the task itself does that."""
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

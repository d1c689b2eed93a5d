"""What is true of one API: a folder per workflow system, and how a system is found by its key.

A system is loaded at the first use of its key, whether it belongs to this package or to another distribution. This
module itself imports nothing, so that the connection forms below it can be read without Airflow.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_workflow_provider.protocol.system import WorkflowSystem

_CLASSES = {
    "carto": "CartoSystem",
    "alteryx": "AlteryxSystem",
    "stevesie": "StevesieSystem",
    "chorus": "ChorusSystem",
    "invision": "InvisionSystem",
}


class _BuiltIn(Mapping[str, "type[WorkflowSystem]"]):
    """The systems of this package by their keys; each is loaded when it is looked up."""

    def __getitem__(self, key: str) -> type[WorkflowSystem]:
        found: type[WorkflowSystem] = getattr(import_module(f"{__name__}.{key}.system"), _CLASSES[key])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)

    def __contains__(self, key: object) -> bool:
        return key in _CLASSES


SYSTEMS: Mapping[str, type[WorkflowSystem]] = _BuiltIn()


def system_class(key: str) -> type[WorkflowSystem]:
    """Give the system of this key: one of this package, or one that another distribution has registered.

    Raises `InvalidArgument`: for an unknown key it lists the known ones, for a system that cannot be loaded it names
    the distribution and its error.
    """
    if key in SYSTEMS:
        return SYSTEMS[key]
    from airflow_workflow_provider.exceptions import InvalidArgument
    from airflow_workflow_provider.systems import registry

    if isinstance(key, str) and (found := registry.load(key)):
        return found
    known = list(known_keys())
    text = str(key).strip().lower()
    hint = f"did you mean {text!r}?" if text in known else "for another system, install its package here."
    raise InvalidArgument(f"system: {key!r} is unknown; known: {', '.join(known)}; {hint}")


def is_loaded(key: str) -> bool:
    """True where looking up the system of this key imports nothing: the import of another one may take long."""
    if key in SYSTEMS:
        return f"{__name__}.{key}.system" in sys.modules
    from airflow_workflow_provider.systems import registry

    return registry.is_loaded(key)


def known_keys() -> list[str]:
    """Give the keys of all systems; those of other distributions come last and are not loaded."""
    from airflow_workflow_provider.systems import registry

    return [*SYSTEMS, *(key for key in registry.registered() if key not in SYSTEMS)]

"""Alteryx Server: what is true of its API. The class is loaded at its first use, the form needs none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_workflow_provider.systems.alteryx.system import AlteryxSystem

__all__ = ["AlteryxSystem"]


def __getattr__(name: str) -> Any:
    if name != "AlteryxSystem":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_workflow_provider.systems.alteryx.system import AlteryxSystem

    return AlteryxSystem

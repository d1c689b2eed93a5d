"""Team Studio: what is true of its API. The class is loaded at its first use, the form needs none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_workflow_provider.systems.chorus.system import ChorusSystem

__all__ = ["ChorusSystem"]


def __getattr__(name: str) -> Any:
    if name != "ChorusSystem":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_workflow_provider.systems.chorus.system import ChorusSystem

    return ChorusSystem

"""The hook classes of systems that other distributions register, by their key.

Airflow finds the class behind a connection's form by a dotted name; ``hooks.registered.acme`` is made for the key
``acme`` when it is asked for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.systems import registry


@lru_cache
def hook_class(key: str) -> type[WorkflowHook]:
    """Give the hook class of a registered system; raises `InvalidArgument`."""
    system = registry.load(key)
    if system is None:
        raise InvalidArgument(f"system: {key!r} is registered by no distribution")
    argument = f"{key}_conn_id"

    def made(self: WorkflowHook, conn_id: str | None = None, **names: str) -> None:
        WorkflowHook.__init__(self, names.get(argument, conn_id))
        setattr(self, argument, self.conn_id)

    names = {
        "__doc__": f"Starts, watches, cancels and reads runs of {system.label}.",
        "__init__": made,
        "__module__": __name__,
        "__qualname__": key,
        "system_key": key,
        "conn_name_attr": argument,
        "default_conn_name": system.default_conn_id,
        "conn_type": key,
        "hook_name": system.label,
    }
    return type(key, (WorkflowHook,), names)


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in registry.registered():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return hook_class(name)

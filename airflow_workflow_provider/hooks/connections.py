"""From an Airflow connection to a workflow system, on a worker and in the triggerer."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret
from asgiref.sync import sync_to_async

from airflow_workflow_provider.exceptions import InvalidConnection
from airflow_workflow_provider.hooks.supervisor import ask
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.form import unknown_extras
from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.systems import is_loaded, system_class

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

# `system_class` is imported from here, too.
__all__ = ["aload_system", "amask", "load_system", "mask", "owner", "system_class", "values_of"]


log = logging.getLogger(__name__)


def owner(system: str | None, conn_id: str | None) -> dict[str, str]:
    """Tell `parse_run` whose a bare id is: of this system and connection, by default the system's own; of none."""
    return {"system": system, "conn_id": conn_id or system_class(system).default_conn_id} if system else {}


def values_of(connection: Connection, extra: Mapping[str, Any] | None = None, *, conn_id: str = "") -> ConnectionValues:
    """Give the plain values of an Airflow connection.

    :param extra: the extras, where they have been read already.
    :param conn_id: the id that was asked for. It wins over the object's own: some secrets backends leave that empty
        or put another name there.
    """
    if extra is None:
        extra = connection.extra_dejson
    if not extra and not _is_json(connection.extra):
        raise InvalidConnection(f"connection {conn_id!r}, field 'extra': is not JSON")
    return ConnectionValues(
        conn_id=conn_id or connection.conn_id or "",
        host=connection.host or "",
        schema=connection.schema or "",
        port=int(connection.port) if connection.port else None,
        login=connection.login or "",
        password=connection.password or "",
        extra=extra,
    )


def _is_json(text: str | None) -> bool:
    """Tell whether an extra can be read; Airflow takes one that cannot for an empty one."""
    try:
        json.loads(text or "{}")
    except ValueError:
        return False
    return True


def check_type(system: type[WorkflowSystem], connection: Connection, conn_id: str) -> None:
    """Refuse a connection of another type, which holds credentials for another product; an empty type is allowed."""
    found = str(connection.conn_type or "").strip()
    if found and found.lower().replace("-", "_") != system.key.lower().replace("-", "_"):
        raise InvalidConnection(
            f"connection {conn_id!r} is of type {found}, this operator wants {system.key}; "
            f"name a connection of type {system.key}, or correct the type of this one"
        )


def load_system(key: str, conn_id: str) -> WorkflowSystem:
    """Read the connection and make the system. Raises `InvalidConnection`."""
    made = system_class(key)
    if not isinstance(conn_id, str) or not conn_id.strip():
        raise InvalidConnection(f"{key}_conn_id: is empty")
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise InvalidConnection(
            f"connection {conn_id!r} is not defined; create it in Airflow, or correct its name"
        ) from error
    check_type(made, connection, conn_id)
    values = values_of(connection, conn_id=conn_id)
    for reason in unknown_extras(made.form, values.extra):
        log.warning("Connection %r: %s", conn_id, reason)
    system = made(values)
    for secret in system.credentials():
        mask(secret)
    return system


async def aload_system(key: str, conn_id: str) -> WorkflowSystem:
    """As `load_system`, without blocking the event loop."""
    # The import of a system blocks: that of another distribution may take long.
    load = sync_to_async(system_class, thread_sensitive=False)
    made = system_class(key) if is_loaded(key) else await load(key)
    try:
        connection = await ask(lambda: get_async_connection(conn_id))
        extra = await ask(lambda: get_async_extra_dejson(connection))
    except AirflowNotFoundException as error:
        raise InvalidConnection(
            f"connection {conn_id!r} is not defined; create it in Airflow, or correct its name"
        ) from error
    check_type(made, connection, conn_id)
    system = made(values_of(connection, extra, conn_id=conn_id))
    for secret in system.credentials():
        await amask(secret)
    return system


def mask(secret: str) -> None:
    """Mask a secret in the task's log, from any thread.

    `mask_secret` also sends the secret to the supervisor process. Before Airflow 3.2 two threads of a task can read
    each other's answers there, so another thread than the main one masks in its own process only. What a task logs
    is redacted in that process.
    """
    if threading.current_thread() is not threading.main_thread() and (masker := _masker_of_this_process()):
        masker.add_mask(secret, None)
    else:
        mask_secret(secret)


async def amask(secret: str) -> None:
    """Mask a secret in the triggerer's logs: with the coroutine of Airflow where it has one (3.3.2 and newer).

    Elsewhere `sync_to_async` lets the synchronous call send its message in the event loop that owns the connection to
    the supervisor. A plain thread would send it out of turn, which ends the triggerer of Airflow 3.0 and 3.1.
    """
    try:
        from airflow.sdk.log import amask_secret
    except ImportError:
        await ask(lambda: sync_to_async(mask_secret)(secret))
    else:
        await ask(lambda: amask_secret(secret))


def _masker_of_this_process() -> Any:
    """Give the masker of Airflow 3.0 and 3.1, whose connection to the supervisor takes one thread only; else None."""
    try:
        from airflow.sdk.execution_time.comms import CommsDecoder
    except ImportError:  # Airflow 2 has no supervisor
        return None
    if hasattr(CommsDecoder, "_thread_lock") or "_thread_lock" in getattr(CommsDecoder, "__annotations__", {}):
        return None
    try:
        module = import_module("airflow.sdk._shared.secrets_masker")  # 3.1
    except ImportError:
        module = import_module("airflow.sdk.execution_time.secrets_masker")  # 3.0
    return module._secrets_masker()  # noqa: SLF001  # there is no public one, and these releases do not change

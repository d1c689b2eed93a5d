"""From a connection's name to a client in the triggerer, the same for every trigger that shares it."""

from __future__ import annotations

import asyncio
import logging
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_workflow_provider.triggers.metrics import reporter

if TYPE_CHECKING:
    from airflow_workflow_provider.client.triggerer import TriggererClient
    from airflow_workflow_provider.protocol.system import WorkflowSystem

# What the first trigger of a process needs beyond this package's own light modules: with aiohttp, requests and all
# systems some tenths of a second, in which nothing else would happen in the triggerer.
HEAVY = (
    "airflow_workflow_provider.client.pool",
    "airflow_workflow_provider.client.list_poller",
    "airflow_workflow_provider.hooks.connections",
    "airflow_workflow_provider.protocol.poll",
    "airflow_workflow_provider.triggers.task_log",
)
_loadings: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()


def has_changed(before: WorkflowSystem, now: WorkflowSystem) -> bool:
    """True if the connection has other credentials, or another way to the server, than before."""
    return before is not now and (before.secrets != now.secrets or before.transport != now.transport)


async def loaded() -> None:
    """Import all that watching needs, in a thread; those who come meanwhile wait for the same import."""
    loop = asyncio.get_running_loop()
    loading = _loadings.get(loop)
    if loading is None:
        loading = _loadings[loop] = loop.create_task(sync_to_async(_import, thread_sensitive=False)())
    if not loading.done():
        await asyncio.shield(loading)


def _import() -> None:
    for name in HEAVY:
        import_module(name)


async def load(key: str, conn_id: str) -> tuple[WorkflowSystem, TriggererClient]:
    """Read the connection; give the system behind it and a client that is not open yet."""
    # Imported here and not at the top: an operator imports the triggers when it defers, and has no use for aiohttp.
    from airflow_workflow_provider.client.triggerer import TriggererClient
    from airflow_workflow_provider.hooks.connections import aload_system, amask

    system = await aload_system(key, conn_id)
    logger = logging.getLogger("airflow_workflow_provider.triggers")
    client = TriggererClient(
        system.transport, mask=amask, logger=logger, meter=reporter().meter, secrets=system.credentials
    )
    return system, client

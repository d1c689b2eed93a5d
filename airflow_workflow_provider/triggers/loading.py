"""From a connection's name to a client in the triggerer, the same for every trigger that shares it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_workflow_provider.triggers.metrics import reporter

if TYPE_CHECKING:
    from airflow_workflow_provider.client.triggerer import TriggererClient
    from airflow_workflow_provider.protocol.system import WorkflowSystem


async def load(key: str, conn_id: str) -> tuple[WorkflowSystem, TriggererClient]:
    """Read the connection; give the system behind it and a client that is not open yet."""
    # Imported here and not at the top: an operator imports the triggers when it defers, and has no use for aiohttp.
    from airflow_workflow_provider.client.triggerer import TriggererClient
    from airflow_workflow_provider.hooks.connections import aload_system, amask

    system = await aload_system(key, conn_id)
    logger = logging.getLogger("airflow_workflow_provider.triggers")
    return system, TriggererClient(system.transport, mask=amask, logger=logger, meter=reporter().meter)

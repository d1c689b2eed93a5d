"""What is true of one API: a module per workflow system, and the explicit list of them."""

from __future__ import annotations

from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.systems.carto import CartoSystem

SYSTEMS: dict[str, type[WorkflowSystem]] = {system.key: system for system in (CartoSystem,)}

"""What is true of one API: a module per workflow system, and the explicit list of them."""

from __future__ import annotations

from airflow_workflow_provider.protocol.system import WorkflowSystem
from airflow_workflow_provider.systems.alteryx import AlteryxSystem
from airflow_workflow_provider.systems.carto import CartoSystem
from airflow_workflow_provider.systems.chorus import ChorusSystem
from airflow_workflow_provider.systems.invision import InvisionSystem
from airflow_workflow_provider.systems.stevesie import StevesieSystem

_ALL = (CartoSystem, AlteryxSystem, StevesieSystem, ChorusSystem, InvisionSystem)

SYSTEMS: dict[str, type[WorkflowSystem]] = {system.key: system for system in _ALL}

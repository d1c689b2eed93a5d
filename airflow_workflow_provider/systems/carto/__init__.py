"""CARTO Workflows: what is true of its API."""

from __future__ import annotations

from airflow_workflow_provider.systems.carto.system import CartoSystem

__all__ = ["CartoSystem"]

"""Alteryx Server: what is true of its API."""

from __future__ import annotations

from airflow_workflow_provider.systems.alteryx.system import AlteryxSystem

__all__ = ["AlteryxSystem"]

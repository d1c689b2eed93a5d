"""Profitbase InVision: what is true of its API."""

from __future__ import annotations

from airflow_workflow_provider.systems.invision.system import InvisionSystem

__all__ = ["InvisionSystem"]

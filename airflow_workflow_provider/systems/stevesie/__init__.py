"""Stevesie Cloud: what is true of its API."""

from __future__ import annotations

from airflow_workflow_provider.systems.stevesie.system import StevesieSystem

__all__ = ["StevesieSystem"]

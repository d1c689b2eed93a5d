"""TIBCO Data Science Team Studio: what is true of its API."""

from __future__ import annotations

from airflow_workflow_provider.systems.chorus.system import ChorusSystem

__all__ = ["ChorusSystem"]

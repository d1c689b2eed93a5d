"""Fixtures and helpers for tests of DAGs that use this provider.

The pytest plugin (`airflow_workflow_provider.testing.plugin`) loads with the package and gives the fixtures
``workflow_sandbox`` and ``workflow_runs``. The functions below run one task, or a whole DAG, in a test.
"""

from __future__ import annotations

from airflow_workflow_provider.testing.running import DagTestRun, TaskTestRun, run_dag, run_task

__all__ = ["DagTestRun", "TaskTestRun", "run_dag", "run_task"]

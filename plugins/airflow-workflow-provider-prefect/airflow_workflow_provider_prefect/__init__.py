"""Prefect as a workflow system of airflow-workflow-provider."""

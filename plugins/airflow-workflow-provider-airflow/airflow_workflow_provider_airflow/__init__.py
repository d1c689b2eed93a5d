"""Another Airflow as a workflow system of airflow-workflow-provider."""

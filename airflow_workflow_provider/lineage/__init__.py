"""OpenLineage events of tasks. Only `facets` imports OpenLineage's client, when Airflow asks a task for its lineage."""

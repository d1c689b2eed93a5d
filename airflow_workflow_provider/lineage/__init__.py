"""What tasks tell OpenLineage. Only `facets` imports its client, and only when Airflow asks a task for its lineage."""

"""Outputs of runs as Airflow assets: their URIs and their events."""

"""Outputs of runs as Airflow assets: what they are called, and how a task tells of them."""

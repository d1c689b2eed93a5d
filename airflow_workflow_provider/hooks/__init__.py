"""Hooks: one workflow system behind one Airflow connection."""

"""Start, await, cancel and collect runs of external workflow systems from Apache Airflow."""

__version__ = "0.1.0"

"""Behind the Makefile: environments, pins, the demo and a real Airflow to run things in."""

"""The tests of the plug-ins use an Airflow home of their own, also where they run without those of the package."""

from __future__ import annotations

from scripts.airflow_home import own_airflow_home

# Before any test module imports Airflow, which reads its configuration there and then.
own_airflow_home()

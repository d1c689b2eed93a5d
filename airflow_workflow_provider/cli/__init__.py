"""The command line: ``airflow workflow-runs …`` where Airflow takes a provider's commands, ``python -m …`` everywhere.

``table`` lists the commands once for both. It, ``values``, ``definition`` and ``main`` import nothing but the standard
library, since every ``airflow`` command reads the list at its start; what a command needs is imported when it runs.
"""

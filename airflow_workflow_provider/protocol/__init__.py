"""What all workflow APIs share: values, flows, auth and the contract of a system. No I/O, no Airflow.

A *flow* is a generator that yields effects (`Request`, `Sleep`, …), is sent their results and returns a value.
`airflow_workflow_provider.client` drives the same flow on a worker and in the triggerer.
"""

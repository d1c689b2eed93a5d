"""Local servers that speak the workflow systems' APIs, for trying DAGs and for tests.

Start them with ``python -m airflow_workflow_provider.sandbox`` or, in a test, with
:func:`airflow_workflow_provider.sandbox.server.run_sandbox`. Needs the extra ``[sandbox]``.

The sandbox shares no code with the provider's own client. It is written from what is known about the real APIs, so
that a wrong belief of the client shows up as a failing test instead of being repeated on both sides. What is not known
for certain is marked ``inferred`` in the code and, where it matters, has a switch.
"""

"""The outputs that a transfer reads, as parts of one table.

Only running tasks import this package, so that a DAG file never pays for pyarrow.
"""

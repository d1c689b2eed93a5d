"""Loading outputs into a SQL database.

Only running tasks import this package, so that a DAG file never pays for pyarrow or common.sql.
"""

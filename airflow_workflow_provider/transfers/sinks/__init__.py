"""Where transfers write to: tables of SQL databases, and files on object storage.

Imported by running tasks only, so that a DAG file never pays for pyarrow or common.sql.
"""

"""Writing outputs as files on object storage.

Only running tasks import this package, so that a DAG file never pays for pyarrow or fsspec.
"""

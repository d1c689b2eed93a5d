"""Reading a run's results: as a stream of bytes, or as Arrow record batches. No Airflow and no network client here.

From the source to the reader (each step is a module):

* `pages`, `csv_file`, `json_file`, `yxdb_file` give `Raw` batches: values as the source spells them, and what was seen
* `scan` and `seen` find out which type holds every value of a column without losing a digit
* `spool` keeps the raw batches on disk until the last one has been seen
* `convert` turns raw values into the final types; a value that does not fit is named by row and column
* `table` puts it together, for one output or for several united by column name
* `reading` is what hooks and transfers call

Nothing is imported here, so that a DAG file never pays for pyarrow.
"""

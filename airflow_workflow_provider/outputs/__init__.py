"""Reading a run's results: as a stream of bytes, or as Arrow record batches. No Airflow and no network client here.

From the source to the reader (each step is a module):

* `download` gives a file's bytes, and goes on where a connection broke; `gzipped` packs and unpacks them
* `pages`, `csv_file`, `json_file`, `yxdb_file` give `Raw` batches: values as the source spells them, and what was seen
* `csv_grammar` tells from a CSV's bytes alone that its values are what they are taken for
* `json_columns` does for a page that Arrow has parsed what `json_values` does for values
* `inference` and `column_stats` find the type that holds every value of a column without losing a digit
* `spool` keeps the raw batches on disk until the last one has been seen
* `convert` turns raw values into the final types; a value that does not fit is named by row and column
* `table` puts it together, for one output or for several united by column name
* `prefetch` makes the next item in a thread while one is used
* `reading` is what hooks and transfers call

Nothing is imported here, so that a DAG file never pays for pyarrow.
"""

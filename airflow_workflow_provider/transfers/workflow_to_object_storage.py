"""Outputs of workflow runs into files on object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.lineage.naming import name_of
from airflow_workflow_provider.transfers.arguments import check_file_arguments, checked_partitions
from airflow_workflow_provider.transfers.base import WorkflowOutputTransfer


class WorkflowOutputToObjectStorageOperator(WorkflowOutputTransfer):
    """Writes outputs of one or more runs to any storage that `ObjectStoragePath` reaches.

    A file is written under a temporary name and then moved, so that no reader sees half of it. Returns
    ``{"path", "format", "rows", "bytes", "sha256"}``, and pushes each of these as an XCom of its own; with several
    files ``path`` and ``sha256`` are lists. ``rows`` is None for raw files.

    The arguments that say which output of which run are described at
    :class:`~airflow_workflow_provider.transfers.base.WorkflowOutputTransfer`.

    :param path: the file's URL, such as ``s3://bucket/day={{ ds }}/{output}.parquet``. ``{run_id}``, ``{output}`` and
        ``{index}`` separate the outputs, otherwise they go into one file, combined by column name. (templated)
    :param storage_conn_id: Airflow connection to the storage; default the path's own, or none. (templated)
    :param format: ``"parquet"``, ``"csv"``, ``"jsonl"``, or ``"raw"`` for unchanged files. (templated)
    :param compression: for Parquet ``"snappy"`` (default), ``"gzip"``, ``"zstd"``, ``"lz4"``, ``"brotli"`` or
        ``"none"``; for the others ``"gzip"`` or ``"none"`` (default). (templated)
    :param overwrite: replace an existing file, or the content of a partition; otherwise it is an error.
    :param columns: the columns to keep, in this order, or a mapping from their names to new ones. (templated)
    :param column_types: column to Arrow type, such as ``int64`` or ``decimal128(12, 2)``; the others are found out
        from all values. (templated)
    :param csv_options: how CSV files are written: ``encoding``, ``delimiter``, ``quote``, ``escape``, ``null_values``,
        ``decimal``, ``date_format``, ``skip_rows``, ``has_header``. (templated)
    :param add_columns: columns to add to every row, as for
        :class:`~airflow_workflow_provider.transfers.workflow_to_sql.WorkflowOutputToSqlOperator`. (templated)
    :param partition_by: write one folder for each value of these columns; ``path`` is the folder of
        ``day=2026-01-01/…``, and a file's name has the run's id. Each partition of the load is replaced as a whole; the
        file in ``_manifests`` lists the files of the load. (templated)
    :param unload_conn_id: Airflow connection to the data warehouse that has the output as a table and writes the files
        by itself (BigQuery, Snowflake, Redshift); ``path`` is a folder. (templated)
    """

    template_fields: Sequence[str] = (
        "storage_conn_id",
        "unload_conn_id",
        *WorkflowOutputTransfer.template_fields,
        "path",
        "format",
        "compression",
        "columns",
        "column_types",
        "csv_options",
        "add_columns",
        "partition_by",
    )
    ui_color = "#e4f0e8"

    def __init__(
        self,
        *,
        path: str,
        storage_conn_id: str | None = None,
        format: str = "parquet",  # noqa: A002 (the word that the field uses)
        compression: str | None = None,
        overwrite: bool = False,
        columns: Sequence[str] | Mapping[str, str] | None = None,
        column_types: Mapping[str, str] | None = None,
        csv_options: Mapping[str, Any] | None = None,
        add_columns: Mapping[str, Any] | Sequence[str] | None = None,
        partition_by: Sequence[str] | None = None,
        unload_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.storage_conn_id = storage_conn_id
        self.format = format
        self.compression = compression
        self.overwrite = overwrite
        self.columns = columns
        self.column_types = column_types
        self.csv_options = csv_options
        self.add_columns = add_columns
        self.partition_by = partition_by
        self.unload_conn_id = unload_conn_id
        check_file_arguments(self)

    def execute(self, context: Any) -> dict[str, Any]:
        """Write the outputs, unless an earlier try of this task has done so."""
        # Imported late: a DAG file must not pay for pyarrow.
        from airflow_workflow_provider.outputs.csv_options import CsvOptions
        from airflow_workflow_provider.transfers.attempt import Attempt
        from airflow_workflow_provider.transfers.files.formats import checked_format
        from airflow_workflow_provider.transfers.files.load import FileLoad
        from airflow_workflow_provider.transfers.source.parts import checked_columns

        chosen, compression = checked_format(self.format, self.compression)
        load = FileLoad(
            path=self.path,
            conn_id=self.storage_conn_id,
            name=self.format,
            format=chosen,
            compression=compression,
            overwrite=self.overwrite,
            attempt=Attempt.of(context, [self.storage_conn_id, self.path], self.source_keys()),
            store=context.get("task_state_store"),
            log=self.log,
            columns=self.as_value("columns"),
            column_types=self.as_value("column_types"),
            add_columns=checked_columns(self.as_value("add_columns")),
            partition_by=checked_partitions(self.as_value("partition_by")),
            csv_options=CsvOptions.parse(self.as_value("csv_options")),
        )
        if self.unload_conn_id:
            return self.handed_on(context, self._unloaded(load.attempt))
        return self.handed_on(context, load.earlier() or load.run(self.resolve()))

    def _unloaded(self, attempt: Any) -> dict[str, Any]:
        """Let the warehouse write the files."""
        from airflow_workflow_provider.transfers.files.unload import Unload
        from airflow_workflow_provider.transfers.sql.session import sql_hook

        for name in ("column_types", "add_columns", "partition_by", "csv_options", "compression"):
            if getattr(self, name):
                raise InvalidArgument(f"{name}: is not possible with unload_conn_id, where the warehouse writes files")
        unload = Unload(
            hook=sql_hook(self.unload_conn_id),
            sql_conn_id=str(self.unload_conn_id),
            path=self.path,
            conn_id=self.storage_conn_id,
            name=self.format,
            overwrite=self.overwrite,
            attempt=attempt,
            log=self.log,
            columns=self.as_value("columns"),
        )
        return unload.run(self.resolve())

    def named_targets(self, result: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Name the files as lineage knows them."""
        paths = result["path"]
        return [name_of(path) for path in ([paths] if isinstance(paths, str) else paths)]

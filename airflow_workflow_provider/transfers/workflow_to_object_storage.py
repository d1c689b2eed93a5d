"""Outputs of workflow runs into files on object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_workflow_provider.lineage.naming import name_of
from airflow_workflow_provider.transfers.base import WorkflowOutputTransfer


class WorkflowOutputToObjectStorageOperator(WorkflowOutputTransfer):
    """Writes outputs of one or more runs to any storage that `ObjectStoragePath` reaches.

    A file is written under a temporary name and then moved, so that nobody sees half of it. Returns
    ``{"path", "format", "rows", "bytes", "sha256"}``, and pushes each of these as an XCom of its own; with several
    files ``path`` and ``sha256`` are lists. ``rows`` is None for raw files.

    The arguments that say which output of which run are described at
    :class:`~airflow_workflow_provider.transfers.base.WorkflowOutputTransfer`.

    :param path: the file's URL, such as ``s3://bucket/day={{ ds }}/{output}.parquet``. ``{run_id}``, ``{output}`` and
        ``{index}`` give outputs files of their own, else they go into one, united by column name. (templated)
    :param storage_conn_id: Airflow connection to the storage; default the path's own, or none. (templated)
    :param format: ``"parquet"``, ``"csv"``, ``"jsonl"``, or ``"raw"`` for the bytes as they come. (templated)
    :param compression: for Parquet ``"snappy"`` (default), ``"gzip"``, ``"zstd"``, ``"lz4"``, ``"brotli"`` or
        ``"none"``; for the others ``"gzip"`` or ``"none"`` (default). (templated)
    :param overwrite: replace a file that is there; otherwise it is an error.
    """

    template_fields: Sequence[str] = (
        "storage_conn_id",
        *WorkflowOutputTransfer.template_fields,
        "path",
        "format",
        "compression",
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.storage_conn_id = storage_conn_id
        self.format = format
        self.compression = compression
        self.overwrite = overwrite

    def execute(self, context: Any) -> dict[str, Any]:
        """Write the outputs, unless an earlier try of this task has done so."""
        # Imported late: a DAG file must not pay for pyarrow.
        from airflow_workflow_provider.transfers.attempt import Attempt
        from airflow_workflow_provider.transfers.files.formats import checked_format
        from airflow_workflow_provider.transfers.files.load import FileLoad

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
        )
        return self.handed_on(context, load.earlier() or load.run(self.resolve()))

    def named_targets(self, result: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Name the files as lineage knows them."""
        paths = result["path"]
        return [name_of(path) for path in ([paths] if isinstance(paths, str) else paths)]

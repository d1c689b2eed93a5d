"""Batches kept until the last one has been seen: one in memory, more in a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

from airflow_workflow_provider.exceptions import WorkflowError

_PLAIN = 256 << 20  # bytes; what comes after them is compressed, which takes longer than to write it, and half the disk


class Spool:
    """Takes record batches of any schemas, and gives them back in order, once.

    The file has no name and is gone with the process. A full disk is a `WorkflowError` that names the folder.
    """

    def __init__(self) -> None:
        self._only: pa.RecordBatch | None = None
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._kind: tuple[pa.Schema, bool] | None = None
        self._size = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep a batch."""
        if self._only is None and self._file is None:
            self._only = batch
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="airflow-workflow-")  # noqa: SIM115 (`close` closes it)
            if self._only is not None:
                only, self._only = self._only, None
                self._write(only)
            self._write(batch)
        except OSError as error:
            self.close()
            raise WorkflowError(f"rows cannot be stored in {tempfile.gettempdir()}: {error}") from error

    def replay(self) -> Iterator[pa.RecordBatch]:
        """Give the batches back and let go of them."""
        try:
            if self._only is not None:
                only, self._only = self._only, None
                yield only
            elif self._file is not None:
                yield from self._read(self._file)
        finally:
            self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all that is kept."""
        self._writer = self._only = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, batch: pa.RecordBatch) -> None:
        # A stream has one schema; a batch with another one starts the next stream in the same file.
        kind = (batch.schema, self._size > _PLAIN and pa.Codec.is_available("lz4"))
        if self._writer is None or self._kind != kind:
            self._end()
            self._kind = kind
            options = pa.ipc.IpcWriteOptions(compression="lz4" if kind[1] else None)
            self._writer = pa.ipc.new_stream(self._file, batch.schema, options=options)
        self._writer.write_batch(batch)
        self._size += batch.nbytes

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _read(self, file: IO[bytes]) -> Iterator[pa.RecordBatch]:
        try:
            self._end()
            file.flush()
            size = file.tell()
        except OSError as error:
            raise WorkflowError(f"rows cannot be stored in {tempfile.gettempdir()}: {error}") from error
        file.seek(0)
        while file.tell() < size:
            with pa.ipc.open_stream(file) as stream:
                yield from stream

"""A whole transfer onto object storage: all files are written first, then each is moved to its name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.exceptions import InvalidArgument, OutputGone
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.outputs.table import Columns, TypesChanged, streamed, table
from airflow_workflow_provider.transfers.arguments import PLACEHOLDER, check_shapes
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.files.copies import NotLines, copy, keeps_bytes
from airflow_workflow_provider.transfers.files.formats import Format, NotFinite
from airflow_workflow_provider.transfers.files.partitions import (
    MANIFEST,
    MANIFESTS,
    Partitions,
    file_name,
    manifest,
    partition_manifest,
)
from airflow_workflow_provider.transfers.files.storage import StoredFile, Written
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.resolve import ResolvedOutput, grouped, nothing_found
from airflow_workflow_provider.transfers.source.parts import is_csv, part_for, with_added
from airflow_workflow_provider.transfers.source.places import Places, counted_part

if TYPE_CHECKING:
    import pyarrow as pa

_UNFIT = r"[^\w.=+-]"  # what a run's id or an output's name must not bring into a path, above all "/"
_KEY = "workflow_output_files"  # in the task state store


@dataclass(frozen=True)
class FileLoad:
    """What to write where, as the operator was told. ``path`` may hold placeholders for runs and outputs."""

    path: str
    conn_id: str | None
    name: str
    format: Format
    compression: str
    overwrite: bool
    attempt: Attempt
    store: Any
    log: logging.Logger | Any
    columns: Columns = None
    column_types: Mapping[str, Any] | None = None
    add_columns: Mapping[str, Any] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    csv_options: CsvOptions = field(default_factory=CsvOptions)

    def earlier(self) -> dict[str, Any] | None:
        """Give what an earlier try of this series wrote, if it is all there; refuse a path that is taken."""
        if not isinstance(self.path, str) or not self.path.strip():
            raise InvalidArgument("path: is empty")
        noted = self.store.get(_KEY) if self.store is not None and self.attempt.is_retry else None
        # Files of partitions that are in their places may still stand beside those that they replace.
        is_whole = isinstance(noted, Mapping) and (noted.get("moved") or not self.partition_by)
        if isinstance(noted, Mapping) and is_whole and noted.get("key") == self.attempt.key and self._are_there(noted):
            result = dict(noted["result"])
            for path, *_ in noted["files"]:
                self._sweep(path)
            self.log.info("An earlier try has written this already, nothing is written again: %s", result)
            return result
        check_shapes(self.name, is_changed=self._shapes)
        if not PLACEHOLDER.search(self.path) and not self.partition_by:
            self._check_free(self._file(self.path))
        return None

    @property
    def _keeps(self) -> bool:
        """True if the bytes of an output may be kept."""
        return not self._shapes and (self.name != "csv" or self.csv_options.is_default)

    @property
    def _shapes(self) -> bool:
        """True if the rows are not those of the output alone."""
        return bool(self.columns is not None or self.column_types or self.add_columns or self.partition_by)

    def run(self, resolved: Sequence[ResolvedOutput]) -> dict[str, Any]:
        """Write the files, move them to their names, and tell what was done."""
        progress = Progress(self.log, "Wrote")
        gone: list[ResolvedOutput] = []
        with ExitStack() as leftovers:
            landed: list[_Landed] = []
            for path, group in grouped(resolved, self.path, _UNFIT).items():
                if self.partition_by:
                    landed += self._partitioned(path, group, progress, leftovers, gone)
                else:
                    landed += self._written(path, group, progress, leftovers, gone)
            for item in gone:
                self.log.info("Leaving out output %r of run %s, which is gone", item.output.name, item.run.run_id)
            if len(gone) == len(resolved):
                raise nothing_found()
            fresh = [item for item in landed if not self._is_ours(item)]
            result = self._result(landed)
            self._note(landed, result, moved=False)
            for one in fresh:
                one.file.publish()
            if self.partition_by:
                result["manifest"] = self._settle(landed, result, resolved)
            self._note(landed, result, moved=True)
        self.log.info("Wrote %s to %s", progress, result["path"])
        return result

    def _partitioned(
        self,
        path: str,
        group: Sequence[ResolvedOutput],
        progress: Progress,
        leftovers: ExitStack,
        gone: list[ResolvedOutput],
    ) -> list[_Landed]:
        """Write one file a partition, below a folder."""
        write = self.format.write
        assert write is not None, "raw bytes have no partitions"
        name = file_name([item.run.run_id for item in group], self.attempt.key)
        ending = f"{self.name}{'.gz' if self._compresses else ''}"
        partitions = Partitions(self._reader(group, gone, Places()), self.partition_by)
        where = group[0].where if len(group) == 1 else ""
        landed = []
        for folder in partitions.folders:
            file = self._file(f"{path.rstrip('/')}/{folder}/{name}.{ending}")
            others = [other for other in file.neighbours() if other != file.path]
            if others and not self.overwrite:
                raise InvalidArgument(
                    f"path: the partition {folder!r} below {path!r} has files already; overwrite=True replaces them"
                )
            self._sweep(file.path)
            reader, before = partitions.reader(folder), progress.rows
            fill = partial(_filled, write, reader, self.compression, progress, lambda row: (where, None))
            written = file.write(fill, compress=self._compresses)
            leftovers.callback(file.discard)
            landed.append(_Landed(file, written, progress.rows - before, tuple(others)))
        return landed

    def _settle(
        self, landed: Sequence[_Landed], result: dict[str, Any], resolved: Sequence[ResolvedOutput]
    ) -> str | list[str]:
        """Let each partition name its files, remove what it held before, and write which files belong to the load.

        A reader that follows the manifest of a partition sees the old files until the manifest is replaced, which
        happens at once, and the new ones from then on.
        """
        runs = [item.run.run_id for item in resolved]
        for item in landed:
            place = self._file(f"{item.file.path.rpartition('/')[0]}/{MANIFEST}")
            content = partition_manifest(item.file.path, item.rows or 0, item.written.sha256, runs, self.name)
            self._sweep(place.path)
            place.write(partial(_content, content))
            place.publish()
            for other in item.replaced:
                self._file(other).remove()
        folder = PLACEHOLDER.sub("", self.path).rstrip("/")
        place = self._file(f"{folder}/{MANIFESTS}/{file_name(runs, self.attempt.key)}.json")
        content = manifest(result, runs, self.partition_by, [item.rows or 0 for item in landed])
        self._sweep(place.path)
        place.write(partial(_content, content))
        place.publish()
        return place.path

    def _written(
        self,
        path: str,
        group: Sequence[ResolvedOutput],
        progress: Progress,
        leftovers: ExitStack,
        gone: list[ResolvedOutput],
    ) -> list[_Landed]:
        file = self._file(path)
        self._check_free(file)
        self._sweep(path)
        if self.name == "raw" and len(group) > 1:
            raise InvalidArgument(
                f"path: {path!r} would hold {len(group)} outputs, which format='raw' cannot join; "
                "put {output}, {run_id} or {index} into it"
            )
        before = len(gone)
        try:
            landed = self._copied(file, group[0], progress) if len(group) == 1 and self._keeps else None
        except OutputGone:
            if not group[0].skips_missing:
                raise
            gone.append(group[0])
            return []
        landed = landed or self._made(file, group, progress, gone)
        leftovers.callback(file.discard)
        return [landed] if len(gone) - before < len(group) else []

    def _copied(self, file: StoredFile, item: ResolvedOutput, progress: Progress) -> _Landed | None:
        """Keep the bytes as they come; None where they are no file of this format."""
        if not keeps_bytes(item, self.name):
            return None
        rows: list[int | None] = []
        try:
            written = file.write(
                lambda target: rows.append(
                    copy(
                        item,
                        self.name,
                        target,
                        progress.add,
                        compress=self._compresses,
                        csv_options=self.csv_options,
                    )
                )
            )
        except NotLines:
            return None
        progress.add(rows[0] or 0, 0)
        return _Landed(file, written, rows[0])

    def _made(
        self, file: StoredFile, group: Sequence[ResolvedOutput], progress: Progress, gone: list[ResolvedOutput]
    ) -> _Landed:
        """Read the outputs as one table and write it in this format."""
        write, before = self.format.write, progress.rows
        assert write is not None, "raw bytes are copied"
        if self.name == "parquet" and len(group) == 1 and is_csv(group):
            try:
                return self._streamed(file, group[0], write, progress, gone)
            except TypesChanged as changed:
                self.log.info("Reading again from the beginning: %s", changed.summary)
        # It is read to its end before there is a file: an output that breaks off leaves the storage alone.
        places = Places()
        reader = self._reader(group, gone, places)
        fill = partial(_filled, write, reader, self.compression, progress, places.find)
        written = file.write(fill, compress=self._compresses)
        return _Landed(file, written, progress.rows - before)

    def _streamed(
        self, file: StoredFile, item: ResolvedOutput, write: Any, progress: Progress, gone: list[ResolvedOutput]
    ) -> _Landed:
        """Write an output while it is read; the file counts once all rows were seen to have its types."""
        writing, places = Progress(self.log, "Wrote"), Places()
        part = counted_part(part_for(item, self.add_columns, gone, self.csv_options), places)
        columns = with_added(self.columns, self.add_columns)
        reader = streamed(part, columns=columns, column_types=self.column_types)
        fill = partial(_filled, write, reader, self.compression, writing, places.find)
        written = file.write(fill, compress=self._compresses)
        progress.add(writing.rows, writing.size)
        return _Landed(file, written, writing.rows)

    def _reader(
        self, group: Sequence[ResolvedOutput], gone: list[ResolvedOutput], places: Places
    ) -> pa.RecordBatchReader:
        reading = Progress(self.log, "Read")
        parts = [counted_part(part_for(item, self.add_columns, gone, self.csv_options), places) for item in group]
        columns = with_added(self.columns, self.add_columns)
        return table(parts, columns=columns, column_types=self.column_types, watch=reading.add)

    @property
    def _compresses(self) -> bool:
        """True where the whole file is packed; Parquet packs its own pages."""
        return self.compression == "gzip" and self.name != "parquet"

    def _file(self, path: str, try_number: int | None = None) -> StoredFile:
        # A try that was given up may still be writing, so each has a temporary name of its own.
        return StoredFile(path, self.conn_id, f"{self.attempt.key[:12]}.{try_number or self.attempt.try_number}")

    def _sweep(self, path: str) -> None:
        """Remove what earlier tries left under their temporary names."""
        for try_number in range(1, self.attempt.try_number):
            self._file(path, try_number).discard()

    def _check_free(self, file: StoredFile) -> None:
        _check_file(file)
        # What a retry finds may be its own; a comparison shows it once the file is written again.
        if not self.overwrite and not self.attempt.is_retry and file.exists():
            raise _taken(file)

    def _is_ours(self, item: _Landed) -> bool:
        """True if the very same bytes are there already, left by an earlier try."""
        _check_file(item.file)
        if self.overwrite or not item.file.exists():
            return False
        if (
            self.attempt.is_retry
            and item.file.size() == item.written.size
            and item.file.sha256() == item.written.sha256
        ):
            return True
        raise _taken(item.file)

    def _are_there(self, noted: Mapping[str, Any]) -> bool:
        """Compare by size once the move was noted, else by hash: the file could still be somebody else's."""
        for path, size, sha256 in noted["files"]:
            file = self._file(path)
            if not file.exists() or file.size() != size or not (noted["moved"] or file.sha256() == sha256):
                return False
        return True

    def _note(self, landed: Sequence[_Landed], result: Mapping[str, Any], *, moved: bool) -> None:
        if self.store is None:
            return
        files = [[item.file.path, item.written.size, item.written.sha256] for item in landed]
        try:
            self.store.set(_KEY, {"key": self.attempt.key, "files": files, "result": dict(result), "moved": moved})
        except Exception as error:  # noqa: BLE001 (the file is written, also if the store is full or cannot be reached)
            self.log.warning("The result could not be stored, so a retry would write it again: %s", error)

    def _result(self, landed: Sequence[_Landed]) -> dict[str, Any]:
        one = len(landed) == 1
        paths, hashes = [item.file.path for item in landed], [item.written.sha256 for item in landed]
        return {
            "path": paths[0] if one else paths,
            "format": self.name,
            "rows": None if self.format.write is None else sum(item.rows or 0 for item in landed),
            "bytes": sum(item.written.size for item in landed),
            "sha256": hashes[0] if one else hashes,
        }


@dataclass(frozen=True)
class _Landed:
    """A file under its temporary name; ``rows`` is None where they are not counted.

    ``replaced`` are files that the load removes once the file is in its place.
    """

    file: StoredFile
    written: Written
    rows: int | None
    replaced: tuple[str, ...] = ()


def _filled(
    write: Any,
    reader: Any,
    compression: str,
    progress: Progress,
    find: Callable[[int], tuple[str, int | None]],
    target: Any,
) -> None:
    """Write the rows; ``find`` gives the output and the row there of a row of the file."""
    try:
        write(reader, target, compression, progress.add)
    except NotFinite as error:
        raise error.placed(*find(error.row)) from error


def _content(content: bytes, target: Any) -> None:
    target.write(content)


def _check_file(file: StoredFile) -> None:
    if file.is_folder():
        raise InvalidArgument(f"path: {file.path!r} is a folder, or files lie below it; give the name of a file")


def _taken(file: StoredFile) -> InvalidArgument:
    return InvalidArgument(f"path: {file.path!r} exists already; overwrite=True replaces it")

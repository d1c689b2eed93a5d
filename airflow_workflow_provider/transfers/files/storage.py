"""Files on any storage that fsspec knows: written under a temporary name, then moved to their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from airflow.providers.common.compat.sdk import AirflowNotFoundException, ObjectStoragePath
from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection, WorkflowError
from airflow_workflow_provider.outputs.gzipped import packer

__all__ = ["PIECE", "StoredFile", "Tally", "Written", "copied"]

# Storages without folders: making one there can mean making a bucket.
_WITHOUT_FOLDERS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "adl", "az", "oss", "r2", "http", "https"})

# The packages that Airflow reaches a storage with.
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "apache-airflow-providers-amazon[s3fs]"),
    **dict.fromkeys(("gs", "gcs"), "apache-airflow-providers-google"),
    **dict.fromkeys(("abfs", "abfss", "adl", "az"), "apache-airflow-providers-microsoft-azure"),
}


@dataclass(frozen=True)
class Written:
    """A file that waits under a temporary name."""

    size: int
    sha256: str


@dataclass(frozen=True)
class StoredFile:
    """The place of one file, and the temporary name next to it."""

    path: str
    conn_id: str | None
    mark: str

    @property
    def _object(self) -> Any:
        return ObjectStoragePath(self.path, conn_id=self.conn_id)

    @property
    def _fs(self) -> Any:
        try:
            return self._object.fs
        except AirflowNotFoundException as error:
            raise InvalidConnection(
                f"storage_conn_id: connection {self.conn_id!r} is not defined; create it, or correct its name"
            ) from error
        except (ImportError, ValueError) as error:
            package = _PACKAGES.get(self.path.partition("://")[0])
            hint = f". Install the storage's package: pip install '{package}'" if package else ""
            raise InvalidArgument(f"path: {self.path!r} cannot be used: {error}{hint}") from error

    @property
    def _own(self) -> str:
        return str(self._object.path)

    @property
    def _temporary(self) -> str:
        folder, slash, name = self._own.rpartition("/")
        return f"{folder}{slash}.{name}.{self.mark}.tmp"

    def exists(self) -> bool:
        """True if the file is there."""
        with self._described("looking for"):
            return bool(self._fs.exists(self._own))

    def is_folder(self) -> bool:
        """True if no file can have this path: it is a folder or a bucket, or there are files below it."""
        with self._described("looking for"):
            return bool(self._fs.isdir(self._own)) or self.path.endswith("/")

    def size(self) -> int:
        """Give its bytes."""
        with self._described("looking at"):
            return int(self._fs.size(self._own))

    def sha256(self) -> str:
        """Read it and give its hash."""
        made = hashlib.sha256()
        with self._described("reading"), self._fs.open(self._own, "rb") as file:
            while data := file.read(PIECE):
                made.update(data)
        return made.hexdigest()

    def write(self, fill: Callable[[Any], None], *, compress: bool = False) -> Written:
        """Write the temporary file, packed as gzip where ``compress`` says so; an unfinished one is removed."""
        with self._described("writing"):
            self._make_folder()
            file = self._fs.open(self._temporary, "wb")
        try:
            tally = Tally(file)
            with self._described("writing"):
                packing = Packing(tally) if compress else None
                fill(packing or tally)
                if packing:
                    packing.end()
                file.close()
        except BaseException:
            # Closing would make an object store keep what there is, so it is removed afterwards.
            with suppress(Exception):
                file.close()
            self.discard()
            raise
        return Written(tally.tell(), tally.sha256)

    def publish(self) -> None:
        """Give the temporary file its own name; what had it before is gone."""
        with self._described("moving"):
            if self._has_folders and type(self._fs).mv is not AbstractFileSystem.mv:
                self._fs.mv(self._temporary, self._own)
                return
            # The general `mv` takes "[" and "*" for patterns, and goes into what it takes for a folder; lists are
            # taken as they are.
            self._fs.copy([self._temporary], [self._own])
            self._fs.rm_file(self._temporary)

    def neighbours(self) -> list[str]:
        """Give the paths of the files in the same folder; names that begin with a dot or an underscore are none."""
        folder, _, _ = self._own.rpartition("/")
        begin = self.path[: len(self.path) - len(self._own.rpartition("/")[2])]
        with self._described("looking at the folder of"):
            try:
                found = self._fs.ls(folder, detail=True, refresh=True)
            except FileNotFoundError:
                return []
        names = [str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in found if entry.get("type") == "file"]
        return sorted(f"{begin}{name}" for name in names if name and name[0] not in "._")

    def remove(self) -> None:
        """Remove the file itself."""
        with self._described("removing"), suppress(FileNotFoundError):
            self._fs.rm_file(self._own)

    def remove_folder(self) -> None:
        """Remove the folder that the file lies in, with all that is in it."""
        folder = self._own.rpartition("/")[0]
        with self._described("removing the folder of"), suppress(FileNotFoundError):
            if self._fs.exists(folder):
                self._fs.rm(folder, recursive=True)

    def discard(self) -> None:
        """Remove the temporary file."""
        with suppress(Exception):
            self._fs.rm_file(self._temporary)

    @property
    def _has_folders(self) -> bool:
        protocols = self._fs.protocol
        return not _WITHOUT_FOLDERS & ({protocols} if isinstance(protocols, str) else set(protocols))

    def _make_folder(self) -> None:
        folder = self._own.rpartition("/")[0]
        if folder and self._has_folders:
            self._fs.makedirs(folder, exist_ok=True)

    @contextmanager
    def _described(self, doing: str) -> Iterator[None]:
        """Say in every error which path it is about."""
        try:
            yield
        except WorkflowError:
            raise
        except Exception as error:
            said = str(error) or type(error).__name__
            raise WorkflowError(
                f"path {self.path!r}: {doing} it failed: {said}; existing files are unchanged"
            ) from error


def copied(source: BinaryIO, target: BinaryIO, watch: Callable[[int, int], None]) -> None:
    """Copy bytes as they come."""
    while data := source.read(PIECE):
        target.write(data)
        watch(0, len(data))


PIECE = 1 << 20  # bytes


class Target:
    """A file to write to, as far as Arrow and Python ask for one."""

    closed = False

    def write(self, data: Any) -> int:
        """Write bytes."""
        raise NotImplementedError

    def tell(self) -> int:
        """Give the bytes written so far."""
        raise NotImplementedError

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Write bytes, a megabyte or so at a time."""
        kept: list[bytes] = []
        size = 0
        for line in lines:
            kept.append(line)
            size += len(line)
            if size >= PIECE:
                self.write(b"".join(kept))
                kept, size = [], 0
        self.write(b"".join(kept))

    def writable(self) -> bool:
        """It is written to."""
        return True

    def readable(self) -> bool:
        """It is not read from."""
        return False

    def seekable(self) -> bool:
        """It goes forward only."""
        return False

    def flush(self) -> None:
        """Leave it to the storage when it writes."""

    def close(self) -> None:
        """Leave the file itself to its owner, who may have to take it back."""


class Tally(Target):
    """Counts and hashes what is written to a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0

    @property
    def sha256(self) -> str:
        """The hash of all that was written."""
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        """Write bytes."""
        self._hash.update(data)
        self._size += len(data)
        self._file.write(data)
        return len(data)

    def tell(self) -> int:
        """Give the bytes written so far."""
        return self._size


class Packing(Target):
    """Packs as gzip what is written to another target. `end` writes what is left.

    There is no name and no time in it: the same rows give the same bytes.
    """

    def __init__(self, target: Target) -> None:
        self._target, self._packer, self._size = target, packer(), 0

    def write(self, data: Any) -> int:
        """Write bytes."""
        self._size += len(data)
        if made := self._packer.compress(data):
            self._target.write(made)
        return len(data)

    def tell(self) -> int:
        """Give the bytes before they were packed."""
        return self._size

    def end(self) -> None:
        """Write the end of the gzip."""
        self._target.write(self._packer.flush())

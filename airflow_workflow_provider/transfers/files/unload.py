"""Files that a data warehouse writes into object storage by itself: EXPORT DATA, COPY INTO a location, UNLOAD.

No row passes the worker. The files of a load lie in a folder of their own below ``path``, whose name has the run's id.
A manifest is written when all files are there; a reader that follows it never sees a part of them. The statements are
those of the manuals of BigQuery, Snowflake and Redshift, and are unverified on the warehouses.
"""
# ruff: noqa: S608 (names are quoted)

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.outputs.column_arguments import chosen_columns
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.files.partitions import MANIFESTS, file_name, manifest
from airflow_workflow_provider.transfers.files.storage import StoredFile
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from airflow_workflow_provider.transfers.sql.dialects import SqlDialect, dialect_of
from airflow_workflow_provider.transfers.sql.names import parse_table, quoted
from airflow_workflow_provider.transfers.sql.session import session
from airflow_workflow_provider.transfers.sql.staged import iam_role


@dataclass(frozen=True)
class UnloadPath:
    """How a warehouse writes a query into files below a folder, by format, and where it can write to."""

    schemes: tuple[str, ...]
    formats: Mapping[str, str]


# ``{query}`` is the SELECT, ``{literal}`` the same within quotes, ``{place}`` the folder with a slash at its end.
UNLOADS: Mapping[str, UnloadPath] = {
    "BigQuery": UnloadPath(
        ("gs",),
        {
            name: f"EXPORT DATA OPTIONS (uri = '{{place}}rows-*.{name}', format = '{kind}', {more}overwrite = FALSE) "
            "AS {query}"
            for name, kind, more in (
                ("parquet", "PARQUET", "compression = 'SNAPPY', "),
                ("csv", "CSV", "header = TRUE, "),
                ("jsonl", "JSON", ""),
            )
        },
    ),
    "Snowflake": UnloadPath(
        ("s3", "gs"),
        {
            name: f"COPY INTO '{{place}}rows_' FROM ({{query}}) STORAGE_INTEGRATION = {{access}} FILE_FORMAT = "
            f"(TYPE = {kind}) HEADER = TRUE OVERWRITE = FALSE"
            for name, kind in (
                ("parquet", "PARQUET COMPRESSION = SNAPPY"),
                ("csv", "CSV COMPRESSION = NONE FIELD_OPTIONALLY_ENCLOSED_BY = '\"' NULL_IF = ()"),
            )
        },
    ),
    "Redshift": UnloadPath(
        ("s3",),
        {
            name: f"UNLOAD ({{literal}}) TO '{{place}}rows_' IAM_ROLE {{access}} FORMAT AS {kind}"
            for name, kind in (("parquet", "PARQUET"), ("csv", "CSV HEADER"), ("jsonl", "JSON"))
        },
    ),
}


def statement(dialect: SqlDialect, name: str, place: str, query: str, access: str) -> str:
    """Give the statement that writes a query into files of a format below a folder."""
    literal = "'" + query.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return UNLOADS[dialect.name].formats[name].format(place=place, query=query, literal=literal, access=access)


@dataclass(frozen=True)
class Unload:
    """What to write where, as the operator was told."""

    hook: Any
    sql_conn_id: str
    path: str
    conn_id: str | None
    name: str
    overwrite: bool
    attempt: Attempt
    log: logging.Logger | Any
    columns: Any = None

    def run(self, resolved: Sequence[ResolvedOutput]) -> dict[str, Any]:
        """Let the warehouse write the files; give where they are."""
        dialect = dialect_of(self.hook)
        if len(resolved) != 1:
            raise InvalidArgument("unload_conn_id: a warehouse writes one output; use a task for each")
        (item,) = resolved
        if item.output.kind != "table" or not item.output.location:
            raise InvalidArgument(
                f"unload_conn_id: {item.where}the output is not a table of a database; leave unload_conn_id out"
            )
        self._check(dialect)
        source = parse_table(item.output.location, dialect)
        name = file_name([item.run.run_id], self.attempt.key)
        folder = f"{self.path.rstrip('/')}/{name}"
        place = self._place(folder)
        others = self._others(name)
        if others and not self.overwrite:
            raise InvalidArgument(f"path: {self.path!r} has files already; overwrite=True replaces them")
        place.remove_folder()  # what a try that died has left
        query = f"SELECT {self._selected(dialect)} FROM {source.sql} AS s"
        written = statement(dialect, self.name, self._url(folder, dialect), query, self._access(dialect))
        doing = f"{dialect.name} writes {source.sql} to {folder!r} (connection {self.sql_conn_id!r})"
        try:
            with session(self.hook, load_method="insert") as opened:
                rows = opened.counted(source.sql)
                opened.run(written)
                opened.commit()
        except WorkflowError as error:
            place.remove_folder()
            raise error.during(doing) from error.__cause__
        except Exception as error:
            place.remove_folder()
            said = re.sub(r"\s+", " ", str(error)).strip()
            raise WorkflowError(f"{type(error).__name__}: {said}").during(doing) from error
        return self._settled(item, folder, place, rows, others)

    def _settled(
        self, item: ResolvedOutput, folder: str, place: StoredFile, rows: int, others: Sequence[str]
    ) -> dict[str, Any]:
        files = place.neighbours()
        if not files and rows:
            raise OutputUnavailable(f"path: the warehouse has written {rows} rows, and {folder!r} has no file")
        sizes = [self._file(path).size() for path in files]
        result: dict[str, Any] = {"path": files, "format": self.name, "rows": rows, "bytes": sum(sizes), "sha256": None}
        listed = {**result, "sha256": [""] * len(files)}
        name = folder.rpartition("/")[2]
        content = manifest(listed, [item.run.run_id], [], [0] * len(files)).replace(b'"rows": 0,', b'"rows": null,')
        target = self._file(f"{self.path.rstrip('/')}/{MANIFESTS}/{name}.json")
        target.write(partial(_content, content))
        target.publish()
        for other in others:
            self._place(f"{self.path.rstrip('/')}/{other}").remove_folder()
            self._file(f"{self.path.rstrip('/')}/{MANIFESTS}/{other}.json").remove()
        result["manifest"] = target.path
        self.log.info("The warehouse has written %d rows into %d files below %s", rows, len(files), folder)
        return result

    def _check(self, dialect: SqlDialect) -> None:
        known = UNLOADS.get(dialect.name)
        if known is None:
            listed = ", ".join(UNLOADS)
            raise InvalidArgument(f"unload_conn_id: {listed} write files by themselves, {dialect.name} does not")
        if self.name not in known.formats:
            listed = ", ".join(map(repr, known.formats))
            raise InvalidArgument(f"format: {dialect.name} writes {listed}, not {self.name!r}")
        scheme = self.path.partition("://")[0].replace("s3a", "s3").replace("gcs", "gs")
        if scheme not in known.schemes:
            listed = " and ".join(f"{one}://" for one in known.schemes)
            raise InvalidArgument(f"path: {dialect.name} writes to {listed}, not to {self.path!r}")
        if not re.fullmatch(r"[\w./:=+@ -]+", self.path):
            raise InvalidArgument(f"path: {self.path!r} has characters for which a warehouse has no certain spelling")

    def _url(self, folder: str, dialect: SqlDialect) -> str:
        scheme, _, rest = folder.partition("://")
        scheme = scheme.replace("s3a", "s3").replace("gcs", "gs")
        return f"{'gcs' if scheme == 'gs' and dialect.name == 'Snowflake' else scheme}://{rest}/"

    def _selected(self, dialect: SqlDialect) -> str:
        chosen = chosen_columns(self.columns)
        if chosen is None:
            return "*"
        return ", ".join(f"s.{quoted(source, dialect)} AS {quoted(name, dialect)}" for source, name in chosen.items())

    def _access(self, dialect: SqlDialect) -> str:
        if dialect.name == "Redshift":
            return iam_role(self.hook, self.sql_conn_id)
        if dialect.name != "Snowflake":
            return ""
        name = str(self.hook.get_connection(self.sql_conn_id).extra_dejson.get("storage_integration") or "")
        if not name:
            raise InvalidArgument(
                f"unload_conn_id: set storage_integration in the extra of connection {self.sql_conn_id!r}: Snowflake "
                "writes to a bucket by a storage integration"
            )
        return quoted(name, dialect)

    def _others(self, own: str) -> list[str]:
        """Give the names of other loads that have a manifest here."""
        manifests = self._file(f"{self.path.rstrip('/')}/{MANIFESTS}/{own}.json").neighbours()
        names = [path.rpartition("/")[2].removesuffix(".json") for path in manifests if path.endswith(".json")]
        return [name for name in names if name != own]

    def _file(self, path: str) -> StoredFile:
        return StoredFile(path, self.conn_id, f"{self.attempt.key[:12]}.{self.attempt.try_number}")

    def _place(self, folder: str) -> StoredFile:
        return self._file(f"{folder}/rows")


def _content(content: bytes, target: Any) -> None:
    target.write(content)

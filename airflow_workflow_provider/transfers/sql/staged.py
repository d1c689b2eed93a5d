"""The bulk paths of data warehouses: Parquet files go into a staging table, by the warehouse's own client or its COPY.

`WarehouseLoad` then moves the rows from the staging table into the target, all or nothing. The staging table has the
neutral columns ``c0``, ``c1``, …, so that a name of an output is never a name in a file. A staging table is temporary
where the warehouse has temporary tables; elsewhere it has a random name and is dropped, whatever happens.

The statements are those of the manuals of Snowflake (CREATE STAGE, PUT, COPY INTO), BigQuery (load jobs) and Redshift
(COPY from columnar data). That the warehouses themselves take them is unverified.
"""

from __future__ import annotations

import importlib.util
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.transfers.sql.copying import moments
from airflow_workflow_provider.transfers.sql.dialects import SqlDialect
from airflow_workflow_provider.transfers.sql.names import TableName, quoted
from airflow_workflow_provider.transfers.sql.types import kind_of, spelled, sql_type

if TYPE_CHECKING:
    from airflow_workflow_provider.transfers.sql.session import SqlSession

FILE_BYTES = 128 << 20  # of rows in memory, which a file holds; warehouses read several files at once
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")


@dataclass(frozen=True)
class StagedPath:
    """How one warehouse takes Parquet files.

    ``as_text`` are the kinds of values that travel as text and are cast in the warehouse, since readers of Parquet
    differ in what they make of them.
    """

    name: str
    create: str
    is_temporary: bool
    as_text: frozenset[str] = frozenset()


STAGED: Mapping[str, StagedPath] = {
    "Snowflake": StagedPath("PUT and COPY INTO", "CREATE TEMPORARY TABLE {t} ({columns})", is_temporary=True),
    "BigQuery": StagedPath(
        "load job",
        "CREATE TABLE {t} ({columns}) OPTIONS (expiration_timestamp = "
        "TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 24 HOUR))",
        is_temporary=False,
        as_text=frozenset({"datetime", "time"}),
    ),
    "Redshift": StagedPath(
        "COPY from S3",
        "CREATE TEMPORARY TABLE {t} ({columns})",
        is_temporary=True,
        as_text=frozenset({"datetime", "timestamp", "time"}),
    ),
}


@dataclass(frozen=True)
class Staging:
    """Where files may lie until the warehouse has read them: a folder of object storage, and its connection."""

    path: str = ""
    conn_id: str | None = None


@dataclass(frozen=True)
class StagedRows:
    """The rows of a load in a staging table."""

    table: TableName
    schema: pa.Schema
    rows: int

    def column(self, number: int) -> str:
        """Give the name of a column of the staging table in quotes."""
        return quoted(_column(number, self.table.dialect), self.table.dialect)

    def is_text(self, number: int) -> bool:
        """True if a column travels as text and is cast."""
        return kind_of(self.schema.types[number], self.table.dialect) in STAGED[self.table.dialect.name].as_text


def why_not(hook: Any, dialect: str, staging: Staging) -> str:
    """Tell why the bulk path of a warehouse cannot be used; empty where it can."""
    if dialect == "Snowflake" and not _has_snowflake_client():
        return "only snowflake-connector-python sends files by PUT, and it is not installed"
    if dialect == "BigQuery" and not callable(getattr(hook, "get_client", None)):
        return "the hook of the connection has no client of BigQuery (get_client)"
    if dialect == "Redshift" and not staging.path:
        return "Redshift reads files from S3: staging_path names no folder there"
    if dialect == "Redshift" and not re.match(r"s3a?://[^/]+", staging.path):
        return f"Redshift reads files from S3, and staging_path is {staging.path!r}"
    return ""


def _has_snowflake_client() -> bool:
    try:
        return importlib.util.find_spec("snowflake.connector") is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def staged(
    session: SqlSession, hook: Any, conn_id: str, target: TableName, reader: pa.RecordBatchReader, staging: Staging
) -> Iterator[StagedRows]:
    """Bring all rows into a staging table for as long as the context lasts."""
    dialect = session.dialect
    path = STAGED[dialect.name]
    name = dialect.fold(f"airflow_rows_{secrets.token_hex(8)}")
    # A temporary table of Redshift has no schema.
    table = TableName((name,), dialect) if dialect.name == "Redshift" else target.beside(name)
    with tempfile.TemporaryDirectory(prefix="airflow-workflow-") as folder:
        files, rows = _parquet_files(Path(folder), reader, dialect)
        columns = ", ".join(
            f"{quoted(_column(number, dialect), dialect)} {_staging_type(kind, dialect)}"
            for number, kind in enumerate(reader.schema.types)
        )
        try:
            with _step("making the staging table", "the connection needs the right to create tables in its schema"):
                session.run(path.create.format(t=table.sql, columns=columns))
            _READ[dialect.name](session, hook, conn_id, table, files, staging)
            found = session.counted(table.sql)
            if found != rows:
                raise WorkflowError(f"the staging table took {found} of {rows} rows")
            yield StagedRows(table, reader.schema, rows)
        finally:
            with suppress(Exception):  # a lost connection has dropped a temporary table
                session.run(f"DROP TABLE {table.sql}")


def _column(number: int, dialect: SqlDialect) -> str:
    return dialect.fold(f"c{number}")


def _staging_type(kind: pa.DataType, dialect: SqlDialect) -> str:
    if kind_of(kind, dialect) in STAGED[dialect.name].as_text:
        return dialect.types["text"]
    return sql_type(kind, dialect)


@contextmanager
def _step(step: str, hint: str) -> Iterator[None]:
    """Say in an error which step has failed, and what to do."""
    try:
        yield
    except WorkflowError:
        raise
    except Exception as error:
        said = re.sub(r"\s+", " ", str(error)).strip()
        raise WorkflowError(f"{step} failed: {type(error).__name__}: {said}. Check that {hint}") from error


# ------------------------------------------------------------------------------------------------------- the files


def _parquet_files(folder: Path, reader: pa.RecordBatchReader, dialect: SqlDialect) -> tuple[list[Path], int]:
    """Write all rows into files of some size; give the files and the number of rows."""
    import pyarrow.parquet

    files: list[Path] = []
    rows = 0
    writer: Any = None
    kinds = [_sent(pa.nulls(0, kind), dialect).type for kind in reader.schema.types]
    schema = pa.schema([(_column(number, dialect), kind) for number, kind in enumerate(kinds)])
    size = 0
    try:
        for batch in reader:
            if writer is None or size >= FILE_BYTES:
                if writer is not None:
                    writer.close()
                files.append(folder / f"rows_{len(files)}.parquet")
                size = 0
                writer = pyarrow.parquet.ParquetWriter(
                    files[-1], schema, store_schema=False, coerce_timestamps="us", compression="snappy"
                )
            arrays = [_sent(column, dialect) for column in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            rows, size = rows + batch.num_rows, size + batch.nbytes
        if writer is not None:
            writer.close()
    except OSError as error:
        raise WorkflowError(f"rows cannot be stored in {folder.parent}: {error}") from error
    return files, rows


def _sent(column: pa.Array, dialect: SqlDialect) -> pa.Array:
    """Give a column in the type that it has in a file."""
    kind = kind_of(column.type, dialect)
    if kind in STAGED[dialect.name].as_text:
        return moments(column) if pa.types.is_timestamp(column.type) else spelled(column)
    if kind == "text":
        return pc.cast(spelled(column), pa.string())
    if kind in ("timestamp", "datetime"):
        return pc.cast(column, pa.timestamp("us", column.type.tz))
    plain = {
        "int": pa.int64(),
        "uint64": pa.decimal128(20, 0),
        "float": pa.float64(),
        "date": pa.date32(),
        "binary": pa.binary(),
    }.get(kind)
    return pc.cast(column, plain) if plain is not None else column


# ---------------------------------------------------------------------------------------------------- the readers


def _read_snowflake(
    session: SqlSession, hook: Any, conn_id: str, table: TableName, files: Sequence[Path], staging: Staging
) -> None:
    stage = table.beside(session.dialect.fold(f"airflow_stage_{secrets.token_hex(8)}"))
    rights = "the role may create stages in the schema (CREATE STAGE)"
    with _step("making the stage", rights):
        session.run(f"CREATE TEMPORARY STAGE {stage.sql}")
    for file in files:
        place = str(file).replace("\\", "\\\\").replace("'", "\\'")
        with _step("PUT of a Parquet file into the stage", "the stage has room, and the account's storage is reached"):
            session.run(f"PUT 'file://{place}' @{stage.sql} AUTO_COMPRESS = FALSE")
    with _step("COPY INTO the staging table", "the warehouse of the connection runs"):
        session.run(
            f"COPY INTO {table.sql} FROM @{stage.sql} FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE "
            "BINARY_AS_TEXT = FALSE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
        )
    with suppress(Exception):  # it ends with the session
        session.run(f"DROP STAGE {stage.sql}")


def _read_bigquery(
    session: SqlSession, hook: Any, conn_id: str, table: TableName, files: Sequence[Path], staging: Staging
) -> None:
    from google.cloud import bigquery  # type: ignore[import-not-found,import-untyped,unused-ignore]  # only if in use

    client = hook.get_client()
    project = table.parts[-3] if len(table.parts) > 2 else client.project
    options = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        decimal_target_types=["BIGNUMERIC"],  # the type of decimals in the staging table
    )
    for file in files:
        rights = "the connection may run jobs (bigquery.jobs.create) and write tables of the data set"
        with _step("load job", rights), file.open("rb") as content:
            job = client.load_table_from_file(
                content,
                f"{project}.{table.schema}.{table.table}",
                job_config=options,
                job_id_prefix="airflow_workflow_",
                location=getattr(hook, "location", None),
            )
            job.result()


def iam_role(hook: Any, conn_id: str) -> str:
    """Give the role that Redshift reads and writes S3 with, as SQL. Raises `InvalidArgument` for what is none."""
    role = hook.get_connection(conn_id).extra_dejson.get("copy_iam_role", "default")
    if role != "default" and not all(_ROLE.fullmatch(one) for one in str(role).split(",")):
        raise InvalidArgument(f"copy_iam_role of connection {conn_id!r}: expected 'default' or the ARN of a role")
    return "default" if role == "default" else f"'{role}'"


def _read_redshift(
    session: SqlSession, hook: Any, conn_id: str, table: TableName, files: Sequence[Path], staging: Staging
) -> None:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    spelled_role = iam_role(hook, conn_id)
    folder = ObjectStoragePath(f"{staging.path.rstrip('/')}/{table.table}", conn_id=staging.conn_id)
    try:
        for file in files:
            with _step("upload to S3", "staging_conn_id may write below staging_path"):
                folder.fs.put_file(str(file), f"{folder.path}/{file.name}")
        place = f"s3://{str(folder.path).lstrip('/')}/".replace("'", "''")
        with _step("COPY from S3", "the role of copy_iam_role may read below staging_path"):
            session.run(f"COPY {table.sql} FROM '{place}' IAM_ROLE {spelled_role} FORMAT AS PARQUET")
    finally:
        with suppress(Exception):
            folder.fs.rm(str(folder.path), recursive=True)


_READ = {"Snowflake": _read_snowflake, "BigQuery": _read_bigquery, "Redshift": _read_redshift}

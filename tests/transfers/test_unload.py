"""Files that a warehouse writes into object storage by itself."""

from __future__ import annotations

import json
import re

import pyarrow.parquet
import pytest
import sqlglot
from sqlglot import exp

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.files.unload import UNLOADS, Unload, statement
from airflow_workflow_provider.transfers.sql.dialects import DIALECTS
from tests.transfers.conftest import Task, context
from tests.transfers.files import Log, csv_outputs, table_output
from tests.transfers.translated import Translated, exported

CASES = [(name, kind) for name, path in UNLOADS.items() for kind in path.formats]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_each_statement_is_one_of_its_dialect(name, kind):
    """Sqlglot reads it; it does not know UNLOAD, whose query it reads."""
    dialect = next(one for one in DIALECTS.values() if one.name == name)
    quote = dialect.quote
    query = f"SELECT s.{quote}it's{quote} AS {quote}a{quote} FROM {quote}d{quote}.{quote}t{quote} AS s"
    access = {"Redshift": "default", "Snowflake": '"INT"'}.get(name, "")
    text = statement(dialect, kind, "s3://bucket/run/", query, access)
    if name == "Redshift":
        found = re.fullmatch(r"UNLOAD \('(.*)'\) TO 's3://bucket/run/rows_' IAM_ROLE default FORMAT AS [A-Z ]+", text)
        assert found
        text = found[1].replace("\\'", "'")
    (tree,) = sqlglot.parse(text, dialect=name.lower(), error_level=sqlglot.ErrorLevel.RAISE)
    assert isinstance(tree, {"BigQuery": exp.Export, "Snowflake": exp.Copy, "Redshift": exp.Select}[name])
    assert {table.name for table in tree.find_all(exp.Table)} >= {"t"}


@pytest.fixture
def lake(monkeypatch):
    """A Redshift that unloads to an S3 of moto's."""
    from tests.transfers.test_s3 import BUCKET, attached, moto_server

    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    lake = attached(f"http://{host}:{port}")
    lake.call_s3("create_bucket", Bucket=BUCKET)
    for path in lake.find(BUCKET):  # servers of one process share what they hold
        lake.rm_file(path)
    made = Translated("redshift")

    def unload(cursor, text):
        found = re.fullmatch(r"UNLOAD \('(.*)'\) TO 's3://(.*)' IAM_ROLE default FORMAT AS PARQUET", text)
        rows = cursor.sql(found[1].replace("\\'", "'")).to_arrow_table()
        for number in range(2):
            with lake.open(f"{found[2]}{number}.parquet", "wb") as file:
                pyarrow.parquet.write_table(rows.slice(number, 1), file)
            if made.fails_at == "between":
                raise RuntimeError("the connection died")

    made.unload = unload
    made.run("CREATE TABLE ds.source AS SELECT 1 AS id, 'it''s' AS name UNION ALL SELECT 2, NULL")
    exported(monkeypatch, "redshift")
    lake.warehouse, lake.bucket = made, BUCKET
    yield lake
    server.stop()


def unloaded(lake, task=None, outputs=None, **options):
    given = {"path": f"s3://{lake.bucket}/out", "name": "parquet", "overwrite": False, **options}
    made = Unload(
        hook=lake.warehouse.hook(),
        sql_conn_id="warehouse",
        conn_id=None,
        attempt=Attempt.of(context(task or Task())),
        log=Log(),
        **given,
    )
    return made.run(outputs or [table_output("ds.source")])


def rows(lake, result):
    found = []
    for path in result["path"]:
        with lake.open(path.removeprefix("s3://"), "rb") as file:
            found += pyarrow.parquet.read_table(file).to_pylist()
    return found


def test_a_warehouse_writes_the_files(lake):
    """The manifest names them; a retry replaces its own files, and overwrite those of other loads."""
    result = unloaded(lake, columns={"name": "label", "id": "id"})
    assert rows(lake, result) == [{"label": "it's", "id": 1}, {"label": None, "id": 2}]
    assert (result["rows"], result["format"], len(result["path"])) == (2, "parquet", 2)
    with lake.open(result["manifest"].removeprefix("s3://"), "rb") as file:
        assert [one["path"] for one in json.load(file)["files"]] == result["path"]
    assert unloaded(lake, Task(try_number=2), columns={"name": "label", "id": "id"}) == result
    with pytest.raises(InvalidArgument, match="has files already"):
        unloaded(lake, Task(task_id="other"))
    assert len(rows(lake, result)) == 2
    new = unloaded(lake, Task(task_id="other"), overwrite=True)
    assert rows(lake, new) == [{"id": 1, "name": "it's"}, {"id": 2, "name": None}]
    lake.invalidate_cache()
    found = {f"s3://{path}" for path in lake.find(f"{lake.bucket}/out")}
    assert found == {*new["path"], new["manifest"]}


def test_a_connection_that_dies_leaves_no_file(lake):
    lake.warehouse.fails_at = "between"
    with pytest.raises(WorkflowError, match=r"(?s)the connection died.*Redshift writes"):
        unloaded(lake)
    lake.invalidate_cache()
    assert not lake.find(f"{lake.bucket}/out")
    lake.warehouse.fails_at = ""
    assert unloaded(lake, Task(try_number=2))["rows"] == 2


def test_what_a_warehouse_cannot_write_is_refused(lake):
    for match, options in (
        ("Redshift writes to s3://", {"path": "gs://x/y"}),
        ("no certain spelling", {"path": f"s3://{lake.bucket}/it's"}),
        ("format: Redshift writes 'parquet'", {"name": "raw"}),
        ("is not a table", {"outputs": csv_outputs("id\n1\n")}),
        ("a warehouse writes one output", {"outputs": [table_output("a"), table_output("b", 1)]}),
    ):
        with pytest.raises(InvalidArgument, match=match):
            unloaded(lake, **options)
    assert not [text for text in lake.warehouse.statements if text.startswith("UNLOAD")]

"""Bulk loads into data warehouses: Parquet files go into a staging table, and one transaction moves its rows."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet
import pytest
import sqlglot
from sqlglot import exp

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.sql.checks import Expect, ExpectationFailed
from airflow_workflow_provider.transfers.sql.load import SqlLoad
from airflow_workflow_provider.transfers.sql.modes import Mode
from airflow_workflow_provider.transfers.sql.staged import Staging
from tests.transfers.conftest import Task, context
from tests.transfers.files import Log, csv_outputs
from tests.transfers.translated import Translated, exported

# Of DuckDB, about what the emulator does.
pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result")
MODES = ["fail", "append", "replace", "truncate", "upsert", "replace_where"]
BODY = 'id,name,price,at,day,yes\n1,"a\tb\\n""c""",1.50,2024-01-02T03:04:05.678901Z,2024-02-29,true\n2,,,,,false\n'
ROWS = [
    (1, 'a\tb\\n"c"', Decimal("1.50"), datetime(2024, 1, 2, 3, 4, 5, 678901, UTC), True),
    (2, None, None, None, False),
]
TYPES = {"price": "decimal128(12, 2)"}


class Warehouse:
    """A warehouse of the tests: its hook, and what its tables hold."""

    def __init__(self, hook, rows, run, table="target", statements=(), tables=set, **options):
        self.hook, self.rows, self.run, self.table = hook, rows, run, table
        self.statements, self._tables, self.options = statements, tables, options

    @property
    def tables(self):
        return self._tables()

    def land(self, body=BODY, task=None, **options):
        log = Log()
        given = {"if_exists": "append", "key_columns": ["id"], "where": "id = 1", **options}
        ways = (given.get("on_new_column", "fail"), given.get("on_missing_column", "null"))
        load = SqlLoad(
            hook=self.hook,
            conn_id="warehouse",
            table=self.table,
            mode=Mode.of(given["if_exists"], given["key_columns"], given["where"], *ways),
            columns=given.get("columns"),
            column_types=given.get("column_types", TYPES if body is BODY else None),
            attempt=Attempt.of(context(task)),
            log=log,
            load_method=given.get("load_method", "bulk"),
            expect=Expect.of(given.get("expect")),
            staging=given.get("staging", self.options.get("staging", Staging())),
        )
        bodies = [body] if isinstance(body, str) else body
        return load.earlier() or load.run(csv_outputs(*bodies)), log


# ------------------------------------------------------------------------------------------------- the warehouses


@contextmanager
def redshift(monkeypatch):
    """A Redshift that copies from an S3 of moto's."""
    from tests.transfers.test_s3 import BUCKET, attached, moto_server

    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        lake = attached(f"http://{host}:{port}")
        lake.call_s3("create_bucket", Bucket=BUCKET)
        for path in lake.find(BUCKET):  # servers of one process share what they hold
            lake.rm_file(path)  # `rm` takes it for a pattern

        def copy(connection, tree):
            place = tree.args["files"][0].name
            said = tree.sql(dialect="redshift")
            assert "IAM_ROLE" in said
            assert "PARQUET" in said
            for path in sorted(lake.find(place.removeprefix("s3://"))):
                with lake.open(path, "rb") as file:
                    rows = pyarrow.parquet.read_table(io.BytesIO(file.read()))
                connection.copying.register("copied", rows)
                connection.copying.execute(f"INSERT INTO {tree.this.sql(dialect='duckdb')} SELECT * FROM copied")

        made = Translated("redshift", copy)
        exported(monkeypatch, "redshift")
        hook = made.hook()
        yield Warehouse(
            hook,
            made.rows,
            made.run,
            "ds.target",
            made.statements,
            lambda: made.tables | set(lake.find(BUCKET)),
            staging=Staging(f"s3://{BUCKET}/staging/"),
        )
    finally:
        server.stop()


class BigQueryServer(BaseHTTPRequestHandler):
    """What the official client asks for a load job, checked; the rows go into the translated warehouse."""

    warehouse: Translated
    configurations: dict[str, dict] = {}  # noqa: RUF012 (of the one server of a test)
    jobs: list[dict] = []  # noqa: RUF012 (as above)

    def do_POST(self):
        """Begin a resumable upload."""
        url = urlsplit(self.path)
        assert url.path == "/upload/bigquery/v2/projects/p/jobs"
        assert parse_qs(url.query)["uploadType"] == ["resumable"]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = str(len(self.configurations))
        self.configurations[number] = body
        self.send_response(200)
        self.send_header("Location", f"http://{self.headers['Host']}/upload/{number}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self):
        """Take the file."""
        body = self.configurations[self.path.rpartition("/")[2]]
        rows = pyarrow.parquet.read_table(io.BytesIO(self.rfile.read(int(self.headers["Content-Length"]))))
        load = body["configuration"]["load"]
        place = load["destinationTable"]
        cursor = self.warehouse.database.cursor()
        cursor.register("loaded", rows)
        cursor.execute(f"INSERT INTO {place['datasetId']}.{place['tableId']} SELECT * FROM loaded")
        self.jobs.append(body)
        self._answer(body)

    def do_GET(self):
        """Tell that the job is done."""
        self._answer(self.jobs[-1])

    def _answer(self, body):
        content = json.dumps({**body, "kind": "bigquery#job", "status": {"state": "DONE"}, "statistics": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def bigquery(monkeypatch):
    """A BigQuery whose load jobs come by the official client."""
    try:
        google = importlib.import_module("google.cloud.bigquery")
    except ModuleNotFoundError:
        pytest.skip("google-cloud-bigquery is not installed; `make test-warehouses` has it")
    credentials = importlib.import_module("google.auth.credentials").AnonymousCredentials()
    made = Translated("bigquery")
    handler = type("Handler", (BigQueryServer,), {"warehouse": made, "configurations": {}, "jobs": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        options = {"api_endpoint": f"http://127.0.0.1:{server.server_port}"}
        exported(monkeypatch, "gcpbigquery")
        client = google.Client(project="p", credentials=credentials, client_options=options)
        hook = made.hook(get_client=lambda: client)
        found = Warehouse(hook, made.rows, made.run, "ds.target", made.statements, lambda: made.tables)
        found.jobs = handler.jobs
        yield found
        client.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def snowflake(monkeypatch):
    """Snowflake's emulator."""
    if importlib.util.find_spec("fakesnow") is None:
        pytest.skip("Snowflake's emulator (fakesnow) is not installed; `make test-warehouses` has it")
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    with importlib.import_module("fakesnow").patch():
        connect = importlib.import_module("snowflake.connector").connect
        connection = connect(database="db", schema="public")
        statements = []

        class Hook(DbApiHook):
            conn_name_attr, conn_type, default_conn_name = "snowflake_conn_id", "snowflake", "warehouse"
            supports_autocommit = True

            def get_conn(self):
                made = connect(database="db", schema="public")
                cursor = made.cursor

                def recording():
                    given = cursor()
                    execute = given.execute

                    def run(statement, *parameters, **options):
                        statements.append(statement)
                        # The emulator's COPY INTO finds no temporary table.
                        spelled = statement.replace("CREATE TEMPORARY TABLE", "CREATE TABLE")
                        return execute(spelled, *parameters, **options)

                    given.execute = run
                    return given

                made.cursor = recording
                return made

            def set_autocommit(self, conn, autocommit):
                """Do nothing: transactions of the emulator begin and end by statements."""

        def run(*texts):
            cursor = connection.cursor()
            for text in texts:
                cursor.execute(text)
            return [tuple(row) for row in cursor.fetchall()]

        exported(monkeypatch, "snowflake")

        def tables():
            return {row[0].lower() for row in run("SELECT table_name FROM information_schema.tables")}

        yield Warehouse(Hook(), run, run, "target", statements, tables)


WAREHOUSES = {"redshift": redshift, "bigquery": bigquery, "snowflake": snowflake}


@pytest.fixture(params=WAREHOUSES)
def warehouse(request, monkeypatch):
    """Each warehouse of the tests."""
    with WAREHOUSES[request.param](monkeypatch) as made:
        made.name = request.param
        made.place = "ds.target" if request.param != "snowflake" else '"TARGET"'
        yield made


def column_names(warehouse):
    """How the columns of a table that was made by hand are called."""
    return {"snowflake": '"id" BIGINT, "name" VARCHAR'}.get(warehouse.name, "id BIGINT, name VARCHAR")


def content(warehouse):
    return sorted(warehouse.rows(f'SELECT "id", "name" FROM {warehouse.place}'), key=str)


# ------------------------------------------------------------------------------------------------------ the tests


@pytest.mark.parametrize("is_there", [True, False], ids=["a table", "no table"])
@pytest.mark.parametrize("if_exists", MODES)
def test_every_mode(warehouse, if_exists, is_there):
    """The rows that the mode says are there; a retry loads once, and nothing else is left."""
    if warehouse.name == "snowflake" and is_there and if_exists == "upsert":
        pytest.skip("the emulator has no MERGE within a transaction")
    is_there = is_there and if_exists != "fail"
    if is_there:
        warehouse.run(f"CREATE TABLE {warehouse.place} ({column_names(warehouse)})")
        warehouse.run(f"INSERT INTO {warehouse.place} VALUES (1, 'old'), (9, 'other')")
    body = "id,name\n1,a\n2,\n"
    options = {"if_exists": if_exists, "where": '"id" = 1' if warehouse.name == "snowflake" else "id = 1"}
    result, log = warehouse.land(body, **options)
    kept = is_there and if_exists in ("append", "upsert", "replace_where")
    expected = [(1, "a"), (2, None)] + ([(9, "other")] if kept else [])
    expected += [(1, "old")] if is_there and if_exists == "append" else []
    assert content(warehouse) == sorted(expected, key=str)
    assert result["rows"] == 2
    assert any("The staging table has 2 rows" in line for line in log.lines)
    assert warehouse.land(body, Task(try_number=2), **options)[0] == result
    assert len(content(warehouse)) == len(expected)
    assert {name.lower() for name in warehouse.tables} == {"target", "airflow_workflow_loads"}


def test_values_arrive_as_they_are(warehouse):
    warehouse.land(if_exists="fail")
    found = warehouse.rows(f'SELECT "id", "name", "price", "at", "yes" FROM {warehouse.place} ORDER BY 1')
    given = [(*row[:3], row[3] and row[3].astimezone(UTC), row[4]) for row in found]
    assert given == ROWS
    days = warehouse.rows(f'SELECT CAST("day" AS VARCHAR) FROM {warehouse.place} ORDER BY "id"')
    assert days == [("2024-02-29",), (None,)]


def test_several_outputs_and_an_output_without_rows(warehouse):
    warehouse.land(["id,name\n1,a\n", "name,id\nb,2\n"], column_types={"id": "int64"})
    warehouse.land("id,name\n", Task(task_id="b"), column_types={"id": "int64", "name": "string"})
    assert content(warehouse) == [(1, "a"), (2, "b")]


def test_what_does_not_fit_leaves_the_table_as_it_was(warehouse):
    """A value that the type changes, a key that comes twice, a check, a column too many."""
    kind = {"snowflake": '"id" NUMBER(3, 0), "name" VARCHAR'}.get(warehouse.name, "id DECIMAL(3, 0), name VARCHAR")
    warehouse.run(f"CREATE TABLE {warehouse.place} ({kind})", f"INSERT INTO {warehouse.place} VALUES (1, 'old')")
    before = content(warehouse)
    exact = {"column_types": {"id": "decimal128(12, 2)", "name": "string"}}
    for number, (kind, match, body, options) in enumerate([
        (OutputUnavailable, "1 values such as .*1.25.* do not fit", "id,name\n1.25,a\n2,b\n", exact),
        (OutputUnavailable, "1 keys come more than once", "id,name\n5,a\n5,b\n", {"if_exists": "upsert"}),
        (OutputUnavailable, "1 rows have no value", "id,name\n5,a\n,b\n", {"if_exists": "upsert"}),
        (ExpectationFailed, "max_rows", "id,name\n5,a\n", {"expect": {"max_rows": 0}, "if_exists": "truncate"}),
        (InvalidArgument, "the table lacks 'more'", "id,name,more\n5,a,b\n", {}),
        (InvalidArgument, "on_missing_column", "id\n5\n", {"on_missing_column": "fail"}),
        (InvalidArgument, "exists already", "id,name\n5,a\n", {"if_exists": "fail"}),
    ]):  # fmt: skip
        with pytest.raises(kind, match=match):
            warehouse.land(body, Task(task_id=f"t{number}"), **options)
        assert content(warehouse) == before
    assert {name.lower() for name in warehouse.tables} == {"target", "airflow_workflow_loads"}
    warehouse.land("id,name,more\n5,01,b\n", on_new_column="ignore")
    assert content(warehouse) == [(1, "old"), (5, "01")]


def test_a_connection_that_dies_at_any_statement_leaves_the_table_as_it_was(monkeypatch):
    """Also between the copy and the commit; what was uploaded is removed, and the text says which step it was."""
    with redshift(monkeypatch) as warehouse:
        made = warehouse.rows.__self__
        warehouse.run("CREATE TABLE ds.target (id BIGINT, name VARCHAR)", "INSERT INTO ds.target VALUES (1, 'old')")
        for step, said in (
            ("CREATE TEMPORARY TABLE", "making the staging table failed"),
            ("^COPY", "COPY from S3 failed"),
            ("DELETE FROM .ds", "the connection died"),
            ('INSERT INTO "ds"."target"', "the connection died"),
            ('INSERT INTO "ds"."airflow_workflow_loads" .*', "the connection died"),
        ):
            warehouse.land("id,name\n5,a\n", Task(task_id="first"), if_exists="truncate")
            made.fails_at = step
            with pytest.raises(WorkflowError, match=rf"(?s){said}.*nothing was changed"):
                warehouse.land("id,name\n7,a\n", Task(task_id=step), if_exists="truncate")
            made.fails_at = ""
            assert warehouse.rows("SELECT id, name FROM ds.target") == [(5, "a")]
            assert warehouse.tables == {"target", "airflow_workflow_loads"}


def test_each_statement_of_redshift_is_one_of_its_dialect(monkeypatch):
    """The role comes from the connection; a role that is none is refused."""
    with redshift(monkeypatch) as warehouse:
        exported(monkeypatch, "redshift", copy_iam_role="arn:aws:iam::123456789012:role/copies")
        warehouse.land()
        (copied,) = [text for text in warehouse.statements if text.startswith("COPY")]
        assert re.fullmatch(
            r'COPY "airflow_rows_\w+" FROM \'s3://lake/staging/airflow_rows_\w+/\' '
            r"IAM_ROLE 'arn:aws:iam::123456789012:role/copies' FORMAT AS PARQUET",
            copied,
        )
        (tree,) = sqlglot.parse(copied, dialect="redshift")
        assert isinstance(tree, exp.Copy)
        exported(monkeypatch, "redshift", copy_iam_role="x' CREDENTIALS 'y")
        with pytest.raises(InvalidArgument, match="copy_iam_role of connection 'warehouse'"):
            warehouse.land(task=Task(task_id="b"))


def test_a_load_job_of_bigquery_says_what_it_does(monkeypatch):
    with bigquery(monkeypatch) as warehouse:
        warehouse.land()
        (job,) = warehouse.jobs
        assert job["jobReference"]["jobId"].startswith("airflow_workflow_")
        load = job["configuration"]["load"]
        assert load["destinationTable"]["projectId"] == "p"
        assert load["destinationTable"]["tableId"].startswith("airflow_rows_")
        del load["destinationTable"]
        assert load == {
            "sourceFormat": "PARQUET",
            "createDisposition": "CREATE_NEVER",
            "writeDisposition": "WRITE_APPEND",
            "decimalTargetTypes": ["BIGNUMERIC"],
        }
        with pytest.raises(InvalidArgument, match="no transaction around"):
            warehouse.land(task=Task(task_id="b"), expect={"unique": ["id"]})


def test_what_a_bulk_path_lacks_is_named(monkeypatch):
    """Auto takes INSERT and says why."""
    with redshift(monkeypatch) as warehouse:
        for staging, said in ((Staging(), "staging_path names no folder"), (Staging("gs://x"), "is 'gs://x'")):
            with pytest.raises(InvalidArgument, match=f"'bulk' is COPY from S3, and .*{said}"):
                warehouse.land(staging=staging)
        _, log = warehouse.land("id,name\n1,a\n", load_method="auto", staging=Staging(), if_exists="fail")
        assert any("INSERT in batches, since Redshift reads files from S3" in line for line in log.lines)
        _, log = warehouse.land("id,name\n2,b\n", Task(task_id="b"), load_method="auto")
        assert any("load_method='auto': COPY from S3" in line for line in log.lines)
        assert content_of(warehouse) == [(1, "a"), (2, "b")]


def content_of(warehouse):
    return sorted(warehouse.rows("SELECT id, name FROM ds.target"))


def test_pyodbc_sends_rows_as_arrays(monkeypatch):
    """SQL Server by an ODBC connection: a cursor that has fast_executemany uses it, unless INSERT is asked for."""
    from airflow_workflow_provider.transfers.sql.session import session

    made = Translated("tsql")
    exported(monkeypatch, "mssql")

    class Cursor:
        fast_executemany = False

        def execute(self, *_):
            """Take a statement."""

    cursor = Cursor()

    class Connection:
        def cursor(self):
            return cursor

        def commit(self):
            """Do nothing."""

        rollback = close = commit

    hook = made.hook(get_conn=Connection)
    type(hook).conn_type = "mssql"
    for load_method, is_fast in (("insert", False), ("bulk", True), ("auto", True)):
        cursor.fast_executemany = False
        with session(hook, load_method=load_method) as opened:
            assert opened.dialect.name == "SQL Server"
            assert cursor.fast_executemany is is_fast

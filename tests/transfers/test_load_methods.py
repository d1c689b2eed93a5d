"""How rows get there: inside the database, by its bulk path, or by INSERT; the result is the same."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.sql.in_database import is_certain
from tests.transfers.conftest import Task, opened
from tests.transfers.files import csv_outputs, land, table_output

NEAR = ["postgres", "duckdb"]
MODES = {
    "fail": [(1, "a"), (2, None)],
    "append": [(1, "a"), (2, None)],
    "replace": [(1, "a"), (2, None)],
    "truncate": [(1, "a"), (2, None)],
    "upsert": [(1, "a"), (2, None)],
    "replace_where": [(1, "a"), (2, None)],
}


@pytest.fixture(params=NEAR)
def near(request, servers, tmp_path, monkeypatch):
    """A database with a table that is the output of a run."""
    database = opened(request.param, servers, tmp_path, monkeypatch)
    database.run("CREATE TABLE source (id BIGINT, name VARCHAR)", "INSERT INTO source VALUES (1, 'a'), (2, NULL)")
    return database


def content(database, columns="id, name"):
    return database.rows(f"SELECT {columns} FROM target ORDER BY id")


@pytest.mark.parametrize("if_exists", MODES)
def test_rows_of_the_same_database_do_not_move(near, if_exists):
    """The table is made where it is not there, and a retry loads once."""
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id < 9", "load_method": "in_database"}
    result, log = land(near, [table_output("source")], Task(), **options)
    assert content(near) == MODES[if_exists]
    assert result["rows"] == 2
    assert any("in_database" in line for line in log.lines)
    assert land(near, [table_output("source")], Task(try_number=2), **options)[0] == result
    assert content(near) == MODES[if_exists]


@pytest.mark.parametrize("if_exists", ["append", "truncate", "upsert", "replace_where"])
def test_a_cast_changes_no_value(near, if_exists):
    """A table that was there: values that its types hold go in, another one is refused."""
    near.run("CREATE TABLE target (id SMALLINT, name VARCHAR)")
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id < 9", "load_method": "in_database"}
    land(near, [table_output("source")], **options)
    assert content(near) == [(1, "a"), (2, None)]
    near.run(
        "DROP TABLE source",
        "CREATE TABLE source (id NUMERIC(8, 2), name VARCHAR)",
        "INSERT INTO source VALUES (1.25, 'x')",
    )
    with pytest.raises(OutputUnavailable, match=r"(?s)column 'id': '1.25' .*does not fit.*nothing was changed"):
        land(near, [table_output("source")], Task(task_id="b"), **options)
    assert content(near) == [(1, "a"), (2, None)]


REINTERPRETED = {
    "postgres": [
        ("boolean", "true", "INTEGER"),
        ('"char"', "'a'", "INTEGER"),
        ("bit(4)", "B'1010'", "INTEGER"),
        ("INTEGER", "1", "boolean"),
        ("bytea", "'\\x41'", "VARCHAR"),
    ],
    "duckdb": [
        ("BOOLEAN", "true", "INTEGER"),
        ("INTEGER", "1", "BOOLEAN"),
        ("VARCHAR", "'abc'", "BLOB"),
        ("BLOB", "'abc'", "VARCHAR"),
        ("BLOB", "'abc'", "BIT"),
        ("BIT", "'101'", "INTEGER"),
    ],
}


def test_a_cast_that_gives_a_value_another_meaning_is_refused(near):
    """Also where the cast back gives the first value again."""
    for number, (kind, value, other) in enumerate(REINTERPRETED[near.name]):
        near.run(
            f"CREATE TABLE s{number} (x {kind})",
            f"INSERT INTO s{number} VALUES (CAST({value} AS {kind}))",
            f"CREATE TABLE t{number} (x {other})",
        )
        with pytest.raises(OutputUnavailable, match=r"(?s)column 'x': .*means something else.*nothing was changed"):
            land(near, [table_output(f"s{number}")], table=f"t{number}", load_method="in_database")
        assert near.rows(f"SELECT * FROM t{number}") == []


def test_a_cast_that_widens_is_taken(near):
    for number, (kind, value, other, there) in enumerate(
        [
            ("SMALLINT", "7", "NUMERIC(10,2)", "7.00"),
            ("DATE", "'2024-01-02'", "TIMESTAMP", "2024-01-02 00:00:00"),
            ("DOUBLE PRECISION", "0.1", "NUMERIC(10,2)", "0.10"),
            ("INTEGER[]", "'{1,2}'" if near.name == "postgres" else "[1, 2]", "BIGINT[]", None),
            ("VARCHAR", "'5'", "INTEGER", "5"),
            ("BOOLEAN", "true", "VARCHAR", "true"),
        ]
    ):
        near.run(
            f"CREATE TABLE s{number} (x {kind})",
            f"INSERT INTO s{number} VALUES (CAST({value} AS {kind})), (NULL)",
            f"CREATE TABLE t{number} (x {other})",
        )
        land(near, [table_output(f"s{number}")], table=f"t{number}", load_method="in_database")
        text = near.rows(f"SELECT CAST(x AS VARCHAR) FROM t{number} WHERE x IS NOT NULL")[0][0]
        assert there in (None, text)


def test_columns_types_and_added_columns_are_those_of_any_load(near):
    options = {
        "columns": {"id": "key", "name": "label"},
        "column_types": {"id": "string"},
        "add_columns": {"run": "{run_id}", "n": 7},
        "load_method": "in_database",
        "expect": {"min_rows": 2, "unique": ["key"]},
    }
    result, _ = land(near, [table_output("source")], if_exists="fail", **options)
    assert near.rows("SELECT key, label, run, n FROM target ORDER BY key") == [
        ("1", "a", "job-0", 7),
        ("2", None, "job-0", 7),
    ]
    assert [check["check"] for check in result["checks"]] == ["min_rows", "unique"]


def test_a_table_that_the_connection_does_not_reach_is_refused(near):
    with pytest.raises(OutputUnavailable, match=r"reaches no table .*load_method='auto'"):
        land(near, [table_output("elsewhere")], load_method="in_database")
    with pytest.raises(InvalidArgument, match="the output is not a table of a database"):
        land(near, csv_outputs("id\n1\n"), load_method="in_database")
    with pytest.raises(InvalidArgument, match="is the target itself"):
        land(near, [table_output("source")], table="source", load_method="in_database")
    assert near.rows("SELECT COUNT(*) FROM source") == [(2,)]


def test_auto_stays_in_the_database_only_where_that_is_certain():
    """Host, port and database are the same; a socket, or another database, is not certain."""
    hook = type("Hook", (), {"get_connection": lambda self, conn_id: connection})()
    connection = Connection(conn_id="x", conn_type="postgres", host="db.example.com", schema="work")
    assert is_certain("postgres://db.example.com:5432/work/public/t", hook, "x")
    assert not is_certain("postgres://db.example.com:5432/other/public/t", hook, "x")
    assert not is_certain("postgres://db.example.com:5433/work/public/t", hook, "x")
    assert not is_certain("carto://connection/work.public.t", hook, "x")


@pytest.mark.parametrize("load_method", ["bulk", "insert"])
@pytest.mark.parametrize("name", ["postgres", "duckdb", "mariadb"])
def test_each_method_gives_the_same_table(name, load_method, servers, tmp_path, monkeypatch):
    """Odd characters, no value and empty text included."""
    database = opened(name, servers, tmp_path, monkeypatch)
    text = 'id,name,yes,at,price\n1,"a\tb\\n""c""",true,2024-01-02T03:04:05Z,1.50\n2,,false,,\n3,"",true,,2.25\n'
    land(database, csv_outputs(text), if_exists="fail", load_method=load_method)
    rows = database.rows("SELECT id, name, yes, price FROM target ORDER BY id")
    assert [(one, name, bool(yes), price) for one, name, yes, price in rows] == [
        (1, 'a\tb\\n"c"', True, 1.5),
        (2, None, False, None),
        (3, "", True, 2.25),
    ]


def test_what_load_data_only_warns_of_is_refused(servers, tmp_path, monkeypatch):
    """LOCAL leaves out rows whose key is there already, with a warning."""
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    database.run("CREATE TABLE target (id BIGINT PRIMARY KEY, name VARCHAR(9))", "INSERT INTO target VALUES (2, 'old')")
    with pytest.raises(WorkflowError, match=r"(?s)Duplicate entry '2'.*nothing was changed"):
        land(database, csv_outputs("id,name\n1,a\n2,b\n"), load_method="bulk")
    assert content(database) == [(2, "old")]


def test_a_method_that_a_database_lacks_is_named(sqlite):
    for load_method in ("bulk", "in_database"):
        with pytest.raises(InvalidArgument, match=f"load_method: '{load_method}' works for .*not for SQLite"):
            land(sqlite, csv_outputs("id\n1\n"), load_method=load_method)
    with pytest.raises(InvalidArgument, match="load_method: expected one of"):
        land(sqlite, csv_outputs("id\n1\n"), load_method=json.dumps({}))


MARIADB_MODES = ["fail", "append", "replace", "truncate", "upsert", "replace_where"]


@pytest.fixture
def mariadb(servers, tmp_path, monkeypatch):
    """An empty MariaDB whose connection allows LOAD DATA LOCAL."""
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    database.connection["extra"] = {**database.connection["extra"], "local_infile": True}
    database.export()
    return database


@pytest.mark.parametrize("is_there", [True, False], ids=["a table", "no table"])
@pytest.mark.parametrize("if_exists", MARIADB_MODES)
def test_auto_takes_load_data_where_the_connection_allows_it(mariadb, if_exists, is_there):
    """Rows for a table that exists go through a staging table; each way gives the rows of an INSERT."""
    if is_there and if_exists != "fail":
        mariadb.run(
            "CREATE TABLE target (id BIGINT PRIMARY KEY, name VARCHAR(20), bits BIT(8), raw VARBINARY(9), "
            "yes TINYINT(1), at DATETIME(6), price DECIMAL(9, 2))",
            "INSERT INTO target (id, name) VALUES (1, 'old'), (77, 'other')",
        )
    text = "id,name,bits,yes,at,price\n2,a\\tb,5,true,2024-01-02T03:04:05.678901Z,1.50\n3,,53,false,,\n"
    options = {"if_exists": if_exists, "key_columns": ["id"], "where": "id < 50"}
    result, log = land(mariadb, csv_outputs(text), Task(), **options)
    assert any("load_method='auto': LOAD DATA LOCAL" in line for line in log.lines)
    rows = mariadb.rows("SELECT id, name, bits + 0, yes + 0, price FROM target WHERE id IN (2, 3) ORDER BY id")
    assert [(row[0], row[1], int(row[2]), int(row[3])) for row in rows] == [(2, "a\\tb", 5, 1), (3, None, 53, 0)]
    kept = {"append": {1, 77}, "upsert": {1, 77}, "replace_where": {77}}
    expected = {2, 3} | (kept.get(if_exists, set()) if is_there else set())
    assert {row[0] for row in mariadb.rows("SELECT id FROM target")} == expected
    assert land(mariadb, csv_outputs(text), Task(try_number=2), **options)[0] == result
    assert mariadb.rows("SELECT COUNT(*) FROM target") == [(len(expected),)]
    assert [row[0] for row in mariadb.rows("SHOW TABLES LIKE 'airflow%'")] == ["airflow_workflow_loads"]


@pytest.mark.parametrize("if_exists", ["append", "replace", "truncate", "upsert", "replace_where"])
def test_a_row_that_the_table_refuses_takes_a_bulk_load_back(mariadb, if_exists):
    """LOAD DATA LOCAL would leave such a row out with a warning, also where the session keeps no warnings."""
    mariadb.run(
        "CREATE TABLE target (id BIGINT, name VARCHAR(20), CHECK (id < 3000))",
        "INSERT INTO target VALUES (1, 'old')",
        "SET GLOBAL max_error_count = 0",
    )
    body = "id,name\n" + "".join(f"{k},new\n" for k in range(3500))
    try:
        with pytest.raises(WorkflowError, match="nothing was changed"):
            land(mariadb, csv_outputs(body), if_exists=if_exists, key_columns=["id"], where="id = 1")
    finally:
        mariadb.run("SET GLOBAL max_error_count = 64")
    assert content(mariadb) == [(1, "old")]


def test_a_server_that_takes_no_files_is_named(mariadb):
    """Auto takes INSERT and says why; bulk is refused."""
    mariadb.run("SET GLOBAL local_infile = 0")
    try:
        _, log = land(mariadb, csv_outputs("id,name\n1,a\n"))
        assert any("INSERT in batches, since the server's local_infile is off" in line for line in log.lines)
        with pytest.raises(InvalidArgument, match="'bulk' is LOAD DATA LOCAL, and the server's local_infile is off"):
            land(mariadb, csv_outputs("id,name\n2,a\n"), Task(task_id="b"), load_method="bulk")
    finally:
        mariadb.run("SET GLOBAL local_infile = 1")
    assert content(mariadb) == [(1, "a")]


def test_binary_values_pass_load_data_as_they_are(mariadb):
    """Each byte, no value, and no byte."""
    import base64

    import pyarrow as pa

    from airflow_workflow_provider.transfers.sql.bulk import LoadData
    from airflow_workflow_provider.transfers.sql.columns import TargetColumn
    from airflow_workflow_provider.transfers.sql.names import parse_table
    from airflow_workflow_provider.transfers.sql.session import session, sql_hook

    mariadb.run("CREATE TABLE target (raw LONGBLOB)")
    hook = sql_hook(mariadb.conn_id)
    hook.local_infile = True
    values = [bytes(range(256)), None, b""]
    with session(hook, load_method="bulk") as made:
        made.begin()
        batch = pa.record_batch([pa.array(values, pa.binary())], names=["raw"])
        assert (
            LoadData().insert(made, parse_table("target", made.dialect), [TargetColumn("raw", "longblob")], batch) == 3
        )
        made.commit()
    found = {row[0] for row in mariadb.rows("SELECT TO_BASE64(raw) FROM target")}
    cleaned = {None if text is None else base64.b64decode(text) for text in found}
    assert cleaned == set(values)


def test_a_pipe_ends_whoever_stops_first():
    """The reader never comes, stops in the middle, or reads all; the pieces fail."""
    from airflow_workflow_provider.transfers.sql.bulk import piped

    def pieces(count=200, error=None):
        for _ in range(count):
            yield memoryview(b"x" * 50_000)
        if error is not None:
            raise error

    def read(given, size=-1, error=None):
        with piped(given) as path:
            if size:
                with open(path, "rb") as reader:  # noqa: PTH123 (a driver opens it so)
                    return len(reader.read(size))
            raise error

    assert read(pieces()) == 200 * 50_000
    with pytest.raises(LookupError, match="the server refuses"):
        read(pieces(), 0, LookupError("the server refuses"))
    with pytest.raises(OutputUnavailable, match="a value"):
        read(pieces(3, OutputUnavailable("a value")))
    with pytest.raises(BrokenPipeError):
        read(pieces(), 10)


@pytest.mark.parametrize("if_exists", ["append", "replace_where"])
def test_a_value_behind_the_first_rows_takes_a_bulk_load_back(mariadb, if_exists):
    mariadb.run("CREATE TABLE target (id SMALLINT, name VARCHAR(20))", "INSERT INTO target VALUES (1, 'old')")
    body = "id,name\n" + "".join(f"{k},new\n" for k in range(70_001))
    with pytest.raises(OutputUnavailable, match=r"(?s)row 32769: '?32768'? does not fit.*nothing was changed"):
        land(mariadb, csv_outputs(body), if_exists=if_exists, where="id = 1")
    assert content(mariadb) == [(1, "old")]


def test_rows_with_a_trigger_go_through_a_staging_table(mariadb):
    """A trigger that refuses a row takes the load back; one that changes rows is run once for each."""
    mariadb.run(
        "CREATE TABLE target (id BIGINT, name VARCHAR(20))",
        "CREATE TRIGGER checks BEFORE INSERT ON target FOR EACH ROW "
        "IF NEW.id = 3 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not three'; END IF",
    )
    land(mariadb, csv_outputs("id,name\n1,a\n2,b\n"))
    with pytest.raises(WorkflowError, match=r"(?s)not three.*nothing was changed"):
        land(mariadb, csv_outputs("id,name\n4,a\n3,b\n"), Task(task_id="b"))
    assert content(mariadb) == [(1, "a"), (2, "b")]


def test_moments_in_utc_lose_their_zone_in_a_column_without_one(mariadb):
    """Each spelling of UTC is the same moment, another offset is converted, and what is none is refused."""
    mariadb.run("CREATE TABLE target (id BIGINT, at DATETIME(3))")
    spelled = ["2024-02-29T03:04:05Z", "2024-02-29 03:04:05.120 UTC", "2024-02-29T03:04:05.1200000Z"]
    body = "id,at\n" + "".join(f"{k},{text}\n" for k, text in enumerate([*spelled, "2024-02-29T04:04:05+01:00"]))
    land(mariadb, csv_outputs(body))
    found = [str(row[0]) for row in mariadb.rows("SELECT CAST(at AS CHAR) FROM target ORDER BY id")]
    assert found == ["2024-02-29 03:04:05.000", *["2024-02-29 03:04:05.120"] * 2, "2024-02-29 03:04:05.000"]
    for text in ("2023-02-29T03:04:05Z", "2024-02-29T03:04:05.1234Z", "2024-02-29T24:04:05Z", "2024-02-29Z"):
        with pytest.raises(OutputUnavailable, match="does not fit"):
            land(mariadb, csv_outputs(f"id,at\n9,{text}\n"), Task(task_id=text))

"""A violated check leaves the table bit for bit as it was: in every database, mode and way of loading."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.transfers.sql.checks import Expect, ExpectationFailed
from tests.transfers.conftest import Task, opened
from tests.transfers.files import csv_outputs, land, table_output

METHODS = {
    "sqlite": ("insert",),
    "postgres": ("bulk", "insert", "in_database"),
    "duckdb": ("bulk", "in_database"),
    "mariadb": ("bulk", "insert"),
}
WAYS = [(name, method) for name, methods in METHODS.items() for method in methods]
OUTPUT = "id,name,more\n" + "".join(f"{k},new,{k}\n" for k in range(10, 13)) + "13,,1\n"
MODES = ["append", "truncate", "upsert", "replace_where", "replace"]
VIOLATED = {
    "min_rows": 5,
    "max_rows": 3,
    "columns": ["nope"],
    "not_null": ["name"],
    "unique": [["id", "name"], "same"],
    "sql": "id < 13 -- a comment",
}


@pytest.fixture(params=WAYS, ids=["-".join(way) for way in WAYS])
def way(request, servers, tmp_path, monkeypatch):
    """A database with a table, an output, and a way of loading."""
    name, method = request.param
    database = opened(name, servers, tmp_path, monkeypatch)
    if name == "mariadb":
        database.connection["extra"] = {**database.connection["extra"], "local_infile": True}
        database.export()
    text = "VARCHAR(20)"
    outputs = csv_outputs(OUTPUT)
    if method == "in_database":
        database.run(
            f"CREATE TABLE source (id BIGINT, name {text}, more BIGINT)",
            "INSERT INTO source VALUES (10, 'new', 10), (11, 'new', 11), (12, 'new', 12), (13, NULL, 1)",
        )
        outputs = [table_output("source")]
    database.run(
        f"CREATE TABLE target (id BIGINT, name {text}, same INT DEFAULT 1)",
        "INSERT INTO target (id, name) VALUES (1, 'old'), (2, 'other')",
    )
    return database, outputs, method


def state(database):
    """Everything that a load could change."""
    tables = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
        "postgres": "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        "duckdb": "SELECT table_name FROM duckdb_tables()",
        "mariadb": "SHOW TABLES",
    }[database.name]
    columns = {
        "sqlite": "SELECT name, type FROM pragma_table_info('target')",
        "postgres": "SELECT attname, atttypid, attnum FROM pg_attribute WHERE attrelid = 'target'::regclass",
        "duckdb": "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'target'",
        "mariadb": "SELECT column_name, column_type FROM information_schema.columns WHERE table_name = 'target'",
    }[database.name]
    return (
        sorted(row[0] for row in database.rows(tables) if "airflow_workflow_loads" not in row[0]),
        database.rows(columns),
        database.rows("SELECT * FROM target ORDER BY id"),
    )


@pytest.mark.parametrize("check", VIOLATED)
def test_a_violated_check_changes_nothing(way, check):
    """Also where a column is added, and where a table of another shape is put in the old one's place."""
    database, outputs, method = way
    before = state(database)
    options = {"key_columns": ["id"], "where": "id = 1", "load_method": method, "on_new_column": "add"}
    for if_exists in MODES:
        given = VIOLATED[check]
        if if_exists in ("append", "upsert") and check == "max_rows":
            given = 2
        if if_exists == "replace":
            database.run("DROP TABLE target", "CREATE TABLE target (id BIGINT, name VARCHAR(20), same INT)")
            database.run("INSERT INTO target VALUES (1, 'old', 1), (2, 'other', 1)")
            before = state(database)
            if check == "unique":
                continue  # the rows of the output are unique
        with pytest.raises(ExpectationFailed, match=r"(?s)is violated.*nothing was changed") as error:
            land(database, outputs, Task(task_id=if_exists), if_exists=if_exists, expect={check: given}, **options)
        assert error.value.check == check
        assert state(database) == before, if_exists


def test_max_shrink_and_a_query_hold_for_the_table_after_the_load(way):
    database, outputs, method = way
    database.run("DROP TABLE target", "CREATE TABLE target (id BIGINT, name VARCHAR(20))")
    database.run("INSERT INTO target VALUES " + ", ".join(f"({k}, 'old')" for k in range(100)))
    before = state(database)
    for number, expect in enumerate(({"max_shrink": 0.5}, {"sql": "SELECT COUNT(*) > 50 FROM {table}"})):
        for if_exists in ("replace", "truncate"):
            if if_exists == "truncate":
                database.run("DROP TABLE target", "CREATE TABLE target (id BIGINT, name VARCHAR(20), more BIGINT)")
                database.run("INSERT INTO target (id, name) VALUES " + ", ".join(f"({k}, 'old')" for k in range(100)))
                before = state(database)
            task = Task(task_id=f"{if_exists}{number}")
            with pytest.raises(ExpectationFailed, match="is violated"):
                land(database, outputs, task, if_exists=if_exists, expect=expect, load_method=method)
            assert state(database) == before


def test_the_second_of_two_tables_takes_the_first_back(way):
    """Each table is checked before anything stays."""
    database, _, method = way
    if method == "in_database":
        pytest.skip("the outputs of this test are files")
    database.run("CREATE TABLE t_out0 (id BIGINT)", "CREATE TABLE t_out1 (id BIGINT)", "INSERT INTO t_out0 VALUES (7)")
    outputs = csv_outputs("id,name\n1,a\n", "id,name\n1,a\n2,b\n")
    for if_exists in ("append", "replace"):
        with pytest.raises(ExpectationFailed, match="max_rows"):
            land(
                database,
                outputs,
                Task(task_id=if_exists),
                table="t_{output}",
                if_exists=if_exists,
                on_new_column="add",
                expect={"max_rows": 1},
                load_method=method,
            )
        assert database.rows("SELECT * FROM t_out0") == [(7,)]
        assert database.rows("SELECT * FROM t_out1") == []


def test_rows_without_a_value_are_no_duplicates(sqlite):
    """As in a UNIQUE constraint of SQL; a million of duplicates is counted, not fetched."""
    expect = {"unique": ["id"]}
    land(sqlite, csv_outputs("id,name\n,a\n,b\n1,c\n"), expect=expect)
    with pytest.raises(ExpectationFailed, match=r"2 keys come more than once, for example id=[12] \(2 rows\)") as error:
        land(sqlite, csv_outputs("id,name\n1,a\n2,a\n2,b\n"), Task(task_id="b"), expect=expect)
    assert error.value.figure == 2


@pytest.mark.parametrize(
    "expect",
    [{"sql": "id > 0; DELETE FROM target"}, {"unique": [1]}, {"unique": 5}, {"unique": [[]]}, {"unique": {"id": 1}}],
)
def test_a_check_that_makes_no_sense_is_named(expect):
    with pytest.raises(InvalidArgument, match=r"expect\['(sql|unique)'\]"):
        Expect.of(expect)


def test_a_check_of_a_column_that_is_not_there_says_which_there_are(sqlite):
    with pytest.raises(InvalidArgument, match=r"expect\['not_null'\]: the table has no column 'nope'; it has id, name"):
        land(sqlite, csv_outputs("id,name\n1,a\n"), expect={"not_null": "nope"})
    assert not sqlite.has("target")


def test_a_condition_that_the_database_refuses_changes_nothing(database):
    database.run("CREATE TABLE target (id BIGINT)", "INSERT INTO target VALUES (7)")
    with pytest.raises(WorkflowError, match="nothing was changed"):
        land(database, csv_outputs("id\n1\n"), expect={"sql": "DELETE FROM target"})
    assert database.rows("SELECT id FROM target") == [(7,)]

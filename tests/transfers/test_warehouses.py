"""Loads inside data warehouses: every statement is one of its dialect; those of Snowflake run on an emulator."""

from __future__ import annotations

import importlib.util
import json
from contextlib import contextmanager

import pytest
import sqlglot
from airflow.providers.common.sql.hooks.sql import DbApiHook
from sqlglot import exp

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.sql.checks import Expect, ExpectationFailed
from airflow_workflow_provider.transfers.sql.dialects import DIALECTS
from airflow_workflow_provider.transfers.sql.load import SqlLoad
from airflow_workflow_provider.transfers.sql.modes import Mode
from airflow_workflow_provider.transfers.sql.names import quoted
from airflow_workflow_provider.transfers.sql.warehouses import WAREHOUSES, Column, create, statements
from tests.transfers.conftest import Task, context
from tests.transfers.files import Log, table_output

# Of DuckDB, about what the emulator does.
pytestmark = pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result")
OF = {dialect.name: dialect for dialect in DIALECTS.values() if dialect.name in WAREHOUSES}
MODES = ["append", "truncate", "replace", "replace_where", "upsert"]


def made(name, if_exists, *, keys_only=False):
    """The statements of a load with a renamed column, a cast and an added value."""
    dialect, warehouse = OF[name], WAREHOUSES[name]

    def q(text):
        return quoted(text, dialect)

    columns = [Column(q("id"), q("id"))]
    if not keys_only:
        columns += [Column(q("Odd name"), q("name")), Column(q("n"), q("n"), dialect.types["int"])]
        columns += [Column("", q("run"), dialect.types["text"], warehouse.literal("it's 5%"))]
    target, source = (".".join(map(q, parts)) for parts in (("s", "target"), ("s", "source")))
    options = {"keys": [q("id")], "where": "day = '2026-01-01'", "every": [q("id"), q("name"), q("n"), q("run")]}
    if if_exists == "create":
        return (create(warehouse, target, source, columns),)
    return statements(warehouse, if_exists, target, source, columns, **options)


@pytest.mark.parametrize("keys_only", [False, True], ids=["columns", "keys only"])
@pytest.mark.parametrize("if_exists", ["create", *MODES])
@pytest.mark.parametrize("name", WAREHOUSES)
def test_each_statement_is_one_of_its_dialect(name, if_exists, keys_only):
    """Sqlglot reads it, and finds the source, the target, and what the mode says."""
    trees = [
        tree
        for text in made(name, if_exists, keys_only=keys_only)
        for tree in sqlglot.parse(text, dialect=name.lower(), error_level=sqlglot.ErrorLevel.RAISE)
        if tree is not None
    ]
    kinds = [type(tree) for tree in trees if not isinstance(tree, (exp.Transaction, exp.Commit))]
    assert exp.Command not in kinds
    expected = {"create": exp.Create, "upsert": exp.Insert if name == "Redshift" else exp.Merge}
    assert kinds[-1] is expected.get(if_exists, exp.Insert)
    tables = {table.name for tree in trees for table in tree.find_all(exp.Table)}
    assert tables == {"source", "target"}
    if if_exists in ("truncate", "replace", "replace_where") and name != "Databricks":
        assert kinds == [exp.Delete, exp.Insert]
    if name in ("BigQuery", "Databricks"):  # their connections have no transaction
        assert len(made(name, if_exists, keys_only=keys_only)) == 1


@pytest.mark.parametrize("name", WAREHOUSES)
def test_a_text_stays_one_literal(name):
    warehouse = WAREHOUSES[name]
    for text in ("it's", "a'; DROP TABLE x; --", "\\' OR 1=1 --", "\\", "100%"):
        try:
            spelled = warehouse.literal(text)
        except InvalidArgument:
            assert "\\" in text
            continue
        (tree,) = sqlglot.parse(f"SELECT {spelled} AS a", dialect=name.lower())
        assert [found.this for found in tree.find_all(exp.Literal)] == [text]
    with pytest.raises(InvalidArgument, match="no certain spelling"):
        warehouse.literal("a\nb")


# ------------------------------------------------------------------------------------------ Snowflake's emulator


@pytest.fixture
def snowflake(monkeypatch):
    """An emulated Snowflake with a table that is an output."""
    if importlib.util.find_spec("fakesnow") is None:
        pytest.skip("Snowflake's emulator (fakesnow) is not installed; `make test-warehouses` has it")
    monkeypatch.setenv("AIRFLOW_CONN_SNOWFLAKE", json.dumps({"conn_type": "snowflake", "host": "emulator"}))
    with importlib.import_module("fakesnow").patch():
        connect = importlib.import_module("snowflake.connector").connect
        connection = connect(database="db", schema="public")

        class Hook(DbApiHook):
            conn_name_attr, conn_type, default_conn_name = "snowflake_conn_id", "snowflake", "snowflake"
            supports_autocommit = True

            def get_conn(self):
                return connect(database="db", schema="public")

            def set_autocommit(self, conn, autocommit):
                """Do nothing: transactions of the emulator begin and end by statements."""

        def run(*texts):
            cursor = connection.cursor()
            for text in texts:
                cursor.execute(text)
            return [tuple(row) for row in cursor.fetchall()]

        run("CREATE TABLE source (id BIGINT, name VARCHAR)", "INSERT INTO source VALUES (1, 'a'), (2, NULL)")
        yield Hook(), run


def land(hook, task=None, location="SOURCE", **options):
    """Load the output inside the warehouse."""
    log = Log()
    mode = Mode.of(options.pop("if_exists", "append"), options.pop("key_columns", None), options.pop("where", None))
    made = SqlLoad(
        hook=hook,
        conn_id="snowflake",
        table="target",
        mode=mode,
        columns=options.get("columns"),
        column_types=options.get("column_types"),
        attempt=Attempt.of(context(task)),
        log=log,
        load_method="in_database",
        add_columns=options.get("add_columns", {}),
        expect=Expect.of(options.get("expect")),
    )
    return made.earlier() or made.run([table_output(location)])


@contextmanager
def refused(kind, match, run):
    """The load fails, and the table is as it was."""
    before = run("SELECT id, name FROM target ORDER BY id")
    with pytest.raises(kind, match=match):
        yield
    assert run("SELECT id, name FROM target ORDER BY id") == before


@pytest.mark.parametrize("is_there", [True, False], ids=["a table", "no table"])
@pytest.mark.parametrize("if_exists", ["fail", *MODES])
def test_every_mode_on_the_emulator(snowflake, if_exists, is_there):
    hook, run = snowflake
    if is_there and if_exists == "upsert":
        pytest.skip("the emulator has no MERGE within a transaction; the next test runs it alone")
    if is_there and if_exists != "fail":
        run("CREATE TABLE target (id BIGINT, name VARCHAR)", "INSERT INTO target VALUES (1, 'old'), (9, 'other')")
    options = {"if_exists": if_exists, "key_columns": ["ID"], "where": "id = 1"}
    result = land(hook, **options)
    old = is_there and if_exists in ("append", "upsert", "replace_where")
    expected = [(1, "a"), (2, None)] + ([(9, "other")] if old else [])
    expected += [(1, "old")] if is_there and if_exists == "append" else []
    assert sorted(run("SELECT id, name FROM target"), key=str) == sorted(expected, key=str)
    assert result["rows"] == 2
    assert land(hook, Task(try_number=2), **options) == result
    assert len(run("SELECT * FROM target")) == len(expected)


def test_the_merge_runs_on_the_emulator(snowflake):
    """Rows of both keys, and a column of the target that the output lacks."""
    _, run = snowflake
    run("CREATE TABLE target (id BIGINT, label VARCHAR, kept BIGINT)")
    run("INSERT INTO target VALUES (1, 'old', 5), (9, 'other', 6)")
    columns = [Column('"ID"', '"ID"'), Column('"NAME"', '"LABEL"')]
    texts = statements(WAREHOUSES["Snowflake"], "upsert", '"TARGET"', '"SOURCE"', columns, keys=['"ID"'])
    run(*texts, "SELECT 1")
    found = run("SELECT id, label, kept FROM target ORDER BY id")
    assert found == [(1, "a", 5), (2, None, None), (9, "other", 6)]


def test_what_a_merge_would_get_wrong_is_refused(snowflake):
    hook, run = snowflake
    run("CREATE TABLE target (id BIGINT, name VARCHAR)", "INSERT INTO target VALUES (1, 'old')")
    run("INSERT INTO source VALUES (1, 'twice')")
    with refused(OutputUnavailable, "1 keys come more than once", run):
        land(hook, if_exists="upsert", key_columns=["ID"])
    run("UPDATE source SET id = NULL WHERE name = 'twice'")
    with refused(OutputUnavailable, "1 rows have no value", run):
        land(hook, Task(task_id="b"), if_exists="upsert", key_columns=["ID"])
    with refused(OutputUnavailable, "reaches no table", run):
        land(hook, Task(task_id="c"), location="ELSEWHERE")
    with refused(ExpectationFailed, "not_null", run):
        land(hook, Task(task_id="d"), if_exists="truncate", expect={"not_null": ["NAME"]})
    run("ALTER TABLE source ADD COLUMN more BIGINT")
    with refused(InvalidArgument, "the table lacks 'MORE'", run):
        land(hook, Task(task_id="e"))
    run("CREATE OR REPLACE TABLE source (id DOUBLE, name VARCHAR)")
    with refused(WorkflowError, "might change values", run):
        land(hook, Task(task_id="f"))

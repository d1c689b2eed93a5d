"""A large output table of CARTO is read from a copy: two scans, no mix, and nothing is left."""

from __future__ import annotations

import json

import pytest

from airflow_workflow_provider.exceptions import OutputUnavailable, PermissionDenied, RequestRejected
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.protocol.effects import AtEnd, Note
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.systems.carto import sql, staged

ROWS = 60_000
TABLES = {"carto_default": "carto-dw-ac-sandbox.large.t_out_0123456789abcdef", "carto_snowflake": "SANDBOX.LARGE.T_OUT"}


@pytest.fixture(params=TABLES)
def large(request, sandbox):
    """A connection, and a run whose output is a large table of that connection's warehouse."""
    sandbox.settings("carto", pending_seconds=0, running_seconds=0)
    return request.param, made(sandbox, request.param)


def made(sandbox, conn_id, rows=ROWS, number=1):
    """Make the table, or replace it; give a run with it as its output."""
    warehouse, table = sandbox.app.systems["carto"].api.warehouse, TABLES[conn_id]
    catalog, schema, name = table.split(".")
    cursor = warehouse.database.cursor()
    known = {row[0] for row in cursor.execute("SELECT database_name FROM duckdb_databases()").fetchall()}
    if catalog not in known:
        cursor.execute(f"ATTACH ':memory:' AS \"{catalog}\"")
    cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{catalog}"."{schema}"')
    cursor.execute(
        f'CREATE OR REPLACE TABLE "{catalog}"."{schema}"."{name}" AS SELECT i AS id, {number} AS version '
        f"FROM range({rows}) AS r(i)"
    )
    cursor.close()
    details = {"carto_connection": "carto_dw" if conn_id == "carto_default" else "snowflake_dw"}
    output = Output(name, "table", table, ("jsonl",))
    return Run("carto", conn_id, "p.d.wf", "job_1", state=RunState.SUCCEEDED, outputs=(output,), details=details)


def left(sandbox):
    """The tables of the schema beside the output."""
    cursor = sandbox.app.systems["carto"].api.warehouse.database.cursor()
    found = cursor.execute("SELECT table_name FROM duckdb_tables() WHERE lower(schema_name) = 'large'").fetchall()
    return [name for (name,) in found]


def test_a_large_table_costs_two_scans(sandbox, large):
    """Every row comes once, without the copy's row number; the copy is dropped."""
    conn_id, run = large[0], made(sandbox, large[0], rows=101_000)
    table = CartoHook(conn_id).read_output(run).read_all()
    assert table.num_rows == 101_000
    assert [name.lower() for name in table.column_names] == ["id", "version"]
    assert len(set(table.column(0).to_pylist())) == 101_000
    assert sum(sandbox.figures("carto")["scans"].values()) == pytest.approx(2.0)
    assert len(left(sandbox)) == 1


def test_reading_by_shards_costs_a_scan_for_each(sandbox, large, monkeypatch):
    """A token that may not create tables reads this way, if the connection says so."""
    conn_id, run = large[0], made(sandbox, large[0], rows=101_000)
    connection = sandbox.connections()[conn_id]
    connection["extra"] = {**connection["extra"], "large_tables": "shards"}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    assert CartoHook(conn_id).read_output(run).read_all().num_rows == 101_000
    assert sum(sandbox.figures("carto")["scans"].values()) == 3


def test_a_token_that_may_not_create_is_told_what_to_do(sandbox, monkeypatch):
    """The read token of the sandbox may only select."""
    run = made(sandbox, "carto_default")
    connection = sandbox.connections()["carto_default"]
    tokens = sandbox.app.systems["carto"].api.tokens
    read_only = type(next(iter(tokens.known.values())))((("*", "*large*"),))
    sandbox.call(lambda: tokens.known.update(reader=read_only))
    monkeypatch.setenv("AIRFLOW_CONN_CARTO_DEFAULT", json.dumps({**connection, "password": "reader"}))
    with pytest.raises(PermissionDenied, match=r"60,000 rows.*may not create one.*large_tables='shards'"):
        CartoHook("carto_default").read_output(run)
    assert len(left(sandbox)) == 1


def test_a_table_that_is_replaced_while_it_is_read_gives_no_mix(sandbox, large):
    """The copy is one state of the table, whatever happens to the table afterwards."""
    conn_id, run = large
    with CartoHook(conn_id).open_output(run) as file:
        first = json.loads(file.readline())
        made(sandbox, conn_id, rows=ROWS + 5, number=2)
        rows = [first, *map(json.loads, file)]
    versions = {value for row in rows for name, value in row.items() if name.lower() == "version"}
    assert (len(rows), versions) == (ROWS, {1})
    assert len(left(sandbox)) == 1


def test_the_copy_is_dropped_where_nobody_reads_on(sandbox, large):
    conn_id, run = large
    with CartoHook(conn_id).open_output(run) as file:
        file.readline()
        assert len(left(sandbox)) == 2
    assert len(left(sandbox)) == 1
    with pytest.raises(OutputUnavailable, match="max_rows"):
        CartoHook(conn_id).read_output(run, max_rows=10)
    assert len(left(sandbox)) == 1


FAULTS = {
    "query 503": {"kind": "status", "status": 503, "path": "/query"},
    "query lost": {"kind": "lost", "path": "/query", "after": 2},
    "query cut": {"kind": "truncate", "path": "/query", "after": 1},
    "job 503": {"kind": "status", "status": 429, "path": "/job$", "method": "POST"},
    "job lost": {"kind": "lost", "path": "/job$", "method": "POST"},
    "job reset": {"kind": "reset", "path": "/job$", "method": "POST"},
    "status lost": {"kind": "lost", "path": "/job/", "method": "GET"},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_hiccup_does_not_end_the_reading(sandbox, fault):
    """A copy whose start is lost may exist: another one is made, and both are dropped."""
    sandbox.settings("carto", pending_seconds=0, running_seconds=0)
    run = made(sandbox, "carto_default")
    sandbox.fault(system="carto", **fault)
    assert CartoHook("carto_default").read_output(run).read_all().num_rows == ROWS
    assert sandbox.faults()[0]["fired"] == 1
    assert len(left(sandbox)) == 1


def test_a_reading_that_fails_leaves_no_copy(sandbox):
    """The rows of a range are refused for good."""
    sandbox.settings("carto", pending_seconds=0, running_seconds=0)
    run = made(sandbox, "carto_default")
    sandbox.fault(system="carto", kind="status", status=400, path="/query", after=3, body={"error": "no"})
    with pytest.raises(RequestRejected, match="no"):
        CartoHook("carto_default").read_output(run)
    assert len(left(sandbox)) == 1


def test_a_copy_that_cannot_be_dropped_is_named_in_the_log(sandbox, caplog, capsys):
    sandbox.settings("carto", pending_seconds=0, running_seconds=0)
    run = made(sandbox, "carto_default")
    sandbox.fault(system="carto", kind="status", status=403, path="/job$", method="POST", after=1, body={"error": "no"})
    with caplog.at_level("WARNING"):
        assert CartoHook("carto_default").read_output(run).read_all().num_rows == ROWS
    assert "could not be dropped; drop it by hand" in caplog.text + capsys.readouterr().out
    assert len(left(sandbox)) == 2


def test_a_copy_that_fails_says_why(sandbox):
    run = made(sandbox, "carto_default")
    cursor = sandbox.app.systems["carto"].api.warehouse.database.cursor()
    cursor.execute('ALTER TABLE "carto-dw-ac-sandbox".large.t_out_0123456789abcdef RENAME TO gone')
    with pytest.raises(OutputUnavailable, match="does not exist any more"):
        CartoHook("carto_default").read_output(run)


def answering(value):
    """A flow that asks for nothing."""
    return value
    yield


def played(flow):
    """Drive a flow to its end, with what it wants done at its end; give the notes."""
    notes, ends = [], []
    try:
        for effect in flow:
            if isinstance(effect, Note):
                notes.append(effect.text)
            if isinstance(effect, AtEnd):
                ends.append(effect.make)
    finally:
        for end in ends:
            notes += played(end())
    return notes


def jobs_that(end, said, started):
    """Jobs whose statements all end like this."""
    return staged.Jobs(
        lambda statement: started.append(statement) or answering("job"),
        lambda job: answering((end, said)),
        lambda job: answering(None),
    )


def test_a_table_that_has_the_name_of_the_copy_already_is_not_dropped():
    started = []
    jobs = jobs_that(RunState.FAILED, 'relation "t_read_0" already exists', started)
    with pytest.raises(OutputUnavailable, match="already exists"):
        played(staged.pages("public.t", "postgres", lambda text: answering({"rows": [{"n": 10**6}]}), jobs))
    assert len(started) == 1
    assert started[0].startswith("CREATE TABLE")


def test_a_table_whose_drop_does_not_end_is_not_taken_for_dropped():
    with pytest.raises(OutputUnavailable, match="has not ended after 88 seconds"):
        played(staged.dropped("t", "DROP TABLE t", jobs_that(RunState.RUNNING, "", [])))


@pytest.mark.parametrize("name", ["t" * 63, "é" * 31 + "x", "表" * 21])
def test_the_name_of_a_copy_is_not_cut_by_the_database(name):
    """PostgreSQL cuts names at 63 bytes; cut, the name could be that of the table itself."""
    made = sql.beside(f'public."{name}"', "postgres", "_read_0123abcd")
    kept = made.rpartition(".")[2].strip('"')
    assert len(kept.encode()) <= 63
    assert kept.endswith("_read_0123abcd")

"""A retry after our own commit does not load again, a clear does; whatever kills a try, the table is whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.sql.load_log import LoadLog, find_logs
from airflow_workflow_provider.transfers.sql.names import parse_table
from airflow_workflow_provider.transfers.sql.session import session, sql_hook
from tests.transfers.conftest import Task, context, opened
from tests.transfers.files import Log, csv_outputs, loading
from tests.transfers.test_sql_modes import COLUMNS, content, load

MODES = ["fail", "append", "replace", "upsert", "replace_where"]
HOW = {"key_columns": ["id"], "where": "id > 0"}


@pytest.mark.parametrize("if_exists", MODES)
def test_a_retry_after_a_commit_returns_what_was_done(tables, database, if_exists):
    run = tables.put("out", COLUMNS, [1, "a"], [2, "b"])
    first = load(database, run, Task(), if_exists=if_exists, **HOW)
    tables.asked.clear()
    retry = Task(try_number=2)
    assert load(database, run, retry, if_exists=if_exists, **HOW) == first == retry.pushed
    assert content(database) == [(1, "a"), (2, "b")]
    assert not tables.asked, "nothing is read again"


def test_a_retry_after_a_failure_loads(tables, database):
    run = tables.put("out", COLUMNS, [1, "a"])
    tables.claimed["out"] = 2
    with pytest.raises(Exception, match="2 rows, but 1 came"):
        load(database, run, Task(), if_exists="fail")
    tables.claimed.clear()
    load(database, run, Task(try_number=2), if_exists="fail")
    assert content(database) == [(1, "a")]


def test_a_clear_loads_again(tables, database):
    """A clear raises max_tries, a retry does not."""
    run = tables.put("out", COLUMNS, [1, "a"])
    load(database, run, Task())
    load(database, run, Task(try_number=2, max_tries=3))
    load(database, run, Task(try_number=3, max_tries=3))
    assert content(database) == [(1, "a"), (1, "a")]
    with pytest.raises(InvalidArgument, match="exists already"):
        load(database, run, Task(try_number=4, max_tries=5), if_exists="fail")


@pytest.mark.parametrize("other", [{"dag_id": "e"}, {"run_id": "m2"}, {"task_id": "b"}, {"map_index": 0}])
def test_another_task_is_another_load(tables, sqlite, other):
    run = tables.put("out", COLUMNS, [1, "a"])
    load(sqlite, run, Task())
    load(sqlite, run, replace(Task(try_number=2), **other))
    assert len(content(sqlite)) == 2


def test_a_first_try_always_loads(tables, sqlite):
    """A DAG run that was deleted and made again has the same ids."""
    run = tables.put("out", COLUMNS, [1, "a"])
    load(sqlite, run, Task())
    load(sqlite, run, Task())
    assert len(content(sqlite)) == 2
    assert sqlite.rows("SELECT COUNT(*) FROM airflow_workflow_loads") == [(1,)]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["the retry is late", "the first try is late"])
def test_two_tries_that_live_at_once_load_once(database, order):
    """A try that lost its heartbeat goes on beside its retry: both have looked before either of them commits."""
    outputs = csv_outputs("id,name\n1,a\n")
    loads = {number: loading(database, Task(try_number=number))[0] for number in (1, 2)}
    assert [load.earlier() for load in loads.values()] == [None, None]
    early, late = (loads[number] for number in order)
    result = early.run(outputs)
    if order == (1, 2):  # the retry looks again when it has the lock
        assert late.run(outputs) == result
    else:
        with pytest.raises(WorkflowError, match=r"(?s)another try of this task has committed.*nothing was changed"):
            late.run(outputs)
    assert content(database) == [(1, "a")]
    assert loading(database, Task(try_number=3))[0].earlier() == result


def test_two_tries_at_the_same_moment_break_on_the_key_of_the_ledger(database):
    """Where a transaction does not see what others have committed since it began."""
    if database.name == "sqlite":
        pytest.skip("SQLite: a transaction begins when the other one has ended")
    hook, attempt = sql_hook(database.conn_id), Attempt.of(context(Task()))
    with session(hook) as one, session(hook) as two:
        logs = find_logs(one, one.resolve(parse_table("target", one.dialect)), Log())
        one.begin()
        two.begin()
        late = LoadLog(two, logs, attempt)
        LoadLog(one, logs, attempt).note(1, {"rows": 1})
        one.commit()
        with pytest.raises(Exception, match=r"(?i)another try|duplicate|conflict"):
            late.note(2, {"rows": 2})
        two.undo()
    assert database.rows("SELECT row_count FROM airflow_workflow_loads") == [(1,)]


def test_old_notes_are_let_go(tables, database):
    load(database, tables.put("out", COLUMNS, [1, "a"]), Task(run_id="long ago"))
    database.run("UPDATE airflow_workflow_loads SET loaded_at = '2020-01-01T00:00:00+00:00'")
    load(database, tables.put("out", COLUMNS, [1, "a"]), Task())
    assert database.rows("SELECT row_count FROM airflow_workflow_loads") == [(1,)]


def test_a_database_that_refuses_the_ledger_is_loaded_all_the_same(tables, postgres, caplog, capsys):
    """A user who may write to the table and make no other; a view in its place is as good as no right."""
    postgres.run(
        "CREATE TABLE target (id BIGINT, name TEXT)",
        "DROP ROLE IF EXISTS loader",
        "CREATE ROLE loader LOGIN",
        "GRANT USAGE ON SCHEMA public TO loader",
        "GRANT ALL ON target TO loader",
    )
    allowed = replace(postgres, connection={**postgres.connection, "login": "loader"})
    allowed.export()
    load(allowed, tables.put("out", COLUMNS, [1, "a"]))
    logged = caplog.text + capsys.readouterr().out  # Airflow 2 and 3
    assert re.search(r"No load log can be used.*permission denied", logged)
    assert content(allowed) == [(1, "a")]
    postgres.export()
    postgres.run("DROP OWNED BY loader")


def test_an_empty_table_that_a_killed_try_made_is_its_own(tables, servers, tmp_path, monkeypatch):
    """Where making a table commits, the try notes first that it will make one."""
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    run = tables.put("out", COLUMNS, [1, "a"])
    load(database, run, Task(), if_exists="fail")
    database.run("DELETE FROM target", "UPDATE airflow_workflow_loads SET row_count = -1")
    assert load(database, run, Task(try_number=2), if_exists="fail")["rows"] == 1
    assert content(database) == [(1, "a")]


KILLED = """
import json, os, sys
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.resolve import resolve_outputs, run_keys
from airflow_workflow_provider.transfers.sql.load import SqlLoad
from airflow_workflow_provider.transfers.sql.modes import Mode
from airflow_workflow_provider.transfers.sql.session import sql_hook
from tests.transfers.conftest import Task, context

class KillingLog:
    def info(self, text, *values):
        if (text % values).startswith(sys.argv[1]):
            os.kill(os.getpid(), 9)
    warning = info

run, if_exists = json.loads(sys.argv[2]), sys.argv[3]
log = KillingLog()
load = SqlLoad(sql_hook("warehouse"), "warehouse", "target", Mode.of(if_exists, None, None), None, None,
               Attempt.of(context(Task()), ["warehouse", "target"], [run_keys(run), None]), log)
assert load.earlier() is None
load.run(resolve_outputs(run, conn_id=None, output_name=None, on_missing_output="fail", log=log))
"""


@pytest.mark.system
@pytest.mark.parametrize(
    ("kind", "if_exists", "line"),
    [
        ("sqlite", "append", "Wrote 20,000 rows"),
        ("postgres", "fail", "Committing 20,000 rows"),
        ("postgres", "append", "Wrote 20,000 rows"),
        ("mariadb", "fail", "Wrote 20,000 rows"),
    ],
)
def test_a_try_that_is_killed_leaves_all_or_nothing(tables, kind, servers, tmp_path, monkeypatch, line, if_exists):
    """With SIGKILL, between COPY and commit or right after it; the retry leaves exactly one copy."""
    database = opened(kind, servers, tmp_path, monkeypatch)
    run = tables.put("out", COLUMNS, *([k, f"row {k}"] for k in range(20_000)))
    command = [sys.executable, "-W", "ignore", "-c", KILLED, line, json.dumps(run.to_json()), if_exists]
    killed = subprocess.run(command, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    committed = line.startswith("Wrote")
    assert database.has("target") == committed
    tables.asked.clear()
    assert load(database, run, Task(try_number=2), if_exists=if_exists)["rows"] == 20_000
    assert database.rows("SELECT COUNT(*), COUNT(DISTINCT id) FROM target") == [(20_000, 20_000)]
    assert bool(tables.asked) != committed


def test_a_commit_that_fails_is_not_taken_for_one(tables, postgres):
    """The rule is checked at the commit; nobody can tell here whether it went through, the retry can."""
    postgres.run(
        "CREATE TABLE target (id BIGINT, name TEXT)",
        "CREATE FUNCTION refuse() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''too late''; END' LANGUAGE plpgsql",
        "CREATE CONSTRAINT TRIGGER refusing AFTER INSERT ON target DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    run = tables.put("out", COLUMNS, [1, "a"])
    with pytest.raises(WorkflowError, match=r"(?s)too late.*whether the rows were committed is not known"):
        load(postgres, run)
    assert content(postgres) == []
    postgres.run("DROP TRIGGER refusing ON target")
    load(postgres, run, Task(try_number=2))
    assert content(postgres) == [(1, "a")]


def test_a_connection_that_drops_takes_all_back(tables, postgres):
    """The server ends it in the midst of the rows; the retry loads."""
    postgres.run(
        "CREATE TABLE target (id BIGINT, name TEXT)",
        "INSERT INTO target VALUES (-1, 'old')",
        "CREATE FUNCTION drop_it() RETURNS trigger AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END' LANGUAGE plpgsql",
        "CREATE TRIGGER dropping BEFORE INSERT ON target FOR EACH ROW WHEN (NEW.id = 15000) EXECUTE FUNCTION drop_it()",
    )
    run = tables.put("out", COLUMNS, *([k, "new"] for k in range(20_000)))
    with pytest.raises(WorkflowError, match=r"table 'target' \(connection 'warehouse'\); nothing was changed"):
        load(postgres, run, if_exists="replace")
    assert content(postgres) == [(-1, "old")]
    postgres.run("DROP TRIGGER dropping ON target")
    assert load(postgres, run, Task(try_number=2), if_exists="replace")["rows"] == 20_000

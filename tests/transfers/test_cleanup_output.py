"""The workflow's own output table is dropped after a load that has succeeded, and no other table is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.protocol.model import Output
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from tests.operators.staging import TaskInstance, context_of


@pytest.fixture(params=["carto_default", "carto_snowflake"])
def run(request, sandbox, tmp_path, monkeypatch):
    """A run of a real workflow that has succeeded, and a database to load into."""
    sandbox.settings("carto", pending_seconds=0, running_seconds=0, repeat_output_table=True)
    target = {"conn_type": "sqlite", "host": str(tmp_path / "w.db")}
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps(target))
    hook = CartoHook(request.param)
    found = [one for one in sandbox.app.systems["carto"].describe() if one.conn_id == request.param]
    workflow = found[0]
    return hook.wait_for_run(hook.start_run(workflow.workflow, workflow.parameters), poll_interval=0.02)


def exists(sandbox, table):
    """Whether the sandbox has the table."""
    cursor = sandbox.app.systems["carto"].api.warehouse.database.cursor()
    query = "SELECT 1 FROM duckdb_tables() WHERE lower(concat_ws('.', database_name, schema_name, table_name)) = ?"
    return cursor.execute(query, [table.lower()]).fetchone() is not None


def load(run, try_number=1, **options):
    """Load the output."""
    operator = WorkflowOutputToSqlOperator(
        task_id="land", run=run, sql_conn_id="target", table="t", if_exists="append", cleanup_output=True, **options
    )
    return operator.execute(context_of(TaskInstance(task_id="land", try_number=try_number)))


def test_the_table_is_dropped_after_the_load(sandbox, run):
    """A retry after the commit does so too, and does not load again."""
    assert exists(sandbox, run.output_location)
    result = load(run)
    assert not exists(sandbox, run.output_location)
    assert load(run, try_number=2) == result


def test_a_load_that_fails_keeps_the_table(sandbox, run):
    with pytest.raises(WorkflowError, match="min_rows"):
        load(run, expect={"min_rows": 10**9})
    assert exists(sandbox, run.output_location)


def test_a_table_that_is_not_the_runs_own_stays(sandbox, run):
    """A run object may come from anybody: the job's own answer, and the form of the name, decide."""
    database, schema, _ = run.output_location.split(".")
    cursor = sandbox.app.systems["carto"].api.warehouse.database.cursor()
    for name, is_repeated in (
        ("precious", True),
        ("wfproc_other_out_0123456789abcdef", True),
        ("wfproc_next_out_0123456789abcdef", False),
    ):
        sandbox.settings("carto", repeat_output_table=is_repeated)
        cursor.execute(f'CREATE TABLE "{database}"."{schema}"."{name}" AS SELECT 1 AS a')
        location = f"{database}.{schema}.{name}"
        forged = replace(run, outputs=(Output(name, "table", location, ("jsonl",)),))
        load(forged, on_new_column="add")
        assert exists(sandbox, location)


def test_a_table_that_cannot_be_dropped_is_a_warning(sandbox, run):
    """The rows are committed."""
    sandbox.fault(system="carto", kind="status", status=403, path="/job$", method="POST")
    assert load(run)["rows"] > 0
    assert exists(sandbox, run.output_location)


def test_a_system_without_tables_is_refused_before_the_load(sandbox, run):
    other = replace(run, system="stevesie", conn_id="stevesie_default", run_id="1", outputs=())
    with pytest.raises(InvalidArgument, match=r"cleanup_output: .*no API call that drops an output"):
        load(replace(other, outputs=(Output("a", "file", "", ("csv",)),)))

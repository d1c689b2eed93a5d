"""Which outputs of which runs a transfer moves."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.protocol.model import Run, RunState
from airflow_workflow_provider.transfers.progress import Progress
from airflow_workflow_provider.transfers.resolve import resolve_outputs
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from tests.transfers.conftest import Task
from tests.transfers.tables import run_with
from tests.transfers.test_sql_modes import load

COLUMNS = {"id": "number", "name": "string"}


class Lazy(Sequence):
    """The XComs of a mapped task, fetched one by one."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.mark.parametrize(
    "given",
    [
        lambda run: run,
        lambda run: run.to_json(),
        lambda run: json.dumps(run.to_json()),
        lambda run: [run.to_json()],
        lambda run: json.dumps([run.to_json()]),
        lambda run: Lazy([run.to_json(), None]),
        lambda run: (each for each in [run]),
    ],
    ids=["Run", "object", "text", "list", "text of a list", "lazy", "generator"],
)
def test_a_run_is_given_as_it_comes(tables, sqlite, given):
    run = tables.put("out", COLUMNS, [1, "a"])
    assert load(sqlite, given(run))["rows"] == 1


def test_several_runs_go_into_one_table_united_by_column_name(tables, database):
    one = tables.put("one", {"id": "number", "name": "string"}, [1, "a"])
    two = tables.put("two", {"extra": "number", "id": "number"}, [0.5, 2**60])
    none = tables.put("none", {"id": "number"})
    assert load(database, Lazy([one.to_json(), two.to_json(), none.to_json()]))["rows"] == 2
    assert database.rows("SELECT id, name, extra FROM target ORDER BY id") == [(1, "a", None), (2**60, None, 0.5)]


def test_several_tables_in_one_transaction(tables, database):
    """``{run_id}``, ``{output}`` and ``{index}`` name them; one that fails takes all back."""
    tables.put("first-1", COLUMNS, [1, "1"])
    tables.put("second", COLUMNS, [2, "2"])
    run = run_with("first-1", "second", run_id="bq:job.7")
    result = load(database, run, table="t_{output}_{index}_{run_id}", output_name="*")
    assert result["table"] == ["t_first_1_0_bq_job_7", "t_second_1_bq_job_7"]
    assert result["rows"] == 2
    assert database.rows("SELECT id FROM t_second_1_bq_job_7") == [(2,)]
    tables.put("second", COLUMNS, [2, "two"])
    with pytest.raises(OutputUnavailable, match="output 'second': column 'name', row 1"):
        load(database, run, table="u_{output}", output_name="*", column_types={"name": "int64"})
    assert not database.has("u_first_1")


@pytest.mark.parametrize("if_exists", ["append", "replace"])
def test_names_that_are_one_table_in_the_database_are_refused(tables, database, if_exists):
    """The second one would take the rows of the first for old ones."""
    for name in ("Report", "report"):
        tables.put(name, COLUMNS, [1, name])
    options = {"output_name": "*", "if_exists": if_exists}
    with pytest.raises(InvalidArgument, match=r"'t_Report' and 't_report' may be one table.*\{index\}"):
        load(database, run_with("Report", "report"), table="t_{output}", **options)
    assert not database.has("t_report")
    load(database, run_with("Report", "report"), table="t_{output}_{index}", **options)
    assert database.rows("SELECT name FROM t_Report_0") == [("Report",)]


def test_names_in_quotes_are_two_tables_where_the_database_sees_case(tables, postgres):
    for name in ("Report", "report"):
        tables.put(name, COLUMNS, [1, name])
    load(postgres, run_with("Report", "report"), table='"t_{output}"', output_name="*")
    assert postgres.rows('SELECT name FROM "t_Report"') == [("Report",)]
    assert postgres.rows("SELECT name FROM t_report") == [("report",)]


def test_several_tables_of_which_one_refuses_are_all_as_before(tables, database):
    tables.put("a", COLUMNS, [1, "1"])
    tables.put("b", {"id": "number"}, [2])
    database.run("CREATE TABLE t_a (id BIGINT, name VARCHAR(9))")
    load(database, run_with("b"), table="t_b")
    database.run("CREATE UNIQUE INDEX rule ON t_b (id)")
    with pytest.raises(Exception, match="nothing was changed"):
        load(database, run_with("a", "b"), table="t_{output}", output_name="*")
    assert database.rows("SELECT COUNT(*) FROM t_a") == [(0,)]


@pytest.mark.parametrize(("name", "expected"), [("b", 2), (1, 2), ("0", 1), (-1, 2), ("*", None)])
def test_an_output_is_named_or_counted(tables, sqlite, name, expected):
    tables.put("a", COLUMNS, [1, "a"])
    tables.put("b", COLUMNS, [2, "b"])
    load(sqlite, run_with("a", "b"), output_name=name)
    found = [row[0] for row in sqlite.rows("SELECT id FROM target ORDER BY id")]
    assert found == ([1, 2] if expected is None else [expected])


def test_two_outputs_and_none_named(tables, sqlite):
    with pytest.raises(OutputUnavailable, match=r"has 2 outputs\. Set output_name to one of: 'a', 'b'\."):
        load(sqlite, run_with("a", "b"))


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (run_with("out", state=RunState.FAILED), "is failed"),
        (run_with("other"), "has no output 'out'"),
        (run_with(), "has no output 'out'"),
    ],
)
def test_a_missing_output_fails_or_skips(tables, sqlite, run, said):
    present = tables.put("out", COLUMNS, [1, "a"])
    with pytest.raises(OutputUnavailable, match=said):
        load(sqlite, [run, present], output_name="out")
    assert load(sqlite, [run, present], output_name="out", on_missing_output="skip")["rows"] == 1
    with pytest.raises(AirflowSkipException):
        load(sqlite, run, output_name="out", on_missing_output="skip")


def test_runs_that_upstream_skipped_are_none(tables, sqlite):
    for nothing in (None, [], [None], Lazy([None])):
        with pytest.raises(AirflowSkipException):
            load(sqlite, nothing, on_missing_output="skip")
        with pytest.raises(InvalidArgument, match="run: is empty"):
            load(sqlite, nothing)


def test_a_run_that_has_not_ended_is_looked_at_first(tables, sqlite):
    run = replace(tables.put("out", COLUMNS, [1, "a"]), state=RunState.RUNNING)
    for options in ({}, {"on_missing_output": "skip"}):
        with pytest.raises(OutputUnavailable, match="run job-out is still running"):
            load(sqlite, run, **options)
    tables.states["job-out"] = "success"
    assert load(sqlite, run)["rows"] == 1


@pytest.mark.parametrize("given", ["job-out", ["job-out"], '["job-out"]'], ids=["id", "list", "text of a list"])
def test_a_bare_id_is_looked_up_in_the_system_that_is_named(tables, sqlite, given):
    with pytest.raises(OutputUnavailable, match="run job-out is still running"):
        load(sqlite, given, system="carto", conn_id="tables_conn")


def test_another_connection_may_read(tables, sqlite, monkeypatch):
    run = replace(tables.put("out", COLUMNS, [1, "a"]), conn_id="gone")
    assert load(sqlite, run, conn_id="tables_conn")["rows"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"run": "job-1"}, "run: the bare id 'job-1'"),
        ({"run": 5}, "run: the bare id 5"),
        ({"run": '{"system"'}, "run: this is not JSON"),
        ({"on_missing_output": "ignore"}, "on_missing_output: expected"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(tables, sqlite, options, said):
    with pytest.raises(InvalidArgument, match=said):
        load(sqlite, **{"run": run_with("out"), **options})


def test_a_name_is_made_fit_for_where_it_stands(tables):
    run = run_with("p.d.out", run_id="a:b c")
    (item,) = resolve_outputs(run, conn_id=None, output_name=None, on_missing_output="fail", log=None)
    assert item.filled("{run_id}/{output}/{index}.csv", r"[^\w.=+-]") == "a_b_c/p.d.out/0.csv"
    assert item.filled("t_{output}{other}", r"\W") == "t_p_d_out{other}"


@pytest.mark.parametrize("operator", [WorkflowOutputToSqlOperator, WorkflowOutputToObjectStorageOperator])
def test_connections_and_the_run_come_first_among_the_template_fields(operator):
    names = {name for name in operator.template_fields if name.endswith("conn_id")} | {"run"}
    assert set(operator.template_fields[: len(names)]) == names
    assert "output" not in operator.template_fields


def test_what_is_not_wanted_is_not_pushed(tables, sqlite):
    task = Task()
    load(sqlite, tables.put("out", COLUMNS, [1, "a"]), task, do_xcom_push=False)
    assert task.pushed == {}


def test_progress_is_told_at_a_human_pace():
    said: list[str] = []
    clock = iter(range(0, 10_000, 3)).__next__

    class Log:
        def info(self, text, *values):
            said.append(text % values)

    progress = Progress(Log(), "Wrote", clock)
    for _ in range(20):
        progress.add(1000, 500_000)
    assert 2 <= len(said) <= 20
    assert re.fullmatch(r"Wrote [\d,]+ rows, [\d.]+ MB in [\d.]+ s \([\d,]+ rows/s\) so far", said[0])


def test_a_run_object_is_all_that_is_needed(tables, sqlite):
    """What an XCom carries has everything that reading needs."""
    run = tables.put("out", COLUMNS, [1, "a"])
    assert load(sqlite, json.loads(json.dumps(Run.from_json(run.to_json()).to_json())))["rows"] == 1

"""Options of both transfers: added columns, new and missing columns, checks, partitions, CSV options, literals."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable
from airflow_workflow_provider.transfers.arguments import check_mapped
from airflow_workflow_provider.transfers.source.parts import checked_columns
from airflow_workflow_provider.transfers.sql.checks import Expect, ExpectationFailed
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from tests.transfers.conftest import Store, Task, context
from tests.transfers.files import csv_outputs, land

COLUMNS = {"id": "number", "name": "string", "day": "string"}


def load(database, run, task=None, **options):
    """Load a run as the operator does."""
    options = {"table": "target", "if_exists": "append", **options}
    operator = WorkflowOutputToSqlOperator(task_id="land", run=run, sql_conn_id=database.conn_id, **options)
    return operator.execute(context(task))


def keep(run, path, task=None, store=None, **options):
    """Write a run as the operator does."""
    operator = WorkflowOutputToObjectStorageOperator(task_id="keep", run=run, path=str(path), **options)
    return operator.execute(context(task, store))


def test_rows_say_where_they_came_from(database):
    """Facts are of each run, literals of the author; 007 stays text."""
    added = {"run": "{run_id}", "what": "{output} of {workflow}", "state": "state", "n": 7, "code": "007", "none": None}
    land(database, csv_outputs("id\n1\n", "id\n2\n"), if_exists="fail", add_columns=added)
    rows = database.rows("SELECT id, run, what, state, n, code, none FROM target ORDER BY id")
    assert rows == [
        (1, "job-0", "out0 of p.d.wf", "succeeded", 7, "007", None),
        (2, "job-1", "out1 of p.d.wf", "succeeded", 7, "007", None),
    ]


@pytest.mark.parametrize(
    ("add_columns", "said"),
    [
        (["nope"], "'nope' is no fact of a run; known are run_id"),
        ("run_id", "expected a mapping from column to value, or a list of facts"),
        ({"x": [1]}, r"add_columns\['x'\]: expected text, a number"),
        ({"": 1}, "a column has no name"),
        ({"x": "\ud800"}, "holds half a surrogate pair"),
        ({"\ud800": 1}, "holds half a surrogate pair"),
    ],
)
def test_an_added_column_that_makes_no_sense_is_named(add_columns, said):
    with pytest.raises(InvalidArgument, match=said):
        checked_columns(add_columns)


def test_an_added_column_never_hides_one_of_the_output(sqlite):
    with pytest.raises(InvalidArgument, match="the output has a column 'id' of its own"):
        land(sqlite, csv_outputs("id\n1\n"), add_columns={"id": 2})
    with pytest.raises(InvalidArgument, match="does not hold the parameter 'state'; give its value with a template"):
        land(sqlite, csv_outputs("id\n1\n"), add_columns={"x": "{parameters.state}"})
    assert not sqlite.has("target")


def test_a_moment_is_utc(postgres):
    added = {"at": datetime(2026, 1, 2, 3, tzinfo=UTC), "naive": datetime(2026, 1, 2, 3)}  # noqa: DTZ001 (naive is UTC)
    land(postgres, csv_outputs("id\n1\n"), add_columns=added)
    assert postgres.rows("SELECT at = naive, at = '2026-01-02T03:00:00Z' FROM target") == [(True, True)]


def test_columns_that_appear_or_disappear(database):
    land(database, csv_outputs("id,name\n1,a\n"))
    with pytest.raises(InvalidArgument, match="the table lacks 'more'; it has 'id', 'name'"):
        land(database, csv_outputs("id,more\n2,x\n"))
    land(database, csv_outputs("id,more\n2,x\n"), on_new_column="ignore")
    land(database, csv_outputs("id,more\n3,x\n"), on_new_column="add")
    with pytest.raises(InvalidArgument, match="on_missing_column: the output lacks 'name', 'more'"):
        land(database, csv_outputs("id\n4\n"), on_missing_column="fail")
    assert database.rows("SELECT id, name, more FROM target ORDER BY id") == [
        (1, "a", None),
        (2, None, None),
        (3, None, "x"),
    ]


VIOLATED: list[tuple[dict[str, Any], str]] = [
    ({"min_rows": 3}, "2 rows came, expected at least 3"),
    ({"max_rows": 1}, "2 rows came, expected at most 1"),
    ({"max_shrink": 0.5}, "would shrink from 5 to 2 rows, by 60%"),
    ({"columns": ["nope"]}, "the output lacks 'nope'"),
    ({"not_null": ["name"]}, "1 rows have no value in 'name'"),
    ({"unique": [["id"]]}, "1 keys come more than once, for example id=1"),
    ({"sql": "id > 1"}, "rows do not fulfil 'id > 1'"),
    ({"sql": "SELECT COUNT(*) > 9 FROM {table}"}, "which is not true"),
]


@pytest.mark.parametrize(("expect", "said"), VIOLATED, ids=[next(iter(expect)) for expect, _ in VIOLATED])
def test_a_violated_check_leaves_the_table_as_it_was(database, expect, said):
    land(database, csv_outputs("id,name\n" + "".join(f"{k},old\n" for k in range(5))))
    before = database.rows("SELECT id, name FROM target ORDER BY id")
    for number, if_exists in enumerate(("replace", "truncate")):
        with pytest.raises(ExpectationFailed, match=said) as error:
            land(
                database,
                csv_outputs("id,name\n1,a\n1,\n"),
                Task(task_id=f"t{number}"),
                if_exists=if_exists,
                expect=expect,
            )
        assert error.value.check == next(iter(expect))
        assert database.rows("SELECT id, name FROM target ORDER BY id") == before


def test_checks_that_hold_are_in_the_result(tables, sqlite):
    expect = {"min_rows": 1, "max_shrink": 0, "columns": ["id"], "not_null": "id", "unique": "id", "sql": "id < 9"}
    task = Task()
    result = load(sqlite, tables.put("out", COLUMNS, [1, "a", "d"]), task, expect=expect)
    assert [check["check"] for check in result["checks"]] == [
        "columns",
        "min_rows",
        "max_shrink",
        "not_null",
        "unique",
        "sql",
    ]
    assert task.pushed["checks"] == result["checks"]


@pytest.mark.parametrize(
    "expect", [{"rows": 1}, {"min_rows": -1}, {"max_shrink": 2}, {"columns": [1]}, "min_rows", {"sql": ""} | {"x": 1}]
)
def test_a_check_that_makes_no_sense_is_named(expect):
    with pytest.raises(InvalidArgument, match="expect"):
        Expect.of(expect)


def test_partitions_are_replaced_as_a_whole(tables, tmp_path):
    """One of them, and no other; the manifest names the load's files."""
    lake = tmp_path / "lake"
    run = tables.put("out", COLUMNS, [1, "a", "2026-01-01"], [2, "b", "2026-01-02"], [3, "c", None])
    result = keep(run, lake, partition_by=["day"])
    assert result["rows"] == 3
    assert sorted(path.name for path in lake.iterdir()) == [
        "_manifests",
        "day=2026-01-01",
        "day=2026-01-02",
        "day=__HIVE_DEFAULT_PARTITION__",
    ]
    manifest = json.loads(Path(result["manifest"]).read_text())
    assert [one["path"] for one in manifest["files"]] == result["path"]
    later = tables.put("later", COLUMNS, [9, "z", "2026-01-02"])
    with pytest.raises(InvalidArgument, match=r"the partition 'day=2026-01-02' .* has files already"):
        keep(later, lake, Task(run_id="m2"), partition_by=["day"])
    keep(later, lake, Task(run_id="m2"), partition_by=["day"], overwrite=True)
    found = pyarrow.dataset.dataset(lake, partitioning="hive").to_table().sort_by("id").to_pylist()
    assert [(row["id"], row["day"]) for row in found] == [(1, "2026-01-01"), (3, None), (9, "2026-01-02")]


def test_a_retry_finds_its_partitions(tables, tmp_path):
    run = tables.put("out", COLUMNS, [1, "a", "x/y"], [2, "b", "z"])
    store = Store()
    first = keep(run, tmp_path / "lake", store=store, partition_by=["day"], format="csv")
    tables.asked.clear()
    assert keep(run, tmp_path / "lake", Task(try_number=2), store, partition_by=["day"], format="csv") == first
    assert tables.asked == []
    assert len(list((tmp_path / "lake").rglob("*.csv"))) == 2
    assert "day=x%2Fy" in first["path"][0]


def test_files_take_columns_types_and_added_columns(tables, tmp_path):
    run = tables.put("out", COLUMNS, [1, "a", "d"])
    result = keep(
        run,
        tmp_path / "out.csv",
        format="csv",
        columns={"id": "key"},
        column_types={"id": "decimal128(5, 2)"},
        add_columns=["run_id"],
    )
    assert (tmp_path / "out.csv").read_text() == '"key","run_id"\n1.00,"job-out"\n'
    assert result["rows"] == 1
    with pytest.raises(InvalidArgument, match="format: 'raw' keeps the bytes"):
        keep(run, tmp_path / "raw", format="raw", columns=["id"])


def test_csv_options_reach_the_reader(sqlite, tmp_path):
    from airflow_workflow_provider.outputs.csv_options import CsvOptions

    options = CsvOptions.parse({"delimiter": ";", "decimal": ","})
    for _ in range(2):  # a table that is made, and one that exists
        land(sqlite, csv_outputs("a;b\n10,75;x\n"), csv_options=options)
    assert sqlite.rows("SELECT a, b FROM target") == [(10.75, "x")] * 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"if_exists": "overwrite"}, "if_exists: expected one of"),
        ({"if_exists": "upsert"}, "key_columns: if_exists='upsert' needs"),
        ({"if_exists": "replace_where"}, "where: if_exists='replace_where' needs"),
        ({"table": "SELECT 1"}, "is a statement, not a name"),
        ({"load_method": "fast"}, "load_method: expected one of"),
        ({"on_new_column": "drop"}, "on_new_column: expected one of"),
        ({"on_missing_output": "ignore"}, "on_missing_output: expected one of"),
        ({"csv_options": {"delimitr": ";"}}, "unknown key 'delimitr'"),
    ],
)
def test_a_literal_that_is_wrong_fails_when_the_dag_is_parsed(options, said):
    """A template is left to the task."""
    with pytest.raises(InvalidArgument, match=said):
        WorkflowOutputToSqlOperator(task_id="land", run={}, sql_conn_id="x", **{"table": "t", **options})
    templated = dict.fromkeys(options, "{{ params.x }}")
    WorkflowOutputToSqlOperator(task_id="land", run={}, sql_conn_id="x", **{"table": "t", **templated})


def test_a_format_that_is_wrong_fails_when_the_dag_is_parsed():
    for options in ({"format": "xlsx"}, {"format": "csv", "compression": "zstd"}):
        with pytest.raises(InvalidArgument, match=r"expected one of|csv knows"):
            WorkflowOutputToObjectStorageOperator(task_id="keep", run={}, path="x", **options)


@pytest.mark.parametrize(
    ("partial", "is_refused"),
    [
        ({"table": "fixed"}, True),
        ({"table": "t_{run_id}"}, False),
        ({"table": "t_{{ ti.map_index }}"}, False),
        ({}, False),
    ],
)
def test_mapped_tasks_do_not_replace_each_other(partial, is_refused):
    """Where the DAG gives all of them one table; a table that is mapped too is another one for each."""
    operator = WorkflowOutputToSqlOperator(task_id="land", run={}, sql_conn_id="x", table="fixed", if_exists="replace")
    mapped = type("Mapped", (), {"partial_kwargs": partial})()
    seen = type(
        "Seen", (), {"if_exists": "replace", "task_id": "land", "dag": type("D", (), {"task_dict": {"land": mapped}})()}
    )()
    if is_refused:
        with pytest.raises(InvalidArgument, match="each mapped task would replace"):
            check_mapped(seen, context(Task(map_index=0)))
    else:
        check_mapped(seen, context(Task(map_index=0)))
    check_mapped(operator, context(Task()))


def test_an_output_that_is_gone_when_it_is_read_is_left_out(tables, sqlite):
    """A CARTO table that was dropped; the other runs are loaded, and a task with nothing left is skipped."""
    from airflow.providers.common.compat.sdk import AirflowSkipException

    here = tables.put("p.d.here", COLUMNS, [1, "a", "d"])
    gone = tables.put("p.d.gone", COLUMNS, [2, "b", "d"])
    del tables.columns["p.d.gone"]
    with pytest.raises(OutputUnavailable):
        load(sqlite, [here, gone])
    assert load(sqlite, [here, gone], on_missing_output="skip")["rows"] == 1
    with pytest.raises(AirflowSkipException):
        load(sqlite, gone, on_missing_output="skip", table="other")


def test_the_words_of_another_error_do_not_leave_an_output_out(sqlite):
    """An output that cannot be read is an error, also where the reason says that something does not exist any more."""
    from dataclasses import replace

    for text in ("column 'x' does not exist", "the server has no result any more", "the dataset is gone"):

        def flow(text=text):
            raise OutputUnavailable(text)
            yield

        (item,) = csv_outputs("id\n1\n")
        broken = replace(item, source=replace(item.source, flow=flow), skips_missing=True)
        with pytest.raises(OutputUnavailable, match=text):
            land(sqlite, [broken], if_exists="fail")
        assert not sqlite.has("target")

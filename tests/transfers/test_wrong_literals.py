"""Wrong arguments of transfers fail while the DAG file is parsed: when they run, a run has been paid for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection
from airflow_workflow_provider.outputs.column_arguments import PLAIN
from airflow_workflow_provider.outputs.types import parse_type
from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator as File
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator as Sql

RUN = {"system": "carto", "conn_id": "carto_default", "run_id": "1", "workflow": "w", "state": "succeeded"}
BOTH = [
    ({"run": ""}, "run: is empty"),
    ({"run": " None "}, "run: is the text"),
    ({"run": True}, "run: expected a run object"),
    ({"run": ["17"]}, "run: the bare id '17' does not tell"),
    ({"run": "17"}, "run: the bare id '17' does not tell"),
    ({"run": "17", "system": "cartoo"}, "system: 'cartoo' is unknown"),
    ({"system": 5}, "system: expected text"),
    ({"conn_id": ""}, "conn_id: is empty"),
    ({"output_name": True}, "output_name: expected text"),
    ({"output_name": ""}, "output_name: is empty"),
    ({"on_missing_output": "ignore"}, "on_missing_output: expected one of"),
    ({"columns": "a,b"}, "columns: expected a list"),
    ({"columns": 5}, "columns: expected a list"),
    ({"columns": []}, "columns: is empty"),
    ({"columns": ["a", "b", "a"]}, "columns: two columns would be called 'a'"),
    ({"columns": {"a": "x", "b": "x"}}, "columns: two columns would be called 'x'"),
    ({"columns": {"a": 1}}, "columns: expected a list"),
    ({"column_types": "int64"}, "column_types: expected a mapping"),
    ({"column_types": ["int64"]}, "column_types: expected a mapping"),
    ({"column_types": {"a": "varchar"}}, "column_types\\['a'\\]: unknown type 'varchar'"),
    ({"column_types": {"a": None}}, "column_types\\['a'\\]: unknown type"),
    ({"column_types": {"a": "decimal128(99, 2)"}}, "column_types\\['a'\\]: .* is not a type"),
    ({"column_types": {"a": "decimal128(9, 2, 1)"}}, "column_types\\['a'\\]: .* is not a type"),
    ({"column_types": {"a": "timestamp[us, Mars]"}}, "column_types\\['a'\\]: .* is not a type"),
    ({"column_types": {"a": "time64[s]"}}, "column_types\\['a'\\]: .* is not a type"),
    ({"columns": ["state", "n"], "column_types": {"stat": "string"}}, "column_types: 'stat' .* mean 'state'"),
    ({"columns": {"n": "number"}, "column_types": {"z": "int64"}}, "column_types: 'z' is none of the columns"),
    ({"add_columns": "run_id"}, "add_columns: expected a mapping"),
    ({"add_columns": {1: 2}}, "add_columns: every column needs a name"),
    ({"add_columns": ["runid"]}, "add_columns: 'runid' is no fact"),
    ({"csv_options": [";"]}, "csv_options: expected a mapping"),
    ({"csv_options": {"delim": ";"}}, "csv_options: unknown key 'delim'; do you mean 'delimiter'"),
    ({"csv_options": {"delimiter": ";;"}}, "csv_options\\['delimiter'\\]: expected one ASCII character"),
    ({"csv_options": {"skip_rows": -1}}, "csv_options\\['skip_rows'\\]: "),
]
SQL = [
    ({"sql_conn_id": ""}, "sql_conn_id: is empty"),
    ({"sql_conn_id": None}, "sql_conn_id: is missing"),
    ({"table": None}, "table: is missing"),
    ({"table": 5}, "table: expected text"),
    ({"if_exists": "overwrite"}, "if_exists: expected one of"),
    ({"if_exists": "upsert"}, "key_columns: if_exists='upsert' needs"),
    ({"if_exists": "upsert", "key_columns": [1]}, "key_columns: expected a list"),
    ({"if_exists": "upsert", "key_columns": ["a", "a"]}, "key_columns: expected a list of different"),
    ({"if_exists": "upsert", "key_columns": {"a": 1}}, "key_columns: expected a list"),
    ({"if_exists": "upsert", "key_columns": 5}, "key_columns: expected a list"),
    ({"if_exists": "upsert", "key_columns": "id", "columns": ["a"]}, "key_columns: 'id' is none of the columns"),
    ({"if_exists": "replace_where"}, "where: if_exists='replace_where' needs"),
    ({"if_exists": "replace_where", "where": 5}, "where: expected a SQL condition"),
    ({"expect": "min_rows"}, "expect: expected a mapping"),
    ({"expect": {"minrows": 1}}, "expect: there is no check 'minrows'"),
    ({"expect": {"min_rows": 5, "max_rows": 1}}, "expect: min_rows is 5 and max_rows is 1"),
    ({"expect": {"max_shrink": 50}}, "expect\\['max_shrink'\\]: expected a share"),
    ({"expect": {"not_null": 5}}, "expect\\['not_null'\\]: expected a text"),
    ({"expect": {"sql": ""}}, "expect\\['sql'\\]: expected a text"),
    ({"load_method": "fast"}, "load_method: expected one of"),
    ({"on_new_column": "drop"}, "on_new_column: expected one of"),
    ({"lock_timeout": "10 minutes"}, "lock_timeout: expected a number"),
    ({"cleanup_output": "no"}, "cleanup_output: expected True or False"),
]
FILE = [
    ({"path": ""}, "path: is empty"),
    ({"path": 5}, "path: expected text"),
    ({"path": "s3:/bucket/x.csv"}, "path: .* do you mean 's3://bucket/x.csv'"),
    ({"path": "s3://bucket/folder/"}, "path: .* is a folder; give the name of a file"),
    ({"storage_conn_id": ""}, "storage_conn_id: is empty"),
    ({"format": "xlsx"}, "format: expected one of"),
    ({"format": "csv", "compression": "zip"}, "compression: csv knows"),
    ({"format": "raw", "columns": ["a"]}, "format: 'raw' keeps the bytes"),
    ({"overwrite": "yes"}, "overwrite: expected True or False"),
    ({"partition_by": 5}, "partition_by: expected a list"),
    ({"partition_by": {"day": 1}}, "partition_by: expected a list"),
    ({"partition_by": ["day", "day"]}, "partition_by: expected a list of different"),
    ({"partition_by": ["day"], "columns": ["days", "n"]}, "partition_by: 'day' .* mean 'days'"),
]
CASES = [*((Sql, *case) for case in BOTH + SQL), *((File, *case) for case in BOTH + FILE)]


def made(operator, **changes):
    """Make a transfer that is right but for these arguments."""
    where = {"sql_conn_id": "s", "table": "t"} if operator is Sql else {"path": "/tmp/{output}.parquet"}
    return operator(**{"task_id": "t", "run": RUN, **where, **changes})


@pytest.mark.parametrize(("operator", "arguments", "said"), CASES)
def test_a_wrong_literal_is_refused_where_the_dag_is_written(operator, arguments, said):
    with pytest.raises((InvalidArgument, InvalidConnection), match=f"^{said}"):
        made(operator, **arguments)


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        *(
            (operator, {"run": run})
            for operator in (Sql, File)
            for run in ("{{ ti.x }}", [RUN, None], '{"a": "{{ b }}"}')
        ),
        (Sql, {"run": [], "on_missing_output": "skip"}),
        (Sql, {"run": "17", "system": "carto", "output_name": -1}),
        (Sql, {"columns": "{{ params.columns }}", "column_types": {"a": "int64"}}),
        (
            Sql,
            {"columns": '["a"]', "column_types": '{"a": "int64"}', "expect": '{"min_rows": 1}', "key_columns": '["a"]'},
        ),
        (Sql, {"columns": {"a": "b"}, "column_types": {"a": "int64"}, "if_exists": "upsert", "key_columns": "b"}),
        (Sql, {"columns": ["a"], "add_columns": ["run_id"], "column_types": {"run_id": "string"}}),
        (Sql, {"columns": ["", "a"], "column_types": {"": "int64"}}),
        (File, {"path": "s3://bucket/folder/", "partition_by": "day"}),
        (File, {"path": "file:/tmp/x.csv", "format": "csv"}),
        (File, {"columns": ["n"], "add_columns": {"day": "{started_at}"}, "partition_by": ["day"]}),
    ],
)
def test_what_may_be_right_is_left_to_the_task(operator, arguments):
    made(operator, **arguments)


@pytest.mark.parametrize("name", [*PLAIN, "decimal(5)", "numeric(12, 2)", "timestamp[ms]", "time32[s]", "Int64"])
def test_each_name_of_a_type_has_an_arrow_type(name):
    assert isinstance(parse_type(name, "a"), pa.DataType)

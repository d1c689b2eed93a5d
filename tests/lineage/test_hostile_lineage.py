"""Lineage of runs and files whose names and messages come from a server, or from whoever wrote a run object."""

from __future__ import annotations

import json

import pytest

from airflow_workflow_provider.lineage.databases import named_tables
from airflow_workflow_provider.lineage.facets import MOST_COLUMNS, of_run, of_transfer
from airflow_workflow_provider.lineage.naming import LONGEST, name_of
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.protocol.text import clean_value

OUTPUT = Output("o", "table", "p.d.t")
URI = "bigquery://p/d/t"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://key:secret-word@bucket/a/b", ("s3://bucket", "a/b")),
        ("s3://aws_default@bucket/a", ("s3://bucket", "a")),
        ("https://user:secret-word@files.example/a?sig=secret-word#x", ("https://files.example", "a")),
        ("postgres://user:secret-word@db:5432/d/s/t", ("postgres://db:5432", "d.s.t")),
        ("abfss://container@account.dfs.core.windows.net/p", ("abfss://container@account.dfs.core.windows.net", "p")),
        ("snowflake://secret-word@[x/a", ("unknown", "snowflake://[x/a")),
        ("https://[x?sig=secret-word", ("unknown", "https://[x")),
    ],
)
def test_a_name_holds_no_user_no_password_and_no_query(uri, name):
    assert name_of(uri) == name


def test_names_are_clean_and_have_a_length():
    namespace, name = name_of("s3://bucket/a%00%0D%1B" + "x" * 1_000_000)
    assert namespace == "s3://bucket"
    assert len(name) == LONGEST
    assert clean_value(name) == name


@pytest.mark.parametrize("rows", ["ab", 5, {"ab": 1}, [1, None], [["a"]], [["a", "b", "c"]], [{"a": 1}]])
def test_columns_of_another_shape_are_left_out(rows):
    """The details of a run object can be written by anybody."""
    run = Run("carto", "c", "w", "1", RunState.SUCCEEDED, outputs=(OUTPUT,), details={"columns": {"o": rows}})
    assert not of_run(run, [(OUTPUT, URI)], [], failed=False).outputs[0].facets
    assert not of_transfer([(run, OUTPUT, URI)], [], 1, 1).inputs[0].facets


def test_the_lineage_of_a_run_is_clean_and_has_a_size(told):
    huge = [[f"c\0{number}" + "n" * 10_000, "t\ud800"] for number in range(10_000)]
    run = Run(
        "carto",
        "c",
        "w\0\ud800",
        "id\n",
        RunState.FAILED,
        message="\0\ud800" + "m" * 1_000_000,
        url="https://user:secret-word@host/run?id=7",
        outputs=(OUTPUT,),
        details={"columns": {"o": huge}},
    )
    lineage = of_run(run, [(OUTPUT, URI)], ["p\0" + "x" * 10_000] * 10_000, failed=True)
    event = told(lineage)
    assert clean_value(event) == event
    assert len(event["outputs"][0]["facets"]["schema"]["fields"]) == MOST_COLUMNS
    assert len(event["run"]["facets"]["errorMessage"]["message"]) <= 10_000
    assert "secret-word" not in json.dumps(event)


def test_a_database_of_an_unknown_kind_is_named_without_its_password():
    class Connection:
        conn_type, host, port, schema = "acme", "user:secret-word@db.example", 5, "d"

    class Hook:
        def get_connection(self, conn_id):
            return Connection

        def get_openlineage_database_info(self, connection):
            return None

    assert named_tables(Hook(), "c", "t") == [("acme://db.example:5", "d.t")]

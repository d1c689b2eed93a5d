"""What outputs are called: URIs that Airflow takes, that mean the same to other tools, and that hold no secret."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_workflow_provider.assets.places import landed, uri_of
from airflow_workflow_provider.lineage.naming import convert_asset_to_openlineage, name_of
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.provider_info import get_provider_info
from airflow_workflow_provider.systems import SYSTEMS

CARTO_URL = "https://gcp-us-east1.api.carto.com/v3/sql/dw/job/1"


def run_of(system="carto", url=CARTO_URL, workflow="w", outputs=(), **details):
    """A run that succeeded."""
    return Run(system, "c", workflow, "1", RunState.SUCCEEDED, url=url, outputs=tuple(outputs), details=details)


def table(name):
    """An output table."""
    return Output(name.rpartition(".")[2], "table", name)


def file(location, name="f.csv"):
    """An output file."""
    return Output(name, "file", location)


TABLES = [
    ("project.data_set.table", {}, {}, "bigquery://project/data_set/table"),
    ("`my-project.d.t$20260101`", {"warehouse": "BigQuery"}, {}, "bigquery://my-project/d/t%2420260101"),
    ("domain.com:project.d.t", {"warehouse": "bigquery"}, {}, "bigquery://domain.com:project/d/t"),
    ("`p`.`d`.`t`", {}, {"provider": "bigqueryOAuth"}, "bigquery://p/d/t"),
    ("DB.S.T", {"warehouse": "snowflake", "warehouse_host": "org-acc"}, {}, "snowflake://org-acc/DB/S/T"),
    ('DB."My.Schema"."T ""1"""', {"warehouse": "snowflake", "warehouse_host": "a"}, {}, None),
    ("DB.S.T", {"warehouse_host": "org-acc"}, {"provider": "snowflake"}, "snowflake://org-acc/DB/S/T"),
    (
        "d.s.t",
        {"warehouse": "postgres", "warehouse_host": "pg.example.com"},
        {},
        "postgres://pg.example.com:5432/d/s/t",
    ),
    ("d.s.t", {"warehouse": "postgres", "warehouse_host": "pg:6432"}, {}, "postgres://pg:6432/d/s/t"),
    ("d.s.t", {"warehouse": "redshift", "warehouse_host": "c.r"}, {}, "redshift://c.r:5439/d/s/t"),
]


@pytest.mark.parametrize(("name", "extra", "details", "uri"), TABLES)
def test_a_table_has_the_uri_of_its_warehouse(name, extra, details, uri):
    found = uri_of(run_of(**details), table(name), extra)
    assert found == (uri or "snowflake://a/DB/My.Schema/T%20%221%22")
    assert Asset(uri=found).uri == found


OWN = "carto://gcp-us-east1.api.carto.com/"
LACKING = [
    ("data_set.table", {}, {}, "data_set.table"),
    ("DB.S.T", {"warehouse": "snowflake"}, {}, "DB.S.T"),
    ("s.t", {"warehouse": "postgres", "warehouse_host": "h"}, {}, "s.t"),
    ("d.s.t", {"warehouse": "postgres", "warehouse_host": "user:secret@h"}, {}, "d.s.t"),
    ("d.s.t", {"warehouse": "oracle", "warehouse_host": "h"}, {}, "d.s.t"),
    ("d.s.t", {"warehouse": "snowflake"}, {"carto_connection": "my dw"}, "my%20dw/d.s.t"),
]


@pytest.mark.parametrize(("name", "extra", "details", "rest"), LACKING)
def test_a_table_of_which_a_part_is_unknown_has_a_uri_of_ours(name, extra, details, rest):
    found = uri_of(run_of(**details), table(name), extra)
    assert found == OWN + rest
    assert Asset(uri=found).uri == found


FILES = [
    ("https://u:p@host/a/b.csv?X-Amz-Signature=s#f", "https://host/a/b.csv"),
    ("https://host/webapi/v1/jobs/1/output/2/", "https://host/webapi/v1/jobs/1/output/2"),
    ("https://host/a b/ü%20.csv", "https://host/a%20b/%C3%BC%20.csv"),
    ("s3://bucket/key.csv", "s3://bucket/key.csv"),
    ("", "stevesie://host:8443/w/f.csv"),
    ("https://host", "stevesie://host:8443/w/f.csv"),
]


@pytest.mark.parametrize(("location", "uri"), FILES)
def test_a_file_has_its_address_without_anything_that_expires(location, uri):
    found = uri_of(run_of("stevesie", "https://HOST:8443/x"), file(location), {})
    assert found == uri
    assert Asset(uri=found).uri == found


def test_any_other_output_has_a_uri_of_ours_that_is_the_same_for_every_run():
    run = run_of("chorus", "https://server:443/x", "12", [Output("Row/Filter 1", "table", "https://server/results/9")])
    assert [item.uri for item in landed(run, {})] == ["chorus://server/12/Row%2FFilter%201"]


def test_a_run_whose_system_lists_no_outputs_leaves_its_workflow():
    """Another DAG can wait for it all the same; a run that merely has no outputs leaves nothing."""
    (item,) = landed(run_of("invision", "https://server/invision/x", "flow 1"), {})
    assert (item.output, item.uri) == (None, "invision://server/flow%201")
    assert landed(run_of("stevesie"), {}) == ()


def test_a_run_without_an_address_is_named_by_its_connection():
    assert uri_of(run_of("chorus", None), Output("o"), {}) == "chorus://c/w/o"


@pytest.mark.parametrize("scheme", SYSTEMS)
def test_airflow_checks_uris_of_ours(scheme):
    """Case of the server, query and slashes make no other asset; what says nothing is refused."""
    assert Asset(uri=f"{scheme}://Server:1/w//o/?token=1#2").uri == f"{scheme}://server:1/w/o"
    with pytest.raises((ValueError, UserWarning), match="must contain a workflow"):
        Asset(uri=f"{scheme}://server")
    with pytest.raises((ValueError, UserWarning), match="must contain the host"):
        Asset(uri=f"{scheme}:///w/o")


def test_airflow_is_told_of_every_scheme_of_ours():
    info = get_provider_info()
    assert info["asset-uris"] == info["dataset-uris"]
    assert [entry["schemes"] for entry in info["asset-uris"]] == [list(SYSTEMS)]


NAMES = [
    ("bigquery://domain.com:p/d/t%24x", ("bigquery", "domain.com:p.d.t$x")),
    ("snowflake://org-acc/DB/S/T", ("snowflake://org-acc", "DB.S.T")),
    ("postgres://h:5432/d/s/t", ("postgres://h:5432", "d.s.t")),
    ("redshift://c.r:5439/d/s/t", ("redshift://c.r:5439", "d.s.t")),
    ("https://host/a/b%20c.csv", ("https://host", "a/b c.csv")),
    ("s3://bucket/a/b.csv", ("s3://bucket", "a/b.csv")),
    ("file:///a/b.csv", ("file", "/a/b.csv")),
    ("carto://host/dw/a.b", ("carto://host", "dw/a.b")),
]


@pytest.mark.parametrize(("uri", "name"), NAMES)
def test_lineage_names_the_same_data_as_other_tools_do(uri, name):
    """As the naming rules of OpenLineage want it."""
    assert name_of(uri) == name
    found = convert_asset_to_openlineage(Asset(uri=uri), None)
    assert (found.namespace, found.name) == name

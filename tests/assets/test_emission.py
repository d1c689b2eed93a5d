"""Outputs become assets when, and only when, the run has succeeded; whatever hinders that never fails the task."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, Asset, AssetAlias

from airflow_workflow_provider.exceptions import InvalidArgument, RunFailed
from airflow_workflow_provider.hooks.carto import CartoHook
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.protocol.model import Output, Run, RunState
from tests.assets.collecting import emitted, new_events, parameters_of
from tests.operators.carto_stage import SLOW
from tests.operators.staging import TaskInstance, TaskStateStore, context_of, executed

ALIAS = "results"


def play(carto, mode, workflow="airports_by_state", *, events=None, ti=None, store=None, context=None, **arguments):
    """Run a CARTO workflow; give the events that its alias has received."""
    given = {
        "task_id": "run_workflow",
        "workflow": carto[workflow],
        "query_parameters": {"min_airports": 100} if workflow == "airports_by_state" else None,
        "asset_alias": ALIAS,
        "poll_interval": 0.02,
        "deferrable": mode == "deferrable",
    }
    events = new_events() if events is None else events
    whole = context_of(ti or TaskInstance(), store, outlet_events=events, **(context or {}))
    found = executed(lambda: CartoRunWorkflowOperator(**{**given, **arguments}), whole)
    return found, emitted(events, ALIAS)


def test_every_output_of_a_run_becomes_an_asset(story):
    """Of every system; the extra is JSON and says which run of which workflow with which parameters it was."""
    events = new_events()
    found = story.played(story.operator(asset_alias=ALIAS), context={**story.context, "outlet_events": events})
    told = emitted(events, ALIAS)
    names = story.case.result.names or [output["name"] for output in found["outputs"]] or [None]
    assert [extra["output"] for _, extra in told] == list(names)
    for uri, extra in told:
        assert json.loads(json.dumps(extra)) == extra
        assert Run.from_json(extra["run"]).to_json() == found
        assert extra["run_id"] == found["run_id"]
        assert parameters_of(extra) == dict(story.case.good.parameters or {})
        assert "?" not in uri
        assert Asset(uri=uri).uri == uri
    for secret in story.hook.system.secrets:
        assert secret not in repr(told)


def test_a_table_of_bigquery_is_named_as_bigquerys_own_operators_name_it(carto, mode):
    found, [(uri, _)] = play(carto, mode)
    project, dataset, table = found["output_location"].split(".")
    assert uri == f"bigquery://{project}/{dataset}/{table}"


@pytest.mark.parametrize(
    ("host", "authority"),
    [("org-account", "snowflake://org-account/"), (None, "carto://127.0.0.1:{port}/snowflake_dw/")],
)
def test_the_connection_may_say_where_the_warehouse_is(carto, mode, host, authority):
    conn_id = carto.connection("carto_snowflake", extra={"warehouse_host": host} if host else {})
    found, [(uri, _)] = play(carto, mode, "sf_airports_in_state", query_parameters=["TX"], carto_conn_id=conn_id)
    location = found["output_location"]
    rest = location.replace(".", "/") if host else location
    assert uri == authority.format(port=carto.sandbox.url.rpartition(":")[2]) + rest


def test_every_alias_among_the_outlets_receives_them(carto, mode):
    events = new_events()
    outlets = [Asset(uri="s3://bucket/other"), AssetAlias("another")]
    _, told = play(carto, mode, events=events, outlets=outlets)
    assert emitted(events, "another") == told
    assert len(told) == 1
    _, told = play(carto, mode, events=(events := new_events()), outlets=outlets, asset_alias=None)
    assert told == []
    assert len(emitted(events, "another")) == 1


def test_the_partition_that_a_dag_run_is_for_comes_along(carto, mode):
    _, [(_, extra)] = play(carto, mode, context={"partition_key": "2026-01-01"})
    assert extra["partition_key"] == "2026-01-01"
    _, [(_, extra)] = play(carto, mode)
    assert "partition_key" not in extra


def test_a_secret_parameter_is_masked(carto, mode):
    """By its name, as Airflow does it in its logs; the server gets what was given."""
    secret = {"query_parameters": {"password": "TX"}, "check_parameters": False}
    _, [(_, extra)] = play(carto, mode, "airports_in_state", **secret)
    assert parameters_of(extra) == {"password": "***"}
    assert carto.runs()[0]["parameters"] == {"password": "TX"}


@pytest.mark.parametrize(("on_failure", "error"), [("fail", RunFailed), ("skip", AirflowSkipException)])
def test_a_run_that_failed_leaves_nothing(carto, mode, on_failure, error):
    events = new_events()
    with pytest.raises(error):
        play(carto, mode, "failing", events=events, on_run_failure=on_failure)
    assert emitted(events, ALIAS) == []


def test_a_run_that_is_not_awaited_leaves_nothing(carto, mode):
    _, told = play(carto, mode, "slow", query_parameters=SLOW, wait_for_completion=False)
    assert told == []


def test_a_run_that_is_taken_over_leaves_its_outputs_once(carto, mode):
    """In the try that sees it succeed, though another try has started it."""
    ti, store = TaskInstance(max_tries=1), TaskStateStore()
    run, told = play(carto, "sync", ti=ti, store=store, wait_for_completion=False)
    assert told == []
    again, told = play(carto, mode, ti=ti.retried(), store=store)
    assert (again["run_id"], len(told)) == (run["run_id"], 1)
    assert len(carto.runs()) == 1


class Broken:
    """An Airflow that takes no events."""

    def __getitem__(self, key):
        raise RuntimeError("no events today")


@pytest.mark.parametrize("events", [Broken(), {}], ids=["broken", "without the alias"])
def test_an_emission_that_fails_is_a_warning(carto, mode, events, caplog, capfd):
    ti = TaskInstance()
    given = {"task_id": "t", "workflow": carto["airports_by_state"], "query_parameters": {"min_airports": 100}}
    make = lambda: CartoRunWorkflowOperator(  # noqa: E731  # made anew when it comes back from the triggerer
        **given, asset_alias=ALIAS, poll_interval=0.02, deferrable=mode == "deferrable"
    )
    found = executed(make, context_of(ti, outlet_events=events))
    assert found["state"] == ti.xcoms["run"]["state"] == "succeeded"
    assert "succeeded, but bigquery://" in caplog.text + "".join(capfd.readouterr())


def test_a_connection_that_is_gone_by_the_end_is_a_warning(carto, mode, monkeypatch):
    """The run has succeeded all the same; its outputs cannot be named."""
    ti, events = TaskInstance(), new_events()
    operator = CartoRunWorkflowOperator(task_id="t", workflow=carto["airports_by_state"], asset_alias=ALIAS)
    run = Run("carto", "carto_default", "w", "1", RunState.SUCCEEDED, outputs=(Output("t", "table", "a.b.c"),))
    monkeypatch.delenv("AIRFLOW_CONN_CARTO_DEFAULT")
    event = {"status": "succeeded", "run": run.to_json(), "message": ""}
    found = operator.execute_complete(context_of(ti, outlet_events=events), event)
    assert (found["state"], emitted(events, ALIAS)) == ("succeeded", [])


def test_the_rows_of_a_table_are_counted(carto, mode):
    """With one query, since the run itself does not tell them."""
    found, [(_, extra)] = play(carto, mode, "airports_in_state", query_parameters={"state": "VT"})
    assert extra["row_count"] == CartoHook().read_output(found).read_all().num_rows > 0


def test_rows_that_cannot_be_counted_are_left_out(carto, mode):
    """The token may run the workflow and not read its table: the asset comes all the same."""
    conn_id = carto.connection("carto_run_token", extra={"read_token": ""})
    _, [(_, extra)] = play(carto, mode, "airports_in_state", query_parameters={"state": "VT"}, carto_conn_id=conn_id)
    assert "row_count" not in extra


def test_the_alias_is_an_outlet_once():
    outlets = [AssetAlias(ALIAS)]
    operator = CartoRunWorkflowOperator(task_id="t", workflow="w", asset_alias=ALIAS, outlets=outlets)
    assert operator.outlets == [AssetAlias(ALIAS)]
    assert CartoRunWorkflowOperator(task_id="t", workflow="w").outlets == []
    assert "asset_alias" not in operator.template_fields


@pytest.mark.parametrize("name", ["", " ", " x", "x\n", "ü", "x" * 1501, 7, AssetAlias("x")])
def test_a_bad_name_is_an_error_in_the_dag_file(name):
    with pytest.raises(InvalidArgument, match=r"^asset_alias: "):
        CartoRunWorkflowOperator(task_id="t", workflow="w", asset_alias=name)

"""The runs behind a DAG run: from the events of watchers, and from those of our own operators."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_workflow_provider.protocol.model import Output, Run, RunState
from airflow_workflow_provider.triggers.events import triggering_runs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "triggering_asset_events" if Asset.__name__ == "Asset" else "triggering_dataset_events"


def run(number: int, **changes: Any) -> dict[str, Any]:
    """A run object."""
    output = Output("results", "file", "https://files/1", ("csv",))
    return (
        Run("stevesie", "stevesie_default", "w", str(number), RunState.SUCCEEDED, outputs=(output,)).to_json() | changes
    )


def event(extra: Any, at: float = 0.0) -> SimpleNamespace:
    """An event so many seconds after the first one."""
    return SimpleNamespace(extra=extra, timestamp=NOW + timedelta(seconds=at))


def watched(number: int, at: float = 0.0) -> SimpleNamespace:
    """The event of a watcher, as Airflow keeps it."""
    return event({"from_trigger": True, "payload": run(number)}, at)


def asset(name: str) -> Any:
    """What Airflow gives the events of an asset by: its key, or the dataset on Airflow 2.

    An asset itself cannot be the key of a dict in Airflow 3.1.
    """
    if KEY.endswith("dataset_events"):
        return Asset(f"file:///{name}")
    from airflow.sdk.definitions.asset import AssetUniqueKey

    return AssetUniqueKey(name=name, uri=f"file:///{name}")


def test_a_run_that_was_started_by_hand_has_none():
    assert triggering_runs({}) == triggering_runs({KEY: {}}) == triggering_runs({KEY: None}) == []


def test_all_runs_are_given_in_the_order_of_their_events():
    context = {KEY: {asset("a"): [watched(1, 3), watched(2, 1)], asset("b"): [watched(3, 2)]}}
    assert [one["run_id"] for one in triggering_runs(context)] == ["2", "3", "1"]
    assert triggering_runs(context)[0] == run(2)


def test_each_run_is_given_once():
    """An event repeats after a triggerer was killed at a bad moment, and an operator emits one for each output."""
    emitted = event({"run": run(1), "output": "results"}, 5)
    context = {KEY: {asset("a"): [watched(1), watched(1, 2), emitted], asset("b"): [watched(2, 1)]}}
    assert [one["run_id"] for one in triggering_runs(context)] == ["1", "2"]
    other = event({"run": run(1, conn_id="another")}, 6)
    assert len(triggering_runs({KEY: {asset("a"): [watched(1), other]}})) == 2


def test_only_the_events_of_one_asset_if_wanted():
    one, two = asset("a"), asset("b")
    context = {KEY: {one: [watched(1)], two: [watched(2)]}}
    for wanted in (two, "file:///b"):
        assert [found["run_id"] for found in triggering_runs(context, wanted)] == ["2"]
    assert triggering_runs(context, "file:///c") == []


def test_events_of_others_are_left_out():
    strange = [None, {}, {"payload": "text"}, {"payload": {"run_id": "1"}}, {"run": 5}, {"run": {"run_id": 1}}, "text"]
    context = {KEY: {asset("a"): [*(event(extra) for extra in strange), watched(1)]}}
    assert triggering_runs(context) == [run(1)]


def test_a_run_object_may_be_json_text():
    """The extra of an alias's event on Airflow 2 has to be flat."""
    context = {KEY: {asset("a"): [event({"run": json.dumps(run(1))}), event({"run": "[1]"}), event({"run": "{"})]}}
    assert triggering_runs(context) == [run(1)]


def forged(**changes: Any) -> dict[str, Any]:
    """A run object of Alteryx as anybody who may create asset events can write it."""
    outputs = (Output("x.csv", "file", "http://127.0.0.2:1/steal/x", ("csv",)),)
    url = "http://127.0.0.2:1/steal"
    return Run("alteryx", "alt", "w", "1", RunState.SUCCEEDED, url=url, outputs=outputs).to_json() | changes


def test_addresses_in_an_event_are_made_from_ids(monkeypatch):
    """A run object carries no authority: its addresses are those of the connection, or there are none."""
    host = {"conn_type": "alteryx", "host": "https://alteryx/webapi", "login": "k", "password": "secret-0123"}
    monkeypatch.setenv("AIRFLOW_CONN_ALT", json.dumps(host))
    (found,) = triggering_runs({KEY: {asset("a"): [event({"run": forged()})]}})
    assert found["outputs"][0]["location"] == "https://alteryx/webapi/v1/jobs/1/output/x"
    assert found["output_location"] == "https://alteryx/webapi/v1/jobs/1/output/x"
    assert found["url"] == "https://alteryx/webapi/v3/jobs/1"
    for odd in ({"conn_id": "not_there"}, {"system": "nothing"}, {"run_id": "../../x"}):
        (found,) = triggering_runs({KEY: {asset("a"): [event({"run": forged(**odd)})]}})
        assert (found["url"], found["outputs"][0]["location"], found["output_location"]) == (None, "", None)


def test_they_are_plain_json():
    context = {KEY: {asset("a"): [watched(1)]}}
    assert json.loads(json.dumps(triggering_runs(context))) == triggering_runs(context)


def test_airflow_s_own_mapping_is_understood():
    """The one that a task's context holds on Airflow 3."""
    context = pytest.importorskip("airflow.sdk.execution_time.context", reason="Airflow 3")
    one = SimpleNamespace(name="a", uri="file:///a", extra={})
    events = [
        SimpleNamespace(
            asset=one,
            source_aliases=[SimpleNamespace(name="alias")],
            extra={"from_trigger": True, "payload": run(number)},
            timestamp=NOW + timedelta(seconds=number),
        )
        for number in (2, 1)
    ]
    built = {KEY: context.TriggeringAssetEventsAccessor.build(events)}
    assert [found["run_id"] for found in triggering_runs(built)] == ["1", "2"]
    for wanted in ("a", "alias", "file:///a", asset("a")):
        assert len(triggering_runs(built, wanted)) == 2

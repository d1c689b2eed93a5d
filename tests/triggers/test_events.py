"""Watchers against a running server: what fires, what does not, and what a restart changes."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, NotSupported
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.retry import Retry
from airflow_workflow_provider.triggers import event_feed, event_trouble
from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger
from tests.triggers.event_stage import (
    BROKEN,
    ECHO,
    SLOW,
    AssetStore,
    BlockingStore,
    Elsewhere,
    Watching,
    until,
    watcher,
    watching,
)

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:
    pytest.skip("Airflow below 3.0 has no asset watchers", allow_module_level=True)

WEATHER = "5f0e2c000000000000000003"
FAILING = "5f0e2c000000000000000009"


@pytest.fixture
def elsewhere(sandbox) -> Elsewhere:
    """Somebody who starts executions that take a moment."""
    sandbox.settings("stevesie", running_seconds=0.05)
    sandbox.settings("alteryx", queued_seconds=0.02, running_seconds=0.05)
    return Elsewhere(sandbox)


async def test_each_run_fires_once_with_the_run_object(elsewhere):
    async with watching() as watch:
        await elsewhere.listed()
        first, second = elsewhere.start(label="a"), elsewhere.start(label="b")
        assert sorted(await watch.has(2)) == sorted([first, second])
        await elsewhere.listed(3)
    assert len(watch.fired) == 2
    run = Run.from_json(watch.fired[0])
    assert run.to_json() == watch.fired[0]
    assert (run.system, run.conn_id, run.workflow, run.state) == ("stevesie", "stevesie_default", ECHO, "succeeded")
    assert run.started_at
    assert run.ended_at
    assert run.outputs


async def test_what_ended_before_does_not_fire_and_what_was_going_does(elsewhere):
    before = elsewhere.start()
    await elsewhere.ended(before)
    going = elsewhere.start(SLOW, seconds=0.5)
    old = elsewhere.start(SLOW, seconds=0.01)
    await elsewhere.ended(old)
    async with watching(workflow=SLOW) as watch:
        assert await watch.has(1) == [going]
        await elsewhere.listed(3)
    assert watch.ids == [going]


async def test_since_lets_earlier_ends_fire(elsewhere):
    early = elsewhere.start()
    await elsewhere.ended(early)
    await asyncio.sleep(1.1)  # the wire tells whole seconds
    since = datetime.now(UTC)
    await asyncio.sleep(1.1)
    late = elsewhere.start()
    await elsewhere.ended(late)
    async with watching(since=since) as watch:
        assert await watch.has(1) == [late]
        await elsewhere.listed(3)
    assert watch.ids == [late]


@pytest.mark.parametrize(("states", "fires"), [(["failed"], BROKEN), (["failed", "succeeded"], BROKEN)])
async def test_only_the_wanted_states_fire(elsewhere, states, fires):
    async with watching(workflow=BROKEN) as succeeded, watching(workflow=BROKEN, states=states) as watch:
        await elsewhere.listed(3)
        elsewhere.sandbox.settings("stevesie", failure_style="error")
        run = elsewhere.start(fires)
        assert await watch.has(1) == [run]
        assert watch.fired[0]["state"] == "failed"
        await elsewhere.listed(3)
    assert not succeeded.fired


async def test_twenty_watchers_of_a_workflow_make_one_list_call_an_interval(elsewhere):
    """Counted on the server; below Airflow 3.3 too, where each watcher runs by itself."""
    interval = 0.2
    states = (["succeeded"], ["succeeded", "failed"])
    watchers = [Watching(watcher(states=states[place % 2], poll_interval=interval)) for place in range(20)]
    await elsewhere.listed(1)
    began = time.monotonic()
    elsewhere.sandbox.clear_requests()
    await elsewhere.listed(5)
    run = elsewhere.start()
    for watch in watchers:
        assert await watch.has(1) == [run]
    asked, elapsed = elsewhere.sandbox.requests("stevesie"), time.monotonic() - began
    for watch in watchers:
        await watch.stop()
    lists = [one for one in asked if one["path"].endswith("/executions") and one["method"] == "GET"]
    assert 5 <= len(lists) <= elapsed / interval + 2
    assert len([one for one in asked if one["path"].endswith(f"/executions/{run}")]) == 1


async def test_a_restart_with_a_store_neither_loses_nor_repeats(elsewhere):
    """Runs that end while the triggerer is down fire when it is back."""
    store = AssetStore()
    async with watching(store) as watch:
        await elsewhere.listed()
        first = elsewhere.start()
        assert await watch.has(1) == [first]
        await elsewhere.listed(3)
    meanwhile = [elsewhere.start(), elsewhere.start()]
    await elsewhere.ended(*meanwhile)
    async with watching(store) as watch:
        assert sorted(await watch.has(2)) == sorted(meanwhile)
        last = elsewhere.start()
        assert (await watch.has(3))[2] == last
        await elsewhere.listed(3)
    assert len(watch.fired) == 3


async def test_a_restart_in_the_middle_of_a_batch_goes_on_behind_what_was_taken(elsewhere):
    store = AssetStore()
    async with watching(store):
        await elsewhere.listed()
    batch = [elsewhere.start() for _ in range(5)]
    await elsewhere.ended(*batch)
    stream = watcher(store).run()
    taken = [(await anext(stream)).payload["run_id"] for _ in range(3)]
    await stream.aclose()
    async with watching(store) as watch:
        rest = await watch.has(3)
        await elsewhere.listed(3)
    assert rest == watch.ids
    assert rest[0] == taken[-1], "nobody knows whether the last one was stored, so it fires again"
    assert sorted({*taken, *rest}) == sorted(batch)


async def test_without_a_store_a_restart_begins_anew(elsewhere):
    run = elsewhere.start()
    await elsewhere.ended(run)
    async with watching(None) as watch:
        await elsewhere.listed(3)
    assert not watch.fired
    for _ in range(2):
        async with watching(None, since="2020-01-01") as watch:
            assert await watch.has(1) == [run]


async def test_the_stores_of_older_releases_are_asked_in_a_thread(elsewhere):
    store = BlockingStore()
    async with watching(store):
        await elsewhere.listed()
    run = elsewhere.start()
    await elsewhere.ended(run)
    async with watching(store) as watch:
        assert await watch.has(1) == [run]


async def test_nothing_fires_while_the_store_cannot_be_read(elsewhere):
    """Without its cursor a watcher would take what has ended meanwhile for old."""
    store = AssetStore()
    async with watching(store):
        await elsewhere.listed()
    run = elsewhere.start()
    await elsewhere.ended(run)
    store.broken = 1
    async with watching(store) as watch:
        assert await watch.has(1) == [run]


async def test_a_cursor_that_cannot_be_written_is_written_later(elsewhere, caplog):
    store = AssetStore()
    async with watching(store) as watch:
        await elsewhere.listed()
        store.broken = 1
        run = elsewhere.start()
        await watch.has(1)
        await elsewhere.listed(3)
    assert "was not written" in caplog.text
    async with watching(store) as watch:
        await elsewhere.listed(3)
    assert watch.ids == []
    assert run


async def test_assets_that_share_a_watcher_share_its_cursor(elsewhere):
    """Airflow makes one trigger of equal watchers, and then wants the asset to be named."""
    accessors = pytest.importorskip("airflow.sdk.execution_time.context", reason="Airflow 3.3")
    if not hasattr(accessors, "AssetStateStoreAccessors"):
        pytest.skip("Airflow below 3.3 has no asset state store")
    store = accessors.AssetStateStoreAccessors(inlets=[])
    store._by_name.update(a=AssetStore(), b=AssetStore())
    async with watching(store):
        await elsewhere.listed()
    run = elsewhere.start()
    await elsewhere.ended(run)
    assert [bool(one.kept) for one in store._by_name.values()] == [True, True]
    store._by_name["b"] = AssetStore()  # another DAG joins
    async with watching(store) as watch:
        assert await watch.has(1) == [run]


@pytest.mark.parametrize("fault", [{"kind": "html"}, {"kind": "status", "status": 503}, {"kind": "reset"}])
async def test_a_passing_trouble_ends_nothing(elsewhere, caplog, monkeypatch, fault):
    monkeypatch.setattr(event_trouble, "DOWN", Retry(base=0.01, cap=0.02))  # seconds, for people
    monkeypatch.setattr(event_trouble, "REFUSED_PACE", Retry(base=0.01, cap=0.02))
    caplog.set_level(logging.INFO)
    async with watching() as watch:
        await elsewhere.listed()
        elsewhere.sandbox.fault(system="stevesie", times=3, **fault)
        await until(lambda: "works again after 3 failures" in caplog.text)
        run = elsewhere.start()
        assert await watch.has(1) == [run]
    assert caplog.text.count("failed, it is tried again") == 1


async def test_refused_credentials_are_logged_once_and_tried_again(elsewhere, caplog, monkeypatch):
    monkeypatch.setattr(event_trouble, "REFUSED_PACE", Retry(base=0.01, cap=0.02))  # minutes, for people
    elsewhere.sandbox.settings("stevesie", token_revoked=True)
    async with watching() as watch:
        await elsewhere.listed(4)
        elsewhere.sandbox.settings("stevesie", token_revoked=False)
        await elsewhere.listed(2)
        run = elsewhere.start()
        assert await watch.has(1) == [run]
    assert caplog.text.count("failed, it is tried again") == 1
    assert "Check the field 'password' of connection" in caplog.text


async def test_an_unknown_workflow_is_named_in_the_log(elsewhere, caplog):
    async with watching(workflow="nobody") as watch:
        await elsewhere.listed(1)
        await until(lambda: "failed, it is tried again" in caplog.text)
        assert not watch.task.done()
    assert "workflow 'nobody' of connection 'stevesie_default'" in caplog.text


async def test_a_missing_connection_is_named_in_the_log(elsewhere, caplog):
    async with watching(conn_id="nobody_defined") as watch:
        await until(lambda: "failed, it is tried again" in caplog.text)
        assert not watch.task.done()
    assert "'nobody_defined' is not defined" in caplog.text


async def test_a_workflow_is_found_by_its_name(elsewhere):
    async with watching(workflow="name:Echo") as watch:
        await elsewhere.listed()
        run = elsewhere.start()
        assert await watch.has(1) == [run]
    assert watch.fired[0]["workflow"] == ECHO


async def test_a_list_of_ids_only_is_completed_by_looks(elsewhere):
    """Nothing public tells what Stevesie's list shows."""
    elsewhere.sandbox.settings("stevesie", executions_list="ids")
    before = elsewhere.start()
    await elsewhere.ended(before)
    async with watching() as watch:
        await elsewhere.listed()
        run = elsewhere.start()
        assert await watch.has(1) == [run]
        await elsewhere.listed(3)
    assert watch.ids == [run]
    looks = [one for one in elsewhere.sandbox.requests("stevesie") if one["path"].endswith(f"/executions/{before}")]
    assert len(looks) == 1


@pytest.mark.parametrize("conn_id", ["alteryx_default", "alteryx_oauth1"])
async def test_alteryx_jobs_fire_although_its_list_does_not_tell_how_they_ended(elsewhere, conn_id):
    from airflow_workflow_provider.hooks.alteryx import AlteryxHook

    hook = AlteryxHook(conn_id)
    old = hook.start_run(FAILING)
    hook.wait_for_run(old, poll_interval=0.02)
    more = {"system": "alteryx", "workflow": FAILING, "conn_id": conn_id}
    async with watching(**more) as good, watching(states=["failed"], **more) as bad:
        await asyncio.sleep(0.3)
        elsewhere.sandbox.clear_requests()
        run = await asyncio.to_thread(hook.start_run, FAILING)
        assert await bad.has(1) == [run.run_id]
        await asyncio.sleep(0.1)
    assert bad.ids == [run.run_id]
    assert not good.fired
    assert bad.fired[0]["message"].startswith("The input file was not found.")
    looks = [
        one["path"] for one in elsewhere.sandbox.requests("alteryx") if one["path"].rstrip("/").endswith(run.run_id)
    ]
    assert len(looks) <= 2, "once, and once for the messages"


async def test_a_cancelled_watcher_leaves_no_list_calls_behind(elsewhere):
    async with watching(), watching(states=["failed"]):
        await elsewhere.listed()
    asked = elsewhere.lists()
    await asyncio.sleep(0.2)
    assert elsewhere.lists() == asked


def test_keywords_are_primitive_and_stable():
    """Airflow tells watchers apart by them."""
    one = WorkflowRunEventTrigger(
        "alteryx", "alteryx_default", WEATHER, states={"succeeded", "failed"}, poll_interval=timedelta(seconds=5),
        since=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    two = WorkflowRunEventTrigger(
        "alteryx", "alteryx_default", WEATHER, states=("failed", "succeeded"), poll_interval=5, since="2026-01-01"
    )
    assert one.serialize() == two.serialize()
    path, kwargs = one.serialize()
    assert path == "airflow_workflow_provider.triggers.events.WorkflowRunEventTrigger"
    assert kwargs == {
        "system": "alteryx",
        "conn_id": "alteryx_default",
        "workflow": WEATHER,
        "states": ["failed", "succeeded"],
        "poll_interval": 5.0,
        "since": "2026-01-01T00:00:00Z",
    }
    again = WorkflowRunEventTrigger(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == one.serialize()
    assert BaseEventTrigger.hash(*again.serialize()) == BaseEventTrigger.hash(*one.serialize())


def test_watchers_of_one_workflow_share_a_stream_whatever_they_want():
    def key(**changes):
        given = {"system": "stevesie", "conn_id": "c", "workflow": "w", **changes}
        return WorkflowRunEventTrigger(**given).shared_stream_key()

    assert key() == key(states=["failed"]) == key(since="2026-01-01") == key(poll_interval=20)
    assert len({key(), key(workflow="v"), key(conn_id="d"), key(system="alteryx"), key(poll_interval=7)}) == 5


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"system": "carto"}, NotSupported, "CARTO cannot list runs.* sensor"),
        ({"system": "chorus"}, NotSupported, "cannot list runs"),
        ({"system": "invision"}, NotSupported, "cannot list runs"),
        ({"system": "nothing"}, InvalidArgument, "known: carto, alteryx"),
        (
            {"states": ["finished"]},
            InvalidArgument,
            "'finished' is not a final state of a run; .*succeeded, failed, cancelled",
        ),
        ({"states": []}, InvalidArgument, "states: is empty"),
        ({"states": ["running"]}, InvalidArgument, "'running' is not a final state"),
        ({"workflow": " "}, InvalidArgument, "workflow: expected text"),
        ({"conn_id": None}, InvalidArgument, "conn_id: expected text"),
        ({"poll_interval": 0}, InvalidArgument, "poll_interval: expected seconds above 0"),
        ({"since": "yesterday"}, InvalidArgument, "since: expected a datetime"),
    ],
)
def test_a_mistake_is_named_where_the_dag_is_written(changes, error, says):
    with pytest.raises(error, match=says):
        WorkflowRunEventTrigger(**{"system": "stevesie", "conn_id": "c", "workflow": "w", **changes})


async def test_watchers_do_not_outlive_their_list_calls(elsewhere):
    """Airflow starts a trigger anew that fails; one that waits for nothing would never be noticed."""
    async with watching() as watch:
        await elsewhere.listed()
        (feed,) = event_feed._feeds[asyncio.get_running_loop()].values()
        feed._task.cancel()
        await until(watch.task.done)
        with pytest.raises(RuntimeError, match=r"the list calls for workflow .* have ended"):
            watch.task.result()
        watch.task = asyncio.create_task(asyncio.sleep(0))
    assert not event_feed._feeds[asyncio.get_running_loop()]
    async with watching() as again:
        await elsewhere.listed()
        run = elsewhere.start()
        assert await again.has(1) == [run]

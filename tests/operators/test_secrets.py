"""Secrets stay put: whatever a run leaves behind is searched for every credential used, also for tokens it fetched."""

from __future__ import annotations

import logging
import re

import pytest

from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from tests.operators.staging import MODES, Deferral, TaskInstance, TaskStateStore, context_of, hurried

PASSWORDS = {
    "carto_default": ["sandbox-carto-token"],
    "carto_oauth": ["sandbox-carto-client-secret"],
    "carto_run_token": ["sandbox-carto-run-token", "sandbox-carto-read-token"],
}
MINTED = re.compile(r"sandbox-carto-oauth-[0-9a-f]+")


class Left:
    """What a task leaves behind, as one text."""

    def __init__(self, carto, conn_id):
        self.carto, self.conn_id, self.parts = carto, conn_id, []
        self.ti, self.store = TaskInstance(), TaskStateStore()

    def keep(self, *things):
        """Keep what somebody could read: exceptions with all their causes."""
        left, seen = list(things), set()
        while left:
            thing = left.pop()
            if isinstance(thing, BaseException) and id(thing) not in seen:
                seen.add(id(thing))
                self.parts.append(f"{type(thing).__name__} {thing} {vars(thing)!r}")
                left += [thing.__cause__, thing.__context__]
            elif not isinstance(thing, BaseException):
                self.parts.append(repr(thing))

    def play(self, operator):
        """Run a task to whatever end, through the triggerer where it defers."""
        from airflow.providers.common.compat.sdk import TaskDeferred

        context = context_of(self.ti, self.store)
        try:
            self.keep(operator.execute(context))
        except TaskDeferred as signal:
            there = Deferral(lambda: operator, context, signal)
            event = there.event()
            self.keep(signal.trigger.serialize(), event, repr(signal.trigger))
            try:
                self.keep(there.resumed(event))
            except Exception as error:  # noqa: BLE001  # any end will do
                self.keep(error)
        except Exception as error:  # noqa: BLE001  # any end will do
            self.keep(error)
        self.keep(self.ti.pushed, self.store.history, vars(operator), operator.hook, vars(operator.hook))

    def secrets(self):
        """Every credential that was in use."""
        known = self.carto.sandbox.call(lambda: list(self.carto.sandbox.app.systems["carto"].api.tokens.known))
        minted = [token for token in known if MINTED.fullmatch(token)]
        assert bool(minted) == (self.conn_id == "carto_oauth")
        return [*PASSWORDS[self.conn_id], *minted]


def success(carto, left):
    """All goes well."""


def failure(carto, left):
    """The run fails, and its error text holds each secret."""
    body = {"status": "failure", "error": " and ".join(PASSWORDS[left.conn_id]) + " were refused by the warehouse"}
    carto.fault("status", "/job/", status=200, body=body)


def refusal(carto, left):
    """The start is refused, with the secrets in the answer."""
    carto.fault("status", "/job$", status=400, body={"error": PASSWORDS[left.conn_id]})


def log_in(carto, left):
    """The log-in, or else the start, is refused as an HTML page with the secrets in its title."""
    page = f"<html><title>{PASSWORDS[left.conn_id]}</title></html>"
    carto.fault("html", "/oauth/token" if left.conn_id == "carto_oauth" else "/job$", status=401, body=page, times=3)


def trouble(carto, left):
    """A poll fails before the run ends."""
    secret = PASSWORDS[left.conn_id][0]
    page = f"<html><title>{secret}</title></html>"
    carto.fault("html", "/job/", body=page, status=302, headers={"Location": f"/login/{secret}"})


def lost(carto, left):
    """The answer to the start is lost."""
    carto.fault("lost", "/job$")


def unusable(carto, left):
    """The connection cannot be used."""
    one = carto.sandbox.connections()[left.conn_id]
    carto.define(left.conn_id, {**one, "extra": {**one["extra"], "warehouse": "mongo"}})


STORIES = (success, failure, refusal, log_in, trouble, lost, unusable)


@pytest.fixture
def logged(caplog, capfd):
    """Everything that is logged or printed, down to debugging."""
    caplog.set_level(logging.DEBUG)

    def text():
        out, err = capfd.readouterr()
        return f"{caplog.text}{out}{err}"

    return text


def search(left, logged):
    """Look for each secret in everything."""
    everything = "".join([*left.parts, logged()])
    assert not [secret for secret in left.secrets() if secret in everything]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("conn_id", PASSWORDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_run_leaves_no_secret_behind(carto, mode, conn_id, story, logged):
    """In a result, an XCom, an event, a trigger, the state store, an exception with its causes, or a log line."""
    left = Left(carto, conn_id)
    story(carto, left)
    arguments = {"workflow": carto["airports_by_state"], "query_parameters": {"min_airports": 100}}
    operator = CartoRunWorkflowOperator(
        task_id="t", carto_conn_id=conn_id, deferrable=mode == "deferrable", poll_interval=0.05, **arguments
    )
    if story is not unusable and mode == "sync":
        hurried(operator.hook)
    left.play(operator)
    if story in (log_in, unusable):
        everything = "".join([*left.parts, logged()])
        assert not [secret for secret in PASSWORDS[conn_id] if secret in everything]
    else:
        search(left, logged)


@pytest.mark.parametrize("conn_id", PASSWORDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_sensor_leaves_no_secret_behind(carto, mode, conn_id, logged):
    from airflow_workflow_provider.hooks.carto import CartoHook

    run = CartoHook(conn_id).start_run(carto["airports_by_state"], {"min_airports": 100})
    left = Left(carto, conn_id)
    failure(carto, left)
    left.play(
        CartoWorkflowRunSensor(
            task_id="t", run=run.to_json(), carto_conn_id=conn_id, poke_interval=0.05, deferrable=mode == "deferrable"
        )
    )
    search(left, logged)


def test_the_search_finds_what_there_is_to_find(carto, logged):
    """The tests above are no good if they look at nothing."""
    (secret,) = PASSWORDS["carto_default"]
    caused = ValueError("outer")
    caused.__cause__ = KeyError(secret)
    for thing in ({"token": secret}, caused, None):
        left = Left(carto, "carto_default")
        left.keep(thing)
        if thing is None:
            print(secret)
        with pytest.raises(AssertionError):
            search(left, logged)

"""Whatever its server answers, a flow of any system ends in a value of ours or in one of our errors."""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanListRuns, CanListWorkflows
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Response
from airflow_workflow_provider.protocol.model import Run, Workflow
from airflow_workflow_provider.protocol.poll import wait
from airflow_workflow_provider.protocol.times import from_epoch
from airflow_workflow_provider.sandbox.systems import systems as sandbox_systems
from airflow_workflow_provider.systems import SYSTEMS
from tests.protocol.playing import EPOCH, Player
from tests.systems.answering import answers, values

# CARTO has a test of its own, with more examples and more to look at.
CONNECTIONS = {
    conn_id: one
    for system in sandbox_systems()
    for conn_id, one in system.connections("http://127.0.0.1").items()
    if system.key != "carto"
}
RUN_IDS = {"chorus": "1"}
SINCE = from_epoch(EPOCH)
FLOWS = {
    "start": lambda system, run: system.start("1", {}, {}),
    "look": lambda system, run: system.look(run),
    "wait": lambda system, run: wait(system.look, run, poll_interval=10.0, deadline=EPOCH + 60),
    "cancel": lambda system, run: system.require(CanCancel).cancel(run),
    "test": lambda system, run: system.test(),
    "list_workflows": lambda system, run: system.require(CanListWorkflows).list_workflows(),
    "find_runs": lambda system, run: system.require(CanListRuns).find_runs("1", SINCE),
    "find_started": lambda system, run: system.find_started("1", {}, {}, SINCE),
    "outputs": lambda system, run: system.outputs(run),
}
GIVES = {"cancel": type(None), "test": str, "list_workflows": list, "find_runs": list, "find_started": list}


@lru_cache
def series(key):
    """Some answers of a system's server."""
    odd = values.map(lambda value: Response(200, {}, json.dumps(value).encode()))
    return st.lists(odd | answers(key), min_size=1, max_size=5)


class Enough(Exception):
    """A list that claims to be endless is being read; that is right, and enough."""


def answering(given_):
    """Answer in turn, again and again."""
    turns, asked = cycle(given_), []

    def chosen(request):
        asked.append(request)
        if len(asked) > 200:
            raise Enough
        return next(turns)

    return chosen


def check(conn_id, name, given_):
    """Play a flow on a connection as the sandbox gives it."""
    one = CONNECTIONS[conn_id]
    key = one["conn_type"]
    fields = {field: one[field] for field in ("host", "schema", "port", "login", "password", "extra") if field in one}
    system = SYSTEMS[key](ConnectionValues(conn_id, **fields))
    run = Run(key, conn_id, "1", RUN_IDS.get(key, "1"))
    try:
        found = Player(answer_to=answering(given_)).play(FLOWS[name](system, run))
    except (WorkflowError, Enough):
        return
    assert isinstance(found, GIVES.get(name, list if name == "outputs" else Run))
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, Run):
            assert Run.from_json(json.loads(json.dumps(each.to_json()))) == each
        if isinstance(each, Workflow):
            assert isinstance(each.id, str)
            assert isinstance(each.name, str)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("conn_id", CONNECTIONS)
@settings(max_examples=10)
@given(data=st.data())
def test_whatever_the_server_answers_a_flow_ends_in_a_value_or_in_our_error(conn_id, name, data):
    """Anything at all, and JSON documents that nobody expects with a 200."""
    check(conn_id, name, data.draw(series(CONNECTIONS[conn_id]["conn_type"])))

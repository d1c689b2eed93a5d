"""A run object carries no authority: whatever stands in it, requests go to the connection's own server."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanCountRows, HasLog
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Output, Run, RunHandle, RunState
from airflow_workflow_provider.sandbox.systems import systems as sandbox_systems
from airflow_workflow_provider.systems import SYSTEMS
from tests.protocol.playing import Player, answer

URL = "https://own.example"
CONNECTIONS = {conn_id: one for system in sandbox_systems() for conn_id, one in system.connections(URL).items()}
HOSTILE = (
    "https://evil.example/steal",
    "http://evil.example/workflows/w/results/r",
    "//evil.example/x",
    "file:///etc/passwd",
    "../../../admin",
    "..",
    "..\\..\\admin",
    "x/../../admin",
    "x?y=1#z",
    "@evil.example",
    "x\r\nHost: evil.example",
    "p.d.t; DROP TABLE p.d.prod; --",
    "`p.d.t`; DROP TABLE x; --`",
    "table:../x",
    "job:../../x:1",
    "workfile:1:2:3",
    "job:1:0",
    "\x00",
)
texts = st.sampled_from(HOSTILE) | st.sampled_from(["1", "w", "p.d.t", "x.csv", ""])
values = st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2)
DETAILS = """
carto_connection provider columns files disposition run_mode over_since idle_since seen_running workfiles workflow_api
results_grace fail_on_empty_results job_result_id
"""
handles = st.builds(
    RunHandle,
    st.dictionaries(st.sampled_from(["results_grace", "fail_on_empty_results", "run_mode"]), values, max_size=2),
    st.dictionaries(st.sampled_from(["over_since", "idle_since", "seen_running"]), values, max_size=2),
)
details = st.dictionaries(
    st.sampled_from(DETAILS.split()),
    values | st.lists(st.fixed_dictionaries({"id": values, "name": values, "formats": values}), max_size=2),
    max_size=4,
)
outputs = st.builds(Output, texts, st.sampled_from(["table", "file"]), texts, st.lists(texts, max_size=2).map(tuple))


@st.composite
def forged(draw, key):
    """A run object as anybody can write it."""
    return Run(
        key,
        "c",
        draw(texts),
        draw(texts),
        draw(st.sampled_from(RunState)),
        url=draw(st.none() | texts),
        outputs=tuple(draw(st.lists(outputs, min_size=1, max_size=2))),
        details=draw(details),
        handle=draw(handles),
    )


def read(system, run):
    """Read the first output to its end."""
    return system.read(run, run.outputs[0]).flow()


FLOWS = {
    "look": lambda system, run: system.look(run),
    "cancel": lambda system, run: system.require(CanCancel).cancel(run),
    "read": read,
    "count": lambda system, run: system.require(CanCountRows).count_rows(run, run.outputs[0]),
    "log": lambda system, run: system.require(HasLog).read_log(run, None),
    "outputs": lambda system, run: system.outputs(run),
}
ANSWERS = (
    answer(200, {"access_token": "minted-0123456789", "response": {"session_id": "minted-0123456789"}}),
    answer(200, {"rows": [{"n": 0}], "schema": [{"name": "n", "type": "number"}]}),
    answer(200, {"id": "1", "status": "Completed", "completed_at": "2026-01-01T00:00:00Z", "results": []}),
    answer(404),
)


def made(conn_id):
    """The system of a connection of the sandbox's, at a host of its own."""
    one = CONNECTIONS[conn_id]
    fields = {name: one[name] for name in ("host", "schema", "port", "login", "password", "extra") if name in one}
    return SYSTEMS[one["conn_type"]](ConnectionValues("c", **fields))


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("conn_id", CONNECTIONS)
@settings(max_examples=10)
@given(data=st.data())
def test_no_field_of_a_run_object_becomes_an_address_or_a_statement(conn_id, name, data):
    """Every request goes below the connection's own address; a statement names one table and nothing else."""
    system = made(conn_id)
    run = data.draw(forged(system.key))
    player, rebuilds = Player([*data.draw(st.permutations(ANSWERS))]), data.draw(st.booleans())
    with suppress(WorkflowError):  # it is refused, or the answers are worth no more
        player.play(FLOWS[name](system, system.rebuilt(run) if rebuilds else run))
    for request in player.requests:
        parts = urlsplit(request.url)
        assert f"{parts.scheme}://{parts.netloc}" == URL
        assert not {".", ".."} & set(re.split(r"[/\\]", unquote(parts.path)))
        assert parts.query in ("", "session_id=NULL")  # the log-in of Team Studio has one of its own
        assert request.url.isprintable()
        if isinstance(request.json, dict) and "q" in request.json:
            outside = re.sub(r"`[\w\-.:$@]*`|\"[^\"]*\"", "", request.json["q"])
            assert not set(";'`\"-\\") & set(outside), request.json


@pytest.mark.parametrize("conn_id", CONNECTIONS)
@settings(max_examples=20)
@given(data=st.data())
def test_a_rebuilt_run_has_no_address_of_another_server(conn_id, data):
    """But for results that lie elsewhere by nature, whose location is never requested."""
    system = made(conn_id)
    try:
        run = system.rebuilt(data.draw(forged(system.key)))
    except WorkflowError:
        return
    assert run.url is None or run.url.startswith(f"{URL}/")
    if not system.foreign_locations:
        locations = [output.location for output in run.outputs if output.location != output.name]
        assert not [one for one in locations if "://" in one and not one.startswith(f"{URL}/")]


@pytest.mark.parametrize("conn_id", CONNECTIONS)
def test_a_run_that_the_system_made_is_rebuilt_as_it_is(conn_id):
    """Rebuilding changes nothing about an honest run object."""
    system = made(conn_id)
    run = system.rebuilt(Run(system.key, "c", "1", "2", outputs=(Output("p.d.t", "table", "p.d.t"),)))
    assert system.rebuilt(run) == run

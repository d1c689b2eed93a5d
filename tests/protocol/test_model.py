"""The run object: one value for XComs, events and users."""

from __future__ import annotations

import copy
import json
import operator
import pickle
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.model import Output, Run, RunHandle, RunState, Workflow, parse_run, parse_runs

texts = st.text(max_size=20)
names = st.text(min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1900, 1, 1), datetime(2999, 1, 1), timezones=st.one_of(st.none(), zones))  # noqa: DTZ001
outputs = st.builds(
    Output, name=names, kind=st.sampled_from(["table", "file"]), location=texts, formats=st.lists(names).map(tuple)
)
runs = st.builds(
    Run,
    system=names,
    conn_id=names,
    workflow=texts,
    run_id=names,
    state=st.sampled_from(RunState),
    message=texts,
    url=st.none() | texts,
    started_at=st.none() | times,
    ended_at=st.none() | times,
    outputs=st.lists(outputs, max_size=3).map(tuple),
    details=st.dictionaries(texts, json_values, max_size=3),
)
with_handles = st.builds(
    replace,
    runs,
    handle=st.builds(
        RunHandle,
        *[st.dictionaries(names, st.none() | st.booleans() | st.integers() | names, max_size=2)] * 2,
    ),
)
RUN = Run("carto", "carto_default", "a.b.wf", "job_1", RunState.RUNNING)


def with_(key, value):
    """The run object with one value exchanged, and that value first so that a test's id shows it."""
    return {key: value, **{name: kept for name, kept in RUN.to_json().items() if name != key}}


def short(value):
    """A test's id: what a case is about, cut."""
    return repr(value)[:60]


class Lazy(Sequence):
    """A sequence that is neither list nor tuple, as the XComs of a mapped task are."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@given(runs | with_handles)
def test_a_run_survives_json(run):
    """What XComs, events and trigger rows carry is read back as the very same run."""
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run
    assert Run.from_json(json.dumps(run.to_json())) == run


@given(runs)
def test_the_run_object_has_the_documented_keys(run):
    assert list(run.to_json()) == [
        "system", "conn_id", "workflow", "run_id", "state", "message", "url", "started_at", "ended_at", "outputs",
        "output_location", "details",
    ]  # fmt: skip


def test_a_run_object_has_a_handle_only_where_it_holds_something():
    """Most run objects have none: watch options that are the defaults are not written."""
    assert "handle" not in RUN.to_json()
    assert replace(RUN, handle=RunHandle(poll={"since": 1})).to_json()["handle"] == {"poll": {"since": 1}}


@pytest.mark.parametrize(
    ("system", "details", "facts", "handle"),
    [
        ("stevesie", {"results_grace": 5, "results": 2}, {"results": 2}, {"watch": {"results_grace": 5}}),
        ("chorus", {"run_mode": "job", "over_since": 7.5}, {"run_mode": "job"}, {"poll": {"over_since": 7.5}}),
        ("carto", {"results_grace": 5}, {"results_grace": 5}, {}),
    ],
)
def test_what_version_010_wrote_among_the_details_is_moved_to_the_handle(system, details, facts, handle):
    """A run object of that version is watched as its user said; the names of other systems' facts are free."""
    run = Run.from_json({**RUN.to_json(), "system": system, "details": details})
    assert (dict(run.details), run.handle.to_json()) == (facts, handle)
    newer = Run.from_json({**RUN.to_json(), "system": system, "details": details, "handle": handle})
    assert newer == run


@given(runs)
def test_times_are_aware_utc_and_spelled_with_z(run):
    for value, spelled in ((run.started_at, run.to_json()["started_at"]), (run.ended_at, run.to_json()["ended_at"])):
        assert (value is None) == (spelled is None)
        assert value is None or (value.utcoffset() == timedelta(0) and spelled.endswith("Z"))


@given(runs)
def test_output_location_is_set_for_exactly_one_output(run):
    expected = (run.outputs[0].location or None) if len(run.outputs) == 1 else None
    assert run.output_location == expected


def test_unknown_keys_are_ignored():
    """A run object of a later release can be read."""
    assert Run.from_json({**RUN.to_json(), "novelty": 1}) == RUN


def test_only_system_connection_and_id_are_needed():
    run = Run.from_json({"system": "carto", "conn_id": "c", "run_id": 7})
    assert (run.run_id, run.state, run.workflow, run.outputs) == ("7", RunState.QUEUED, "", ())


@pytest.mark.parametrize("state", RunState)
def test_the_last_three_states_are_ends(state):
    assert state.is_terminal == (state.value in ("succeeded", "failed", "cancelled"))
    assert f"{state}" == state.value


@pytest.mark.parametrize(
    "form",
    [RUN, RUN.to_json(), json.dumps(RUN.to_json()), f"  {json.dumps(RUN.to_json())}\n"],
    ids=["run", "object", "json", "json with blanks"],
)
def test_a_run_is_read_in_each_form(form):
    assert parse_run(form) == RUN
    assert parse_runs(form) == [RUN]


@pytest.mark.parametrize("bare", ["job_1", " job_1 "])
def test_a_bare_id_needs_to_know_its_system(bare):
    run = parse_run(bare, system="carto", conn_id="carto_default", workflow="a.b.wf")
    assert (run.run_id, run.conn_id, run.workflow) == ("job_1", "carto_default", "a.b.wf")
    with pytest.raises(InvalidArgument, match="run: the bare id"):
        parse_run(bare)


def test_an_id_that_a_native_template_made_a_number_is_an_id():
    assert parse_run(1501, system="chorus", conn_id="c").run_id == "1501"


@pytest.mark.parametrize(
    "sequence",
    [
        [RUN, RUN.to_json(), json.dumps(RUN.to_json())],
        (RUN, RUN, RUN),
        Lazy([RUN.to_json(), None, RUN, RUN]),
        json.dumps([RUN.to_json()] * 3),
        (run for run in [RUN, RUN, RUN]),
    ],
    ids=["mixed list", "tuple", "lazy with a hole", "json", "generator"],
)
def test_runs_are_read_from_any_sequence(sequence):
    """A mapped task's XComs come as a lazy sequence; those of skipped tasks are holes."""
    assert parse_runs(sequence) == [RUN, RUN, RUN]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "   ",
        True,
        1.5,
        b"job_1",
        "{'system': 'carto'}",
        "{not json",
        '{"system": "carto"}',
        '["carto"',
        {},
        {"system": "carto", "conn_id": "c"},
        {"system": "carto", "conn_id": "c", "run_id": ""},
        with_("state", "exploded"),
        with_("started_at", "yesterday"),
        with_("ended_at", True),
        with_("outputs", 5),
        with_("outputs", ["x"]),
        with_("outputs", [{"kind": "table"}]),
        with_("outputs", [{"name": "t", "formats": 5}]),
        with_("details", "text"),
        with_("system", ["carto"]),
        with_("conn_id", {"a": 1}),
        with_("message", {"a": 1}),
        with_("url", 5),
        with_("outputs", [{"name": ["t"]}]),
    ],
    ids=short,
)
def test_what_is_no_run_is_refused_and_named(value):
    """The one error says that it is the argument ``run`` which cannot be used."""
    with pytest.raises(InvalidArgument, match=r"^run: "):
        parse_run(value)


def nested(levels):
    """A value that is nested so deep."""
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (with_("system", 7), "'system' is text"),
        (with_("run_id", True), "'run_id' is text"),
        (with_("run_id", "1" * 10_001), "'run_id' has more than 10000"),
        (with_("conn_id", "c" * 1_001), "'conn_id' has more than"),
        (with_("message", "m" * 1_000_001), "'message' has more than"),
        (with_("url", "h" * 20_001), "'url' has more than"),
        (with_("state", "exploded"), "'state' is one of queued, running"),
        (with_("started_at", {}), "'started_at' is a time"),
        (with_("ended_at", "1e999"), "'ended_at' is a time"),
        (with_("outputs", {"name": "t"}), "'outputs' is a list"),
        (with_("outputs", [{"name": "t"}, 5]), r"'outputs\[1\]' is an object"),
        (with_("outputs", [{"name": 5}]), r"'outputs\[0\].name' is text"),
        (with_("outputs", [{"name": "t", "location": "l" * 20_001}]), r"'outputs\[0\].location' has more than"),
        (with_("outputs", [{"name": "t", "formats": "csv"}]), r"'outputs\[0\].formats' is a list"),
        (with_("outputs", [{"name": "t", "formats": [5]}]), r"'outputs\[0\].formats\[0\]' is text"),
        (with_("outputs", [{"name": "t"}] * 100_001), "'outputs' has 100001 items"),
        (with_("details", [1]), "'details' is an object"),
        (with_("details", {"a": {1: 2}}), r"'details.a' has the key 1"),
        (with_("details", {"a": b"x"}), r"'details.a' is a JSON value"),
        (with_("details", {"a": nested(65)}), "'details' is nested deeper"),
        (with_("handle", [1]), "'handle' is an object"),
        (with_("handle", {"watch": "text"}), "'handle.watch' is an object"),
        (with_("handle", {"poll": {"a": {1: 2}}}), r"'handle.poll.a' has the key 1"),
        (with_("handle", {"poll": {"a": nested(65)}}), "'handle.poll' is nested deeper"),
        (with_("handle", {"watch": {"a": "x" * 20_000}}), "'handle' has more than 20000"),
        ('{"details": ' + "[" * 100_000, "nested too deeply|not JSON"),
    ],
    ids=short,
)
def test_the_field_that_does_not_fit_is_named(value, named):
    """A run object may come from anybody: types, lengths and depth are checked."""
    with pytest.raises(InvalidArgument, match=f"^run: .*(?:{named})"):
        parse_run(value)


@pytest.mark.parametrize("value", [[], (), "[]", [None], Lazy([])], ids=lambda value: type(value).__name__)
def test_no_run_at_all_is_an_error(value):
    with pytest.raises(InvalidArgument, match=r"^run: "):
        parse_runs(value)


@given(json_values)
def test_whatever_json_comes_is_a_run_or_refused(value):
    """Nothing but our own error leaves the reading of a run."""
    try:
        assert parse_runs(value)
    except InvalidArgument as error:
        assert str(error).startswith("run: ")  # noqa: PT017  # both ends are right, a third one is not


@given(runs, st.sampled_from(sorted(RUN.to_json())), json_values)
def test_a_run_object_with_one_wrong_value_is_a_run_or_refused(run, key, value):
    document = {**run.to_json(), key: value}
    try:
        found = Run.from_json(document)
    except InvalidArgument:
        return
    assert Run.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert isinstance(found.system, str)
    assert isinstance(found.message, str)


VALUES = (
    Run("stevesie", "c", "w", "1", handle=RunHandle({"results_grace": 5}, {"since": 1.5})),
    Run("carto", "c", "w", "1", outputs=(Output("a", "table", "x", ("csv",)),), details={"n": [1]}),
    Output("a", "file", "b", ("csv", "json")),
    Workflow("1", "one", {"x": None}),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_reads_as_the_json_object_that_it_stands_for(value):
    """So that Airflow stores what a ``@task`` returns, whatever its version, without an allow list."""
    document = value.to_json()
    assert json.loads(json.dumps(value)) == json.loads(json.dumps(document))
    assert json.loads(json.dumps([value], indent=1)) == json.loads(json.dumps([document]))
    assert dict(value) == {**value} == value.copy() == document
    assert list(value) == list(value.keys()) == list(document)
    assert (len(value), bool(value), isinstance(value, dict)) == (len(document), True, True)
    assert value["name" if "name" in value else "run_id"] == value.get("name", document.get("run_id"))
    assert (value | {"more": 1})["more"] == ({"more": 1} | value)["more"] == 1


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_copied_and_pickled_as_what_it_is(value):
    pickled = pickle.loads(pickle.dumps(value))  # noqa: S301  # our own value
    for made in (pickled, copy.copy(value), copy.deepcopy(value), replace(value)):
        assert type(made) is type(value)
        assert made == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_cannot_be_changed_through_the_dict(value):
    for change in (
        lambda: value.update(a=1),
        lambda: operator.setitem(value, "a", 1),
        lambda: value.pop("name", None),
        value.clear,
        lambda: value.setdefault("a", 1),
    ):
        with pytest.raises(TypeError, match="cannot be changed"):
            change()


def test_a_run_object_that_a_template_has_written_as_python_is_read():
    """``run="{{ ti.xcom_pull('q') }}"`` renders to Python's text of a dict."""
    run = VALUES[0]
    assert parse_run(str(run.to_json())) == run
    assert parse_runs(str([run.to_json(), run.to_json()])) == [run, run]


@pytest.mark.parametrize("text", ["{'system': 'carto'}", "{'a': __import__('os')}", "{'" + "a" * 100, str(VALUES[0])])
def test_text_that_is_no_run_object_says_how_to_write_it(text):
    with pytest.raises(InvalidArgument, match=r"^run: .*\| tojson"):
        parse_run(text, system="carto", conn_id="c")

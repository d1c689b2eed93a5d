"""A run of any size fits into an event, and says what was cut."""

from __future__ import annotations

import json

from airflow_workflow_provider.protocol.limits import MAX_MESSAGE, MAX_OUTPUTS, fitting, is_cut
from airflow_workflow_provider.protocol.model import Output, Run, RunState

MEGABYTE = 1_000_000


def run(**fields):
    """A run that succeeded."""
    return Run("stevesie", "c", "w", "1", RunState.SUCCEEDED, **fields)


def size(a_run):
    """Bytes of an event."""
    return len(json.dumps(a_run.to_json()))


def test_a_run_of_usual_size_is_left_as_it_is():
    """Nothing is copied, nothing is said."""
    usual = run(message="fine", outputs=tuple(Output(f"{n}.csv") for n in range(100)), details={"a": {"b": [1]}})
    assert fitting(usual) is usual
    assert not is_cut(usual)


def test_three_hundred_thousand_outputs_make_a_small_event():
    """The message says how many there are; whoever reads them asks the system again."""
    large = run(outputs=tuple(Output(f"result {n}", "file", f"https://x/{n}") for n in range(300_000)))
    small = fitting(large)
    assert len(small.outputs) == MAX_OUTPUTS
    assert small.message == f"Only {MAX_OUTPUTS} of 300000 outputs are listed here."
    assert is_cut(small)
    assert is_cut(Run.from_json(small.to_json()))
    assert size(small) < MEGABYTE
    assert fitting(small) is small


def test_long_texts_and_details_are_cut():
    """Names of a megabyte, a message of fifty, and a detail of ten."""
    large = run(
        message="m" * 50 * MEGABYTE,
        outputs=(Output("n" * MEGABYTE),),
        details={"id": "7", "log": "d" * 10 * MEGABYTE},
    )
    small = fitting(large)
    assert size(small) < MEGABYTE
    assert len(small.message) <= MAX_MESSAGE
    assert "characters in all" in small.message
    assert small.details["id"] == "7"
    assert "log" in small.message.partition("\nm")[0]


def test_a_run_object_from_outside_is_clean_when_it_is_stored():
    """It may hold what no database takes."""
    odd = run(message="a\0b", details={"n": float("nan"), "t": "\ud800"}, outputs=(Output("\x1b[31m"),))
    small = fitting(odd)
    assert (small.message, dict(small.details), small.outputs[0].name) == ("a�b", {"n": None, "t": "�"}, "�[31m")

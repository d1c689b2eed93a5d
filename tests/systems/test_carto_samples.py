"""CARTO's answers, as far as they are known, and what the provider makes of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_workflow_provider import exceptions
from airflow_workflow_provider.protocol.effects import Request
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.systems.carto import sql as carto_sql
from tests.protocol.playing import Player, answer

FOLDER = Path(__file__).parent.parent / "samples" / "carto"
SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
RUN = Run("carto", "carto_c", "p.d.wfproc_1", "job_1", details={"carto_connection": "carto_dw"})


def flow_of(sample, carto):
    """The flow whose request this sample answers."""
    if sample["call"] == "start":
        return carto().start("CALL p.d.wfproc_1(@n)", {"n": 5.0}, {})
    if sample["call"] == "status":
        return carto().get_run(RUN)
    if sample["call"] == "token":
        return carto(login="client").auth.authorize(Request("GET", "https://example.com"))
    return carto()._query("carto_dw", "SELECT 1")


def check(sample, found, player):
    """Compare what came of it with what the sample says."""
    match sample:
        case {"run": expected}:
            document = found.to_json()
            assert {name: document[name] for name in expected} == expected
            assert sample.get("notes", "") in " ".join(player.notes)
            told = [note for note in player.notes if not note.startswith("CARTO gets the statement: CALL ")]
            assert bool(told) == ("notes" in sample)
        case {"token": token}:
            assert found.headers["Authorization"] == f"Bearer {token}"
            assert player.secrets == [token]
        case {"columns": columns}:
            assert [list(column) for column in carto_sql.columns(found)] == columns
            assert found["rows"][0] == sample.get("first", found["rows"][0])


@pytest.mark.parametrize("name", SAMPLES)
def test_an_answer_is_taken_for_what_it_means(name, carto):
    sample = SAMPLES[name]
    player = Player([answer(sample["answer"]["status"], sample["answer"]["body"])])
    if "error" in sample:
        with pytest.raises(getattr(exceptions, sample["error"])) as caught:
            player.play(flow_of(sample, carto))
        assert type(caught.value).__name__ == sample["error"]
        assert sample["says"] in str(caught.value)
    else:
        check(sample, player.play(flow_of(sample, carto)), player)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_tells_where_it_comes_from(name):
    assert SAMPLES[name]["mark"] in ("confirmed", "inferred")
    assert SAMPLES[name]["source"]
    assert SAMPLES[name]["call"] in ("start", "status", "token", "query")


def test_the_readme_lists_every_sample_with_its_mark_and_source():
    readme = (FOLDER / "README.md").read_text().splitlines()
    listed = [line for line in readme if line.startswith("| `")]
    expected = [f"| `{name}.json` | {one['call']} | {one['mark']} | {one['source']} |" for name, one in SAMPLES.items()]
    assert sorted(listed) == sorted(expected)


def test_both_dialects_of_a_status_have_a_sample_of_each_state():
    for dialect in ("object", "string"):
        states = {one["run"]["state"] for name, one in SAMPLES.items() if name.startswith(f"status_{dialect}_")}
        assert states == {"queued", "running", "succeeded", "failed", "cancelled"}


def test_no_sample_holds_a_token():
    for name, one in SAMPLES.items():
        assert "eyJ" not in json.dumps(one), name

"""The answers of Alteryx, Stevesie, Chorus and InVision, as far as they are known, and what is made of each.

CARTO's are played in ``tests/systems/test_carto_samples.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_workflow_provider import exceptions
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import Request, Response
from airflow_workflow_provider.protocol.model import Output, Run
from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.systems.invision import answers as invision_answers
from tests.protocol.playing import Player, answer

FOLDER = Path(__file__).parent / "samples"
KEYS = tuple(key for key in SYSTEMS if key != "carto")
SAMPLES = {
    f"{key}/{path.stem}": json.loads(path.read_text()) for key in KEYS for path in sorted((FOLDER / key).glob("*.json"))
}
HOSTS = {
    "alteryx": "https://alteryx.example.com/webapi",
    "stevesie": "",
    "chorus": "https://chorus.example.com:8443",
    "invision": "https://invision.example.com/invision",
}
EXTRAS = {"data_api_key": "d", "monitoring_api_key": "m", "flow_api_key": "f", "tenant_id": "t", "workspace_id": "w"}

PROCESS = "38933dd6-ecdd-4b65-b7ca-56d2bdb089be"
JOB = Run("alteryx", "c", "app", "job")
EXECUTION = Run("stevesie", "c", "WORKFLOW_ID", "EXECUTION_ID")
DATA_FLOW = Run("invision", "c", "flow", "ad73a1ad-60eb-1066-4d61-1821009431b2", details={"workflow_api": "dataflow"})
FLOW = Run("invision", "c", "flow", "0f8fad5b-d9cb-469f-a165-70867728950e", details={"workflow_api": "flow"})
MOMENT = datetime(2026, 1, 5, 10, tzinfo=UTC)


def chorus_run(run_id: str) -> Run:
    return Run("chorus", "c", "43", run_id)


# The flow whose request a sample answers, by system and call.
CALLS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "alteryx": {
        "token": lambda system: system.auth.authorize(Request("GET", "https://example.com")),
        "start": lambda system: system.start("app", {}, {}),
        "status": lambda system: system.get_run(JOB),
        "list": lambda system: system.list_workflows(),
        "questions": lambda system: system.start("app", {"Nope": "1"}, {}),
        "runs": lambda system: system.find_runs("app"),
    },
    "stevesie": {
        "start": lambda system: system.start("WORKFLOW_ID", {}, {}),
        "status": lambda system: system.get_run(EXECUTION),
        "list": lambda system: system.list_workflows(),
        "workflow": lambda system: system.get_workflow("WORKFLOW_ID"),
        "collection": lambda system: system.collection("COLLECTION_ID"),
        "runs": lambda system: system.find_runs("WORKFLOW_ID"),
    },
    "chorus": {
        "log_in": lambda system: system.auth.authorize(Request("GET", "https://example.com")),
        "start": lambda system: system.start("43", {}, {}),
        "status": lambda system: system.get_run(chorus_run(PROCESS)),
        "results": lambda system: system.get_run(chorus_run(PROCESS)),
        "stop": lambda system: system.cancel(chorus_run(PROCESS)),
        "job_start": lambda system: system.start("1", {}, {"run_mode": "job"}),
        "job_status": lambda system: system.get_run(chorus_run("job:1:0")),
        "workfile_status": lambda system: system.get_run(chorus_run("workfile:1000004:0:1790000000")),
        "activities": lambda system: system.modes["workfile"]._activities("1000004"),
        "test": lambda system: system.test(),
    },
    "invision": {
        "start": lambda system: system.start("flow", {}, {}),
        "status": lambda system: system.get_run(DATA_FLOW),
        "monitoring": lambda system: invision_answers.blame(system.monitoring, "/m", DATA_FLOW, MOMENT, MOMENT),
        "data": lambda system: system.read(DATA_FLOW, Output("Sales")).flow(),
        "flow_start": lambda system: system.start("flow", {}, {"workflow_api": "flow"}),
        "flow_status": lambda system: system.get_run(FLOW),
        "flow_runs": lambda system: system.flow.find_runs("flow", None),
    },
}
# What else is answered before the sample's turn: the log-in, and what a flow asks first.
LOG_IN = {
    "alteryx": answer(200, {"access_token": "<token>", "expires_in": 3600}),
    "chorus": answer(201, {"response": {"session_id": "<session>"}}),
}
BEFORE: dict[str, Response] = {
    "results": answer(200, "invalid processId or workflow already stopped.\n"),
    "job_start": answer(200, {"response": None}),
}
NO_RESULTS = answer(200, '""')  # to a look at the stored results of a process that is over


def made(key: str, call: str) -> Any:
    """The system that makes this call; Alteryx has two generations."""
    host, extra = HOSTS[key], dict(EXTRAS)
    if call.endswith("_v1"):
        host, extra = "https://alteryx.example.com/gallery", {"auth": "oauth1"}
    return SYSTEMS[key](ConnectionValues("c", host=host, login="user", password="given-s3cret", extra=extra))


def player_of(key: str, sample: Any) -> Player:
    """A server that gives the sample in its turn."""
    call, answers = sample["call"], []
    if key in LOG_IN and call not in ("token", "log_in") and not call.endswith("_v1"):
        answers.append(LOG_IN[key])
    if call in BEFORE:
        answers.append(BEFORE[call])
    body = sample["answer"]["body"]
    # An answer that is a JSON text and not plain text: the engine's results are JSON inside JSON.
    body = json.dumps(body) if call == "results" else body
    after = [NO_RESULTS] if key == "chorus" and call == "status" and "run" in sample else []
    return Player([*answers, answer(sample["answer"]["status"], body), *after])


def check(sample: Any, found: Any) -> None:
    """Compare what came of an answer with what the sample says."""
    match sample:
        case {"run": expected}:
            document = found.to_json()
            assert {name: document[name] for name in expected} == expected
        case {"runs": expected}:
            assert [[run.run_id, run.state.value] for run in found] == expected
        case {"workflows": expected}:
            listed = found if isinstance(found, list) else [found]
            assert [[workflow.id, workflow.name] for workflow in listed] == expected
        case {"token": token}:
            assert found.headers["Authorization"] == f"Bearer {token}"
        case {"session": session}:
            assert (found.headers["x-token"], found.params["session_id"]) == (session, session)
        case {"items": items}:
            assert found["items"] == items
        case {"ids": ids}:
            assert [row["id"] for row in found] == ids
        case {"rows": rows}:
            assert len(found.json()) == rows
        case {"sentence": sentence} | {"says": sentence}:
            assert found == sentence


@pytest.mark.parametrize("name", SAMPLES)
def test_an_answer_is_taken_for_what_it_means(name):
    key, sample = name.partition("/")[0], SAMPLES[name]
    player = player_of(key, sample)
    flow = CALLS[key][sample["call"].removesuffix("_v1")](made(key, sample["call"]))
    if "error" in sample:
        with pytest.raises(getattr(exceptions, sample["error"])) as caught:
            player.play(flow)
        assert type(caught.value).__name__ == sample["error"]
        assert sample["says"] in str(caught.value)
    else:
        check(sample, player.play(flow))
    assert sample.get("notes", "") in " ".join(player.notes)


@pytest.mark.parametrize("key", KEYS)
def test_the_readme_lists_every_sample_with_its_mark_and_source(key):
    listed = [line for line in (FOLDER / key / "README.md").read_text().splitlines() if line.startswith("| `")]
    own = {name.partition("/")[2]: sample for name, sample in SAMPLES.items() if name.startswith(f"{key}/")}
    expected = [f"| `{name}.json` | {one['call']} | {one['mark']} | {one['source']} |" for name, one in own.items()]
    assert sorted(listed) == sorted(expected)
    assert {one["mark"] for one in own.values()} == {"confirmed", "inferred"}


def test_every_system_has_samples():
    """A system without recorded answers is named here."""
    assert {name.partition("/")[0] for name in SAMPLES} == set(KEYS) == set(CALLS) == set(HOSTS)


def test_no_sample_holds_a_token():
    """Samples are made of documented answers, without anybody's credentials."""
    found = [name for name, sample in SAMPLES.items() for word in ("eyJ", "api_key") if word in json.dumps(sample)]
    assert not found

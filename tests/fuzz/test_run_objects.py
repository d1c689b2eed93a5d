"""Whatever a run object says, no request with credentials leaves the connection's own server.

A run object comes from XComs, asset events and ``dag_run.conf``, so anybody may have written it. The settings are those
of `test_answers`.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from airflow_workflow_provider.client.request_builder import check_address, prepared
from airflow_workflow_provider.exceptions import WorkflowError
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanCountRows
from airflow_workflow_provider.protocol.effects import Request, Response
from airflow_workflow_provider.protocol.limits import fitting
from airflow_workflow_provider.protocol.model import Output, Run, parse_run
from airflow_workflow_provider.protocol.retry import persist
from airflow_workflow_provider.protocol.text import clean_value
from airflow_workflow_provider.systems import SYSTEMS
from tests.fuzz.flows import RUNS, system_of
from tests.fuzz.mutating import answer_to, bodies, mutated
from tests.fuzz.test_answers import cases, seeded
from tests.protocol.playing import Player

HOST = "https://api.example.com"
EVIL = (
    "https://evil.example/x",
    "//evil.example/x",
    f"{HOST}@evil.example/",
    "http://169.254.169.254/latest",
    "file:///etc/passwd",
    "../../../admin",
    "..%2f..%2fadmin",
    "x; DROP TABLE y; --",
    "`p.d.t`; DROP TABLE `p.d.u`; --",
    'a"; DELETE FROM t; --',
    "x\r\nHost: evil.example",
    "job:1:0/../../x",
    "workfile:1:0:nan",
)


def forged(key: str, random: Any) -> Any:
    """A run object with some of its parts made up."""
    place = random.choice(EVIL)
    whole: dict[str, Any] = {
        "system": key,
        "conn_id": "fuzzed",
        "workflow": random.choice(("43", "p.d.wfproc_1", place)),
        "run_id": random.choice((*RUNS.get(key, ["run1"]), place)),
        "state": random.choice(("running", "succeeded", "succeeded", "failed")),
        "message": "",
        "url": place,
        "started_at": "2026-01-01T00:00:00Z",
        "ended_at": None,
        "outputs": [{"name": place, "kind": "table", "location": random.choice(EVIL), "formats": ["csv"]}],
        "details": {
            "files": [{"id": place, "name": place, "formats": ["Csv"]}],
            "carto_connection": place,
            "provider": place,
            "workflow_api": random.choice(("flow", "dataflow", place)),
            "results": [{"id": place, "url": place}],
            "session_id": place,
        },
    }
    found = mutated(whole, random) if random.random() < 0.6 else whole
    return found if random.random() < 0.8 else json.dumps(found)


def acts(system: Any, run: Run, random: Any) -> Any:
    """What is done with a run object, as the hook does it."""
    known = system.rebuilt(run)
    output = random.choice(known.outputs) if known.outputs else Output("x")
    if random.random() < 0.3:
        return system.read(known, output).flow()
    if random.random() < 0.2 and system.supports(CanCountRows):
        return system.require(CanCountRows).count_rows(known, output)
    if random.random() < 0.3 and system.supports(CanCancel):
        return persist(lambda: system.require(CanCancel).cancel(known))
    return persist(lambda: system.look(known) if random.random() < 0.7 else system.outputs(known))


@pytest.mark.parametrize("key", SYSTEMS)
def test_a_forged_run_object_moves_no_credential(key):
    """Every request is one that the client would send: to the own server, or without credentials to a result's host."""
    samples, played = bodies(key), 0
    for number in cases():
        random = seeded("forged", key, number)
        system = system_of(key, HOST, random)
        asked: list[Request] = []

        def reply(request: Request, random: Any = random, asked: list[Request] = asked) -> Response:
            asked.append(request)
            status, headers, content = answer_to(samples, random)
            return Response(status, headers, content)

        try:
            run = parse_run(forged(key, random))
            document = fitting(run).to_json()
            assert Run.from_json(document)
            assert clean_value(document) == document
            json.dumps(document, allow_nan=False)
            if run.system == key:  # the hook refuses another system's run
                Player(answer_to=reply).play(acts(system, run, random))
        except WorkflowError:
            pass  # an error is as good as a value
        for request in asked:
            if request.starts:  # the copy of a large table of CARTO, never a workflow
                assert str(request.json["query"]).lstrip().upper().startswith(("CREATE ", "DROP ")), request.json
                assert "CALL" not in str(request.json["query"]).partition("(")[0].upper()
            if request.signed_for:
                url = str(prepared(request).url)
                check_address(request, url, system.transport)
                parts = urlsplit(url)
                assert (parts.scheme, parts.netloc) == ("https", "api.example.com"), f"case {number}: {url}"
                assert "/../" not in unquote(parts.path), f"case {number}: {url}"
            text = json.dumps(request.json) if request.json else ""
            # A forged name may stand in a statement as a quoted name only.
            assert text.count(";") == 0 or "DROP" not in text.replace("`", '"').split('"')[0], f"case {number}: {text}"
        played += 1
    print(f"{key}: {played} forged run objects")

"""What a look at an engine process makes of texts, and a stored table of its cells."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from airflow_workflow_provider.exceptions import PermissionDenied, ProtocolError
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.model import Output, Run, RunHandle
from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.systems.chorus.engine import GRACE
from tests.protocol.playing import EPOCH, Player, answer

LOG_IN = answer(201, {"response": {"session_id": "a session of ours"}})
NONE, OVER = answer(200, '""'), "invalid processId or workflow already stopped.\n"


def chorus():
    """Chorus on a made-up connection."""
    return SYSTEMS["chorus"](
        ConnectionValues("c", host="https://server", login="user", password="s3cret-word")  # it is none
    )


def looked(body, results=NONE, **poll):
    """Poll a process; ``poll`` is what the polls before have seen."""
    player = Player([LOG_IN, answer(200, body), results])
    return player.play(chorus().get_run(Run("chorus", "c", "43", "p", handle=RunHandle(poll=poll))))


def progress(message):
    """What a query tells of a process that runs."""
    return {"meta": {"workflowId": "43", "processId": "p", "state": "IN_PROGRESS"}, "message": message}


@pytest.mark.parametrize("body", [OVER, "Workflow failed.\n", json.dumps("Workflow failed.")])
def test_any_sentence_is_an_end(body):
    """As the vendor's client has it; first the stored results are asked for, which may lag."""
    assert looked(body).handle.poll["over_since"] == EPOCH
    assert looked(body, over_since=EPOCH - GRACE).state == "failed"
    stored = answer(200, json.dumps(json.dumps({"flowMetaInfo": {"status": "SUCCESS"}})))
    assert looked(body, stored).state == "succeeded"


def test_a_sentence_that_nobody_knows_is_told():
    assert looked("Workflow failed.\n", over_since=EPOCH - GRACE).message.endswith("the engine says: Workflow failed.")
    assert looked(OVER, over_since=EPOCH - GRACE).message.endswith("or never existed")
    assert "session of ours" not in looked("No a session of ours", over_since=EPOCH - GRACE).message


@pytest.mark.parametrize(
    "body", ["<html><title>Down</title></html>", '{"meta": {"state": "IN_PR', "[]", "7", "null", ""]
)
def test_what_is_neither_a_process_nor_a_sentence_tells_nothing(body):
    with pytest.raises(ProtocolError):
        looked(body, over_since=EPOCH - GRACE)


def test_words_of_an_operator_are_no_end():
    found = looked(progress("Hadoop job was already stopped, trying again"), over_since=EPOCH - GRACE)
    assert found.state == "running"


def test_a_process_that_is_seen_again_has_its_whole_grace_again():
    assert "over_since" not in looked(progress(""), over_since=EPOCH - GRACE).handle.poll


def test_an_expired_licence_is_nothing_to_wait_for():
    player = Player([answer(503, {"errors": {"service": "LICENSE_EXPIRED"}})])
    with pytest.raises(PermissionDenied, match="no user can log in until the licence is renewed"):
        player.play(chorus().get_run(Run("chorus", "c", "43", "p")))


def cells(*texts):
    """The page of a stored table with one column of numbers."""
    table = {"columns": ["n"], "columnTypes": ["number"], "items": [{"n": text} for text in texts]}
    stored = {"flowMetaInfo": {"status": "SUCCESS"}, "outputs": [{"out_title": "Means", "visualData": table}]}
    output = Output("Means", "table", "https://server/workflows/43/results/p")
    player = Player([LOG_IN, answer(200, json.dumps(json.dumps(stored)))])
    player.play(chorus().read(Run("chorus", "c", "43", "p"), output).flow())
    (page,) = player.chunks
    return page.columns[0][1], [row["n"] for row in page.rows]


def test_numbers_lose_no_digit():
    found = cells("1", "0.5", "12345678901234567.89", "", "null", None)
    assert found == ("number", [1, 0.5, Decimal("12345678901234567.89"), None, None, None])


def test_a_number_that_is_spelled_otherwise_stays_text():
    assert cells("1,640", "7") == ("string", ["1,640", "7"])

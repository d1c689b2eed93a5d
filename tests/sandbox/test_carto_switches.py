"""What is not known for certain about CARTO's answers comes in every shape that a source suggests."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "state", "word"),
    [
        ({}, "airports_in_state", "success"),
        ({"success_word": "done"}, "airports_in_state", "done"),
        ({"success_word": "completed"}, "airports_in_state", "completed"),
        ({}, "failing", "failure"),
        ({"failure_word": "failed"}, "failing", "failed"),
    ],
)
def test_status_as_a_string(sandbox, carto, words, state, word):
    """The string style names id, word and out table; an error is beside it."""
    sandbox.settings("carto", status_style="string", **words)
    started = carto.start(state, {"state": "VT"} if state == "airports_in_state" else {})
    body = carto.ended(started["externalId"])
    assert (body["externalId"], body["status"]) == (started["externalId"], word)
    assert body["jobMetadata"] == started["jobMetadata"]
    assert ("error" in body) == (state == "failing")


def test_status_string_of_a_job_on_its_way(sandbox, carto):
    """Pending, then running; cancelled is a word of its own."""
    sandbox.settings("carto", status_style="string", pending_word="queued", pending_seconds=60)
    job = carto.start("clock", {"label": ""})["externalId"]
    assert carto.status(job)["status"] == "queued"
    carto.send("DELETE", f"/job/{job}")
    assert carto.status(job)["status"] == "cancelled"


@pytest.mark.parametrize("repeat", [True, False])
def test_status_may_repeat_the_out_table(sandbox, carto, repeat):
    """Whether the status names the out table again is a switch in both styles."""
    sandbox.settings("carto", repeat_output_table=repeat)
    assert ("jobMetadata" in carto.status(carto.start("clock", {"label": ""})["externalId"])) is repeat


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("jobMetadata", lambda body: body["jobMetadata"]["workflowOutputTableName"]),
        ("top", lambda body: body["workflowOutputTableName"]),
        ("meta", lambda body: body["meta"]["workflowOutputTableName"]),
        ("deep", lambda body: body["data"]["job"]["metadata"]["workflowOutputTableName"]),
        ("absent", lambda body: "" if "workflowOutputTableName" not in str(body) else None),
    ],
)
def test_place_of_the_out_table(sandbox, carto, place, found):
    """The name of the out table stands where the switch says."""
    sandbox.settings("carto", output_table_in=place)
    assert isinstance(found(carto.start("clock", {"label": ""})), str)


def test_creation_may_use_another_key_status_and_id(sandbox, carto):
    """A 202 with the id under `jobId`; a full BigQuery id has a colon in it and works in a path."""
    sandbox.settings("carto", job_id_key="jobId", job_status_code=202, job_id_style="full")
    answer = carto.send("POST", "/job", json=carto.call("clock", {"label": ""}))
    assert answer.status_code == 202
    assert answer.json()["jobId"].startswith("carto-dw-ac-sandbox:US.job_")
    assert carto.status(answer.json()["jobId"])["kind"] == "bigquery#job"


def test_errors_may_be_lists(sandbox, carto):
    """`error` is a list of strings, in answers and in the string status."""
    sandbox.settings("carto", error_style="list", status_style="string")
    assert carto.query("SELEC").json()["error"][0].startswith("Syntax error")
    assert isinstance(carto.ended(carto.start("failing", {})["externalId"])["error"], list)


@pytest.mark.parametrize("status", ["400", "404"])
def test_unknown_procedure_may_be_refused_at_creation(sandbox, carto, status):
    """Then no job exists."""
    sandbox.settings("carto", unknown_procedure=status)
    answer = carto.send("POST", "/job", json={"query": "CALL `p.d.q`()"})
    assert answer.status_code == int(status)
    assert answer.json()["error"].startswith("Not found: Procedure p:d.q")
    assert sandbox.runs() == []


def test_cancelling_may_be_ignored_or_differ(sandbox, carto):
    """Best effort: accepted, and the job ends as if nothing had been said."""
    sandbox.settings("carto", cancel_ignored=True, cancel_status=202, cancel_finished_status=200)
    job = carto.start("slow", {"seconds": 0.1})["externalId"]
    assert carto.send("DELETE", f"/job/{job}").status_code == 202
    assert carto.ended(job)["status"] == {"state": "DONE"}
    assert carto.send("DELETE", f"/job/{job}").status_code == 200


def test_rows_may_come_in_any_order(sandbox, carto):
    """A warehouse promises no order without ORDER BY, so pages without one do not fit together."""
    table = carto.run("many_rows", {"rows": 500})
    sandbox.settings("carto", stable_order=False)

    def paged(order: str) -> list[int]:
        pages = [f"SELECT id FROM `{table}` {order} LIMIT 250 OFFSET {start}" for start in (0, 250)]
        return [row["id"] for page in pages for row in carto.rows(page)]

    assert paged("ORDER BY id") == list(range(500))
    assert sorted(paged("")) != list(range(500))
    assert carto.rows(f"SELECT COUNT(*) AS n FROM `{table}`") == [{"n": 500}]


def test_times_may_be_objects(sandbox, carto):
    """BigQuery's Node client wraps dates and times."""
    sandbox.settings("carto", time_style="value_object")
    assert carto.rows("SELECT DATE '2024-02-29' AS day") == [{"day": {"value": "2024-02-29"}}]

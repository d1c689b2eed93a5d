"""CARTO's jobs: creation, states, failures, cancelling, cache and the out table."""

from __future__ import annotations

import json
import re
import time

import pytest
import requests

BY_STATE = "airports_by_state"


def test_creation_answers_id_and_out_table(carto):
    """The out table's name is known when the job is created."""
    started = carto.start(BY_STATE, {"min_airports": 100})
    assert re.fullmatch(r"job_[A-Za-z0-9]{28}", started["externalId"])
    assert started["jobMetadata"]["location"] == "US"
    table = started["jobMetadata"]["workflowOutputTableName"]
    assert re.fullmatch(r"carto-dw-ac-sandbox\.\w+\.wfproc_api_[0-9a-f]{16}_out_[0-9a-f]{16}", table)


def test_call_really_runs_with_its_parameters(carto):
    """The out table holds what the SQL gives for these parameters."""
    table = carto.run(BY_STATE, {"min_airports": 200})
    rows = carto.rows(f"SELECT state, airports FROM `{table}` ORDER BY airports DESC")
    assert [(row["state"], row["airports"]) for row in rows] == [("AK", 263), ("TX", 209), ("CA", 205)]


def test_arguments_go_by_their_place_in_the_call(carto):
    """The CALL's order decides, as the procedure declares its parameters in that order."""
    table = carto.run("airports_near", {"longitude": -97.67, "latitude": 30.19, "radius_km": 1})
    assert carto.rows(f"SELECT iata FROM `{table}`") == [{"iata": "AUS"}]


def test_job_by_get_as_the_dialog_offers_it(carto):
    """SQL, parameters as JSON text and the token are parts of the URL."""
    call = carto.call(BY_STATE, {"min_airports": 100})
    parameters = {"query": call["query"], "queryParameters": json.dumps(call["queryParameters"])}
    parameters["access_token"] = carto.token
    answer = requests.get(f"{carto.base}/v3/sql/carto_dw/job", params=parameters, timeout=5)
    assert answer.status_code == 200
    assert answer.json()["jobMetadata"]["workflowOutputTableName"].endswith("_out_f899139df5e10593")


def test_states_follow_each_other(sandbox, carto):
    """PENDING, RUNNING, DONE, with the times that belong to each."""
    sandbox.settings("carto", pending_seconds=0.3, running_seconds=0.3)
    job = carto.start(BY_STATE, {"min_airports": 100})["externalId"]
    seen = []
    while not seen or seen[-1] != "DONE":
        body = carto.status(job)
        seen += [body["status"]["state"]] if not seen or seen[-1] != body["status"]["state"] else []
        time.sleep(0.01)
    assert seen == ["PENDING", "RUNNING", "DONE"]
    times = body["statistics"]
    assert int(times["creationTime"]) + 100 < int(times["startTime"]) < int(times["endTime"])
    assert body["jobReference"] == {"projectId": "carto-dw-ac-sandbox", "jobId": job, "location": "US"}


def test_table_is_not_there_before_the_job_is_done(sandbox, carto):
    """Reading too early is a 400 that says so, also when an earlier run left its table."""
    sandbox.settings("carto", use_cache=False)
    carto.run("slow", {"seconds": 0.6})
    started = carto.start("slow", {"seconds": 0.6})
    table = started["jobMetadata"]["workflowOutputTableName"]
    time.sleep(0.15)
    answer = carto.query(f"SELECT * FROM `{table}`")
    assert answer.status_code == 400
    name = table.replace(".", ":", 1)
    assert answer.json() == {"error": f"Not found: Table {name} was not found in location US", "status": 400}
    carto.ended(started["externalId"])
    assert carto.rows(f"SELECT * FROM `{table}`") == [{"seconds": 0.6}]


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        (BY_STATE, {"min_airports": "100"}, "Invalid parameter type for @min_airports: expected FLOAT64, got STRING"),
        (BY_STATE, {"min_airports": True}, "Invalid parameter type for @min_airports: expected FLOAT64, got BOOL"),
        ("airports_in_state", {"state": 7}, "Invalid parameter type for @state: expected STRING, got INT64"),
        ("failing", {}, "Query error: Conversion Error: Could not convert string '00M'"),
    ],
)
def test_failure_is_in_the_status_with_its_message(carto, name, parameters, message):
    """Wrong types and SQL errors show when the job runs, not when it is created."""
    status = carto.ended(carto.start(name, parameters)["externalId"])["status"]
    assert status["state"] == "DONE"
    assert status["errorResult"]["message"].startswith(message)
    assert status["errors"] == [status["errorResult"]]


@pytest.mark.parametrize(
    ("query", "parameters", "message"),
    [
        ("CALL `p.d.wfproc_api_1`()", {}, "Not found: Procedure p:d.wfproc_api_1 was not found in location US"),
        ("SELEC 1", {}, "Syntax error: "),
        ("EXPORT DATA OPTIONS(uri='gs://b/*') AS SELECT 1", {}, "Syntax error: Statement not supported"),
        ("SELECT 1; SELECT 2", {}, "Syntax error: Expected one statement"),
        ("SELECT @missing", {}, "Query parameter 'missing' not found"),
        ("SELECT * FROM `p.d.t`", {}, "Not found: Table p:d.t was not found in location US"),
    ],
)
def test_statement_that_cannot_be_is_a_failed_job(carto, query, parameters, message):
    """The job exists and fails; nothing is guessed at creation."""
    started = carto.send("POST", "/job", json={"query": query, "queryParameters": parameters}).json()
    assert "workflowOutputTableName" not in started["jobMetadata"]
    assert carto.ended(started["externalId"])["status"]["errorResult"]["message"].startswith(message)


def test_missing_and_surplus_arguments_fail_the_job(carto):
    """A parameter that the CALL names but the request does not give is no default."""
    call = carto.call(BY_STATE, {"min_airports": 1})
    job = carto.send("POST", "/job", json=call | {"queryParameters": {}}).json()["externalId"]
    assert carto.ended(job)["status"]["errorResult"]["message"] == "Query parameter 'min_airports' not found"
    job = carto.send("POST", "/job", json={"query": call["query"].split("(")[0] + "(1, 2)"}).json()["externalId"]
    assert "expected 1, got 2" in carto.ended(job)["status"]["errorResult"]["message"]


def test_null_takes_the_variables_default(carto):
    """The procedure puts the default in, before the out table gets its name."""
    table = carto.run("airports_in_state", {"state": None})
    assert table == carto.start("airports_in_state", {"state": "TX"})["jobMetadata"]["workflowOutputTableName"]
    assert carto.rows(f"SELECT DISTINCT state FROM `{table}`") == [{"state": "TX"}]


def test_job_takes_other_statements(carto):
    """A clean-up by DROP TABLE IF EXISTS is a job as well."""
    table = carto.run("airports_in_state", {"state": "VT"})
    job = carto.send("POST", "/job", json={"query": f"DROP TABLE IF EXISTS `{table}`"}).json()["externalId"]
    assert carto.ended(job)["status"] == {"state": "DONE"}
    assert carto.query(f"SELECT * FROM `{table}`").status_code == 400


def test_cancel_stops_a_job(sandbox, carto):
    """A cancelled BigQuery job is DONE with the reason `stopped`; its table never appears."""
    started = carto.start("slow", {"seconds": 60})
    answer = carto.send("DELETE", f"/job/{started['externalId']}")
    assert answer.status_code == 200
    status = carto.status(started["externalId"])["status"]
    assert (status["state"], status["errorResult"]["reason"]) == ("DONE", "stopped")
    assert sandbox.runs()[0]["state"] == "cancelled"


def test_cancelling_an_ended_or_unknown_job(sandbox, carto):
    """400 when it has ended, 404 when there is none."""
    job = carto.start("clock", {"label": ""})["externalId"]
    carto.ended(job)
    assert carto.send("DELETE", f"/job/{job}").status_code == 400
    assert carto.send("DELETE", "/job/job_none").status_code == 404
    assert carto.send("GET", "/job/job_none").json() == {"error": "Job not found", "status": 404}


def test_equal_parameters_use_the_table_again(sandbox, carto):
    """With the cache on, a second run changes nothing; with it off, it runs anew into the same table."""

    def executed() -> str:
        return carto.rows(f"SELECT * FROM `{carto.run('clock', {'label': 'a'})}`")[0]["executed_at"]

    first = executed()
    assert executed() == first
    assert sandbox.runs()[-1]["details"]["cached"] is True
    sandbox.settings("carto", use_cache=False)
    assert executed() > first
    assert carto.run("clock", {"label": "b"}) != carto.run("clock", {"label": "a"})


def test_cache_skips_the_side_effects_too(carto):
    """A cached procedure skips its whole body, so *Save as table* does not happen again."""
    carto.run("no_output", {"state": "VT"})
    saved = "`carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.saved`"
    assert carto.query(f"DROP TABLE {saved}").status_code == 200
    carto.run("no_output", {"state": "VT"})
    assert carto.query(f"SELECT * FROM {saved}").status_code == 400


def test_workflow_without_output_component_leaves_dummy(sandbox, carto):
    """The out table has one row and the one column `dummy`; the side effect is real."""
    table = carto.run("no_output", {"state": "VT"})
    assert carto.rows(f"SELECT * FROM `{table}`") == [{"dummy": 1}]
    sandbox.settings("carto", dummy_output=False)
    assert carto.start("no_output", {"state": "NH"})["jobMetadata"] == {"location": "US"}


def test_jobs_are_listed(carto):
    """The list has every job in the shape of its status."""
    job = carto.start("clock", {"label": ""})["externalId"]
    carto.ended(job)
    headers = {"Authorization": f"Bearer {carto.token}"}
    listed = requests.get(f"{carto.base}/v3/sql/jobs", headers=headers, timeout=5).json()
    assert listed == [carto.status(job)]


def test_a_decimal_in_the_statement_is_a_number(carto):
    """A CALL may hold its values, as the UI shows it; ``0.1`` is a number like ``1``."""
    statement = carto.call("slow", {"seconds": 0})["query"].partition("(")[0]
    job = carto.send("POST", "/job", json={"query": f"{statement}(0.1)"}).json()["externalId"]
    assert "errorResult" not in carto.ended(job)["status"]

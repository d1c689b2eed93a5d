"""The results of Chorus' engine: JSON inside a JSON string, with every operator's first rows."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import datetime

import pytest
import requests

WEATHER, AIRPORTS, FAILING, SUMMARY = 1000004, 1000005, 1000008, 1000011
ENDED = "invalid processId or workflow already stopped.\n"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def eventually(holds):
    """Wait until something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.01)


class Engine:
    """The engine's API as a caller sees it who sends the token as a parameter."""

    def __init__(self, sandbox):
        self.root, self.api = f"{sandbox.url}/chorus/alpinedatalabs/api/v1/json", f"{sandbox.url}/chorus/api"
        fields = {"username": "sandbox", "password": "sandbox-chorus-password", "session_id": "NULL"}
        self.token = requests.post(f"{self.api}/sessions", data=fields, timeout=5).json()["response"]["session_id"]

    def call(self, method, path, body=None, **params):
        """One request."""
        params["token"] = self.token
        return requests.request(method, self.root + path, params=params, json=body, timeout=10)

    def start(self, workflow, save="true", **variables):
        """Start a flow; the id of the process."""
        named = [{"name": f"@{name}", "value": value} for name, value in variables.items()]
        body = {"meta": {"version": 1}, "variables": named}
        return self.call("POST", f"/workflows/{workflow}/run", body, saveResult=save).json()["meta"]["processId"]

    def query(self, process):
        """The answer about a process."""
        return self.call("GET", f"/processes/{process}/query")

    def results(self, workflow, process):
        """The text inside the answer's JSON string."""
        return self.call("GET", f"/workflows/{workflow}/results/{process}").json()

    def finish(self, workflow, **variables):
        """Run a flow to its end; its results."""
        process = self.start(workflow, **variables)
        eventually(lambda: self.results(workflow, process))
        return json.loads(self.results(workflow, process))

    def over(self, process):
        """Wait until nothing is known of a process any more."""
        eventually(lambda: self.query(process).text == ENDED)

    def table(self, name):
        """All rows of a table of the workspace."""
        params = {"session_id": self.token, "name_pattern": name}
        found = requests.get(f"{self.api}/workspaces/1000008/datasets", params=params, timeout=5).json()["response"]
        download = requests.get(f"{self.api}/datasets/{found[0]['id']}/download", params=params, timeout=10)
        return list(csv.DictReader(io.StringIO(download.content.decode())))


@pytest.fixture
def engine(sandbox):
    """A member of the workspaces; flows take as long as their SQL."""
    sandbox.settings("chorus", node_seconds=0.02, result_seconds=0)
    return Engine(sandbox)


def test_results_are_json_inside_a_json_string(engine):
    """Run, log and outputs; times have an offset without a colon."""
    found = engine.finish(AIRPORTS, state="VT")
    info = found["flowMetaInfo"]
    assert (info["status"], info["noOfError"], info["noOfNodesProcessed"]) == ("SUCCESS", 0, 1)
    assert (info["workflowId"], info["workflowName"], info["executeUser"]) == (
        str(AIRPORTS),
        "state_airports",
        "1000006",
    )
    began, over = (datetime.strptime(info[key], "%Y-%m-%dT%H:%M:%S.%f%z") for key in ("startTime", "endTime"))
    assert began <= over
    assert ":" not in info["startTime"][-5:]
    assert [(log["nodeName"], log["errMessage"]) for log in found["logs"]] == [("Row Filter", "null")]
    (output,) = found["outputs"]
    assert (output["out_title"], output["visualType"], output["isGenerateReport"]) == ("Row Filter", 0, True)
    assert ["TableName", "demo.state_airports"] in output["node_meta_info"]
    table = output["visualData"]
    assert table["columns"] == ["iata", "name", "city", "state", "latitude", "longitude"]
    assert table["columnTypes"] == ["string"] * 4 + ["number"] * 2
    assert len(table["items"]) == 13
    assert table["errorMessages"] == []
    assert {item["state"] for item in table["items"]} == {"VT"}
    assert all(isinstance(cell, str) for item in table["items"] for cell in item.values())


def test_rows_of_a_result_are_capped_and_the_table_has_them_all(engine):
    """Twenty-five rows and a note in the result; the dataset's CSV is complete."""
    found = engine.finish(WEATHER, weather="'sun'", min_temp="20", marker="'run 7'")
    days, months = (output["visualData"] for output in found["outputs"])
    assert len(days["items"]) == 25
    rows = engine.table("weather_days")
    note = f"Operation created output with 7 columns and {len(rows)} rows. Visualization of rows limited to 25. "
    assert days["errorMessages"] == [note + "Please refer to output table for full results."]
    assert len(rows) > 300
    assert rows[:25] == days["items"]
    assert {(row["weather"], row["marker"]) for row in rows} == {("sun", "run 7")}
    assert min(float(row["temp_max"]) for row in rows) >= 20
    assert sum(int(item["days"]) for item in months["items"]) <= len(rows)


def test_results_are_empty_until_they_are_there(sandbox, engine):
    """The empty string while the flow runs, for a while after its end, for another flow and for no process."""
    sandbox.settings("chorus", result_seconds=0.4)
    process = engine.start(AIRPORTS)
    assert engine.results(AIRPORTS, process) == ""
    engine.over(process)
    assert engine.call("GET", f"/workflows/{AIRPORTS}/results/{process}").text == '""'
    eventually(lambda: engine.results(AIRPORTS, process))
    assert engine.results(WEATHER, process) == engine.results(AIRPORTS, UNKNOWN) == ""
    sandbox.settings("chorus", results_lost=True)
    assert engine.results(AIRPORTS, process) == ""


def test_results_are_not_kept_when_not_wanted(engine):
    """``saveResult=false`` keeps nothing."""
    process = engine.start(AIRPORTS, save="false")
    engine.over(process)
    time.sleep(0.05)
    assert engine.results(AIRPORTS, process) == ""


def test_failure_is_told_in_the_log(sandbox, engine):
    """FAILURE, one error, and the operator's message; what ran before is there."""
    found = engine.finish(FAILING)
    assert (found["flowMetaInfo"]["status"], found["flowMetaInfo"]["noOfError"]) == ("FAILURE", 1)
    good, bad = found["logs"]
    assert (good["nodeName"], good["errMessage"], bad["nodeName"]) == ("Weather Counts", "null", "Variable")
    assert "Could not convert string 'drizzle'" in bad["errMessage"]
    assert [output["out_title"] for output in found["outputs"]] == ["Weather Counts"]
    sandbox.settings("chorus", failed_text="Workflow failed.\n")
    assert engine.query(found["flowMetaInfo"]["processId"]).text == "Workflow failed.\n"


def test_variable_without_the_quotes_it_needs_fails(engine):
    """Values are put in as text, so a bare word is a column that does not exist."""
    found = engine.finish(WEATHER, weather="sun")
    assert found["flowMetaInfo"]["status"] == "FAILURE"
    assert '"sun" not found' in found["logs"][0]["errMessage"]


def test_operator_with_several_tables(engine):
    """``visualType`` 6 has a list of titled outputs."""
    (output,) = engine.finish(SUMMARY)["outputs"]
    assert output["visualType"] == 6
    assert [one["out_title"] for one in output["visualData"]] == ["Numeric", "Categorical"]
    counts = output["visualData"][1]["visualData"]["items"]
    assert counts[0] == {"weather": "drizzle", "days": "54"}

"""Chorus' workspaces: the lists of workfiles and datasets, and a dataset's download as CSV."""

from __future__ import annotations

import csv
import io
import time

import pytest
import requests

SQL_FILE, PUBLIC, DROPPED = 1000014, 1000008, 1000001


class Chorus:
    """The Rails side as a caller with ``requests`` sees it."""

    def __init__(self, sandbox, login=("sandbox", "sandbox-chorus-password")):
        self.api = f"{sandbox.url}/chorus/api"
        fields = dict(zip(("username", "password"), login, strict=True)) | {"session_id": "NULL"}
        answer = requests.post(f"{self.api}/sessions", data=fields, timeout=5)
        self.params = {"session_id": answer.json()["response"]["session_id"]}

    def call(self, method, path, **params):
        """One request with the session as its parameter."""
        return requests.request(method, self.api + path, params=self.params | params, timeout=10)

    def get(self, path, **params):
        """The content of a good answer to a GET."""
        answer = self.call("GET", path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def run_flow(self, workfile):
        """Run a workfile until it is idle."""
        self.call("POST", f"/workfiles/{workfile}/run")
        deadline = time.monotonic() + 10
        while self.get(f"/workfiles/{workfile}")["response"]["status"] != "idle":
            assert time.monotonic() < deadline, "the workfile does not become idle"
            time.sleep(0.01)

    def datasets(self, **params):
        """The datasets of the workspace."""
        return self.get(f"/workspaces/{PUBLIC}/datasets", **params)["response"]

    def dataset(self, name):
        """The dataset of that name."""
        (found,) = [one for one in self.datasets() if one["object_name"] == name]
        return found

    def download(self, name, **params):
        """The text of a dataset's download."""
        answer = self.call("GET", f"/datasets/{self.dataset(name)['id']}/download", **params)
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'
        return answer.content.decode()


@pytest.fixture
def chorus(sandbox):
    """A member of the workspaces; flows take as long as their SQL."""
    sandbox.settings("chorus", node_seconds=0.02)
    return Chorus(sandbox)


def test_list_is_paginated_with_the_number_of_pages_as_total(chorus):
    """``records`` are rows, ``total`` are pages; items are brief."""
    found = chorus.get(f"/workspaces/{PUBLIC}/workfiles", page=2, per_page=4, order="file_name")
    assert found["pagination"] == {"page": 2, "per_page": 4, "records": 11, "total": 3}
    assert [one["file_name"] for one in found["response"]] == ["many_rows", "notes.sql", "slow", "state_airports"]
    assert set(found["response"][0]["workspace"]) == {"id", "name", "is_deleted", "entity_type"}
    assert not {"execution_locations", "dataset_ids"} & set(found["response"][0])
    assert chorus.get(f"/workspaces/{PUBLIC}/workfiles", per_page=0)["pagination"]["total"] is None
    empty = chorus.get(f"/workspaces/{PUBLIC}/workfiles", name_pattern="nosuch")
    assert empty == {"response": [], "pagination": {"page": 1, "per_page": 50, "records": 0, "total": 1}}


def test_name_pattern_is_like(chorus):
    """An underscore stands for any letter, letters count as they are, and the list filters by type."""
    path = f"/workspaces/{PUBLIC}/workfiles"
    names = [one["file_name"] for one in chorus.get(path, name_pattern="weather_days")["response"]]
    assert names == ["weather-days", "weather_days"]
    assert chorus.get(path, name_pattern="WEATHER")["response"] == []
    assert [one["id"] for one in chorus.get(path, file_type="sql")["response"]] == [SQL_FILE]


def test_workspaces_that_a_user_may_see(sandbox, chorus):
    """Public ones and one's own."""
    names = [one["name"] for one in chorus.get("/workspaces")["response"]]
    assert names == ["Archive", "Public"]
    assert [
        one["name"]
        for one in Chorus(sandbox, ("colleague", "sandbox-chorus-colleague-password")).get("/workspaces")["response"]
    ][1] == "Private"
    assert chorus.get(f"/workspaces/{PUBLIC}")["response"]["sandbox_info"]["name"] == "demo"


@pytest.mark.parametrize("path", ["/workfiles/1", "/workfiles/x", "/workspaces/1/workfiles", "/datasets/1/download"])
def test_unknown_records(chorus, path):
    """404 that says so."""
    answer = chorus.call("GET", path)
    assert (answer.status_code, answer.json()) == (404, {"errors": {"record": "NOT_FOUND"}})


def test_datasets_are_found_when_they_are_there(chorus):
    """A flow's table appears after its run and keeps its id; filters work on name and subtype."""
    assert {one["object_name"] for one in chorus.datasets()} == {
        "airports", "broken_view", "empty_table", "seattle_weather",
    }  # fmt: skip
    chorus.run_flow(1000004)
    found = chorus.datasets(name_pattern="weather", entity_subtype="SANDBOX_TABLE")
    assert [(one["object_name"], one["object_type"], one["entity_type"]) for one in found] == [
        ("weather_days", "TABLE", "dataset"),
        ("weather_months", "TABLE", "dataset"),
    ]
    number = found[0]["id"]
    chorus.run_flow(1000004)
    assert chorus.dataset("weather_days")["id"] == number
    assert chorus.get(f"/workspaces/{PUBLIC}/datasets/{number}")["response"]["object_name"] == "weather_days"
    assert chorus.dataset("broken_view")["entity_subtype"] == "CHORUS_VIEW"
    assert chorus.get("/workspaces/1000009/datasets")["response"] == []


def test_a_second_schema_may_have_a_table_of_the_same_name(chorus, sandbox):
    """It is listed beside the other, and tells its schema."""
    sandbox.settings("chorus", second_schema=True)
    one, two = sorted(chorus.datasets(name_pattern="airports"), key=lambda found: found["id"])
    assert (one["schema"]["name"], two["schema"]["name"], two["object_name"]) == ("demo", "staging", "airports")
    assert one["schema"]["id"] != two["schema"]["id"]
    answer = chorus.call("GET", f"/datasets/{two['id']}/download", row_limit=1)
    assert answer.text.splitlines()[0] == "error,iata"


def test_download_is_all_rows_as_csv(chorus):
    """A header and every row, or the first ones; it is chunked and has no CSV content type."""
    chorus.run_flow(1000006)
    rows = list(csv.DictReader(io.StringIO(chorus.download("many_rows"))))
    assert len(rows) == 1000
    assert rows[7] == {
        "id": "7", "code": "00000007", "day": "2024-01-08", "amount": "0.49", "note": "row 7 of 1000",
    }  # fmt: skip
    assert len(chorus.download("many_rows", row_limit=3, header="false").splitlines()) == 4
    answer = chorus.call("GET", f"/datasets/{chorus.dataset('many_rows')['id']}/download")
    assert (answer.headers["Transfer-Encoding"], answer.headers["Content-Type"]) == ("chunked", "text/html")


def test_download_quotes_as_ruby_does(chorus):
    """NULL and empty text are both two quotes, truth values are letters, special texts are in quotes."""
    chorus.run_flow(1000010)
    assert chorus.download("every_type") == (
        "id,code,big_number,amount,ratio,flag,day,instant,two words\n"
        "1,007,9007199254740993,12345678.90,2.5,t,2024-02-29,2024-02-29 12:34:56.789,"
        '"comma, quote "" and back\\slash"\n'
        '2,"",-9223372036854775808,-0.01,0.1,f,1969-12-31,1969-12-31 23:59:59,Zürich 東京 🛩\n'
        '3,null,0,0.00,1e+300,t,9999-12-31,9999-12-31 23:59:59,"line\nbreak"\n'
        '4,"","","","","","","",""\n'
    )


def test_download_of_no_rows_has_no_header(chorus):
    """One line of words instead."""
    assert chorus.download("empty_table") == "The query returned no rows"


def test_download_may_end_in_an_error_with_status_200(sandbox, chorus):
    """The database's words are in the body, instead of the rows or after some of them."""
    assert chorus.download("broken_view").startswith("ERROR: Conversion Error: Could not convert")
    sandbox.settings("chorus", download_error_after=2)
    lines = chorus.download("airports").splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("iata,name,")
    assert lines[3] == "ERROR: canceling statement due to user request"


def test_dataset_that_is_gone(chorus):
    """Its record is shown with an error beside it; its download is an error as text."""
    answer = chorus.call("GET", f"/workspaces/{PUBLIC}/datasets/{DROPPED}")
    assert answer.status_code == 422
    assert answer.json()["errors"] == {"record": "MISSING_DB_OBJECT"}
    assert (answer.json()["response"]["object_name"], answer.json()["response"]["stale"]) == ("dropped_table", True)
    assert chorus.call("GET", f"/datasets/{DROPPED}/download").text.startswith("ERROR: Catalog Error")

"""The outputs of the sandbox's Alteryx jobs: real rows, in the formats that each file is offered in."""

from __future__ import annotations

import csv
import http.client
import io
import json
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
import requests
import vega_datasets
from requests_oauthlib import OAuth1
from yxdb.yxdb_reader import YxdbReader

from airflow_workflow_provider.sandbox.alteryx import yxdb

WEATHER, PRICES, REPORT, AIRPORTS, MANY, EVERY_TYPE, ECHO, DEMO = (
    f"5f0e2c0000000000000000{at}" for at in ("01", "02", "03", "04", "05", "06", "07", "0d")
)
DATA = Path(vega_datasets.__file__).parent / "_data"
BOM = b"\xef\xbb\xbf"


def read(name):
    """The rows of one of the data files that the apps work on."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows(content):
    """The rows of a CSV."""
    return list(csv.DictReader(io.StringIO(content.decode())))


def records(content):
    """The rows of a .yxdb, as an independent reader sees them."""
    reader, found = YxdbReader(stream=io.BytesIO(content)), []
    names = [field.name for field in reader.list_fields()]
    while reader.next():
        found.append({name: reader.read_name(name) for name in names})
    return found


class Server:
    """An Alteryx Server as the holder of a token sees it."""

    def __init__(self, sandbox, session):
        self.sandbox, self.session, self.base = sandbox, session, f"{sandbox.url}/alteryx/webapi"
        form = {"grant_type": "client_credentials"}
        credentials = ("sandbox-alteryx-key", "sandbox-alteryx-secret")
        answer = session.post(f"{self.base}/oauth2/token", data=form, auth=credentials, timeout=5)
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def run(self, app, answers=(), **body):
        """Run an app to its success; the job's V3 answer."""
        questions = [{"name": name, "value": value} for name, value in dict(answers).items()]
        url = f"{self.base}/v3/workflows/{app}/jobs"
        job = self.session.post(url, json={"questions": questions} | body, timeout=5).json()["id"]
        deadline = time.monotonic() + 10
        while next(run["state"] for run in self.sandbox.runs("alteryx") if run["id"] == job) != "success":
            assert time.monotonic() < deadline, "the job does not succeed"
            time.sleep(0.005)
        return self.session.get(f"{self.base}/v3/jobs/{job}", timeout=5).json()

    def fetch(self, job, form=None, at=0):
        """Download an output, through V1 as V3 has no path for it."""
        url = f"{self.base}/v1/jobs/{job['id']}/output/{job['outputs'][at]['id']}"
        return self.session.get(url, params={"format": form} if form else {}, timeout=5)


@pytest.fixture
def server(sandbox):
    """A signed-in caller; jobs are as fast as their work."""
    sandbox.settings("alteryx", queued_seconds=0, running_seconds=0)
    with requests.Session() as session:
        yield Server(sandbox, session)


def test_answers_choose_the_rows(server):
    """Two days and some kinds of weather: both ends belong to it."""
    asked = {"Start": "2012-03-01", "End": "2012-05-31", "Weather": "rain, snow"}
    found = rows(server.fetch(server.run(WEATHER, asked), "Csv").content)
    expected = [row for row in read("seattle-weather") if "2012/03/01" <= row["date"] <= "2012/05/31"]
    expected = [row for row in expected if row["weather"] in {"rain", "snow"}]
    assert [(one["date"], one["weather"]) for one in found] == [
        (one["date"].replace("/", "-"), one["weather"]) for one in expected
    ]
    assert [float(one["temp_max"]) for one in found] == [float(one["temp_max"]) for one in expected]


def test_default_answers(server):
    """Questions that nobody answers, or answers with null, keep their defaults."""
    job = server.run(PRICES, {"Symbol": None})
    assert [(one["fileName"], one["availableFormats"]) for one in job["outputs"]] == [
        ("stock_prices.csv", ["Raw", "Csv"])
    ]
    found = rows(server.fetch(job).content)
    expected = [float(one["price"]) for one in read("stocks") if one["symbol"] == "IBM"]
    assert [float(one["price"]) for one in found] == expected
    assert found[0]["date"] == "2000-01-01"


def test_several_outputs(server):
    """Each output has its own name, formats and rows."""
    job = server.run(REPORT, {"Year": 2014})
    assert [one["fileName"] for one in job["outputs"]] == ["daily.yxdb", "monthly.csv"]
    days, months = records(server.fetch(job, "Yxdb").content), rows(server.fetch(job, "Csv", at=1).content)
    source = [one for one in read("seattle-weather") if one["date"].startswith("2014")]
    assert [one["temp_max"] for one in days] == [float(one["temp_max"]) for one in source]
    counted = Counter(int(one["date"][5:7]) for one in source)
    assert [(int(one["month"]), int(one["days"])) for one in months] == sorted(counted.items())
    assert sum(float(one["precipitation"]) for one in months) == pytest.approx(
        sum(float(one["precipitation"]) for one in source)
    )


def test_formats_of_one_output(server):
    """Raw is the file as written and the default; Csv and Yxdb hold the same rows; others are a 400."""
    job = server.run(AIRPORTS, {"State": "NH"})
    raw, packed, text = (server.fetch(job, form) for form in (None, "Yxdb", "Csv"))
    assert raw.content == packed.content == server.fetch(job, "Raw").content
    assert raw.content.startswith(b"Alteryx Database File")
    assert [one["iata"] for one in records(packed.content)] == [one["iata"] for one in rows(text.content)]
    assert [one["iata"] for one in rows(text.content)] == sorted(
        one["iata"] for one in read("airports") if one["state"] == "NH"
    )
    assert text.headers["content-disposition"] == 'attachment; filename="airports.csv"'
    assert server.fetch(job, "Xlsx").status_code == 400
    missing = server.session.get(f"{server.base}/v1/jobs/{job['id']}/output/nope", timeout=5)
    assert missing.status_code == 404


def test_byte_order_mark(server):
    """CSV made from a .yxdb may begin with one; a file that was written as CSV stays as it is."""
    server.sandbox.settings("alteryx", csv_bom=True)
    marked = server.fetch(server.run(AIRPORTS), "Csv").content
    assert marked.startswith(BOM + b"iata,")
    assert not server.fetch(server.run(DEMO), "Csv").content.startswith(BOM)


def test_difficult_values(server):
    """Every type keeps its value in both formats; text that looks like a number stays text."""
    job = server.run(EVERY_TYPE)
    packed, text = records(server.fetch(job, "Yxdb").content), rows(server.fetch(job, "Csv").content)
    assert [one["status"] for one in job["messages"]] == [1, 2, 5]
    assert packed[0] | {"amount": None} == {
        "id": 1, "tiny": 0, "small": -32768, "big": 9007199254740993, "single": 0.5, "ratio": 0.1, "amount": None,
        "flag": True, "code": "007", "two words": "Zürich 東京 🛩", "day": datetime(2024, 2, 29),  # noqa: DTZ001
        "moment": datetime(2024, 2, 29, 12, 34, 56),  # noqa: DTZ001
    }  # fmt: skip
    assert [one["two words"] for one in packed[1:3]] == ['quote " comma , and\na new line', "long " * 100]
    assert [one["code"] for one in packed] == ["007", "01", "", None]
    assert set(packed[3].values()) == {4, None}
    assert text[0]["amount"] == "1234567890123.456789"
    assert [(one["code"], one["flag"], one["moment"]) for one in text] == [
        ("007", "True", "2024-02-29 12:34:56"),
        ("01", "False", "1969-12-31 23:59:59"),
        ("", "True", "9999-12-31 00:00:00"),
        ("", "", ""),
    ]
    assert text[1]["two words"] == packed[1]["two words"]


def test_many_rows(server):
    """As many as asked for, in order, a second apart; the header tells the length."""
    answer = server.fetch(server.run(MANY, {"Rows": "20000"}), "Csv")
    found = rows(answer.content)
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert [int(one["id"]) for one in found] == list(range(20000))
    assert found[3377]["iata"] == found[1]["iata"] == sorted(one["iata"] for one in read("airports"))[1]
    assert found[19999]["seen_at"] == "2024-01-01 05:33:19"


def test_bad_answer_is_an_error_of_the_job(server):
    """A day that is none lets the job fail with the engine's words."""
    questions = [{"name": "Start", "value": "yesterday"}]
    job = server.session.post(f"{server.base}/v3/workflows/{WEATHER}/jobs", json={"questions": questions}, timeout=5)
    url = f"{server.base}/v3/jobs/{job.json()['id']}"
    deadline = time.monotonic() + 10
    while (found := server.session.get(url, timeout=5).json())["status"] != "Completed":
        assert time.monotonic() < deadline
    assert (found["disposition"], found["outputs"]) == ("Error", [])
    assert "yesterday" in found["messages"][0]["text"]


def test_echo_shows_what_arrived(server):
    """One row per question and for the body's own fields, as text."""
    asked = {"Text": "a, b", "Number": 7, "Date": "2024-02-29", "Check Box (5)": True}
    body = {"priority": "Critical", "workerTag": "big", "credentialId": "5f0e2c0000000000000c0001"}
    found = rows(server.fetch(server.run(ECHO, asked, **body), "Csv").content)
    assert [(one["name"], one["value"]) for one in found] == [
        ("Text", "a, b"),
        ("Number", "7"),
        ("Date", "2024-02-29"),
        ("Check Box (5)", "true"),
        *body.items(),
    ]


def test_output_through_the_gallery(server):
    """With OAuth 1 the format is part of what is signed; one added afterwards is refused."""
    job = server.run(PRICES)
    path = f"/alteryx/gallery/api/v1/jobs/{job['id']}/output/{job['outputs'][0]['id']}/"
    one = requests.Session()
    one.auth = OAuth1("sandbox-alteryx-key", "sandbox-alteryx-secret", signature_type="query")
    assert len(rows(one.get(server.sandbox.url + path, params={"format": "Csv"}, timeout=5).content)) == 123
    prepared = one.prepare_request(requests.Request("GET", server.sandbox.url + path))
    connection = http.client.HTTPConnection(server.sandbox.url.split("/")[2], timeout=5)
    try:
        connection.request("GET", f"{prepared.path_url}&format=Csv")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["exceptionName"]) == (401, "UnauthorizedException")
    finally:
        connection.close()


def test_yxdb_with_many_blocks(tmp_path):
    """Files of more than one block and index entry are read back whole, with and without text columns."""
    path = tmp_path / "big.yxdb"
    with path.open("wb") as file:
        assert (
            yxdb.write(file, [("n", "BIGINT"), ("t", "VARCHAR")], ((n, f"{n:x}" * 3) for n in range(70_000))) == 70_000
        )
    found = records(path.read_bytes())
    assert [one["n"] for one in found] == list(range(70_000))
    assert found[-1]["t"] == f"{69_999:x}" * 3
    with path.open("wb") as file:
        yxdb.write(file, [("n", "INTEGER")], ((n,) for n in range(3)))
    assert [one["n"] for one in records(path.read_bytes())] == [0, 1, 2]

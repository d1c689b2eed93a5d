"""InVision's JSON Data API and Monitoring API: the rows and the log of runs, each behind a key of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import requests

EXECUTION, DATA, MONITORING = (f"5a9d000{at}-0000-4000-8000-00000000ab0{at}" for at in range(1, 4))
EMPLOYMENT = "2f0c0001-3b1e-4c55-9a10-0d5eed000001"
ROWS = "2f0c0003-3b1e-4c55-9a10-0d5eed000003"
FAILING = "2f0c0005-3b1e-4c55-9a10-0d5eed000005"
TYPES = "2f0c0007-3b1e-4c55-9a10-0d5eed000007"
TABLE, OBJECT = "tables/Fact_Employment", "objects/Employment by Sector"


class Invision:
    """All three APIs as a caller with ``requests`` sees them."""

    def __init__(self, sandbox):
        self.base = f"{sandbox.url}/invision"

    def run(self, flow, **arguments):
        """Run a data flow to its end; the id of the run."""
        answer = requests.post(
            f"{self.base}/api/pub/v1/dataflows/{flow}/start?await=true",
            json={"globalArguments": arguments}, headers={"x-api-key": EXECUTION}, timeout=10,
        )  # fmt: skip
        return answer.json()["runId"]

    def data(self, place, q=None, key=DATA):
        """The answer of the data API for a table or an object."""
        params = {"q": q} if q is not None else {}
        return requests.get(f"{self.base}/api/pub/v1/db/{place}/data", params, headers={"x-api-key": key}, timeout=10)

    def rows(self, place, q=None):
        """The rows of a good answer."""
        answer = self.data(place, q)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def log(self, begin=-60, end=60, key=MONITORING, **more):
        """The answer of the monitoring API for a window around now, in seconds."""
        times = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (begin, end))
        window = (f"{moment:%Y.%m.%d %H:%M:%S}" for moment in times)
        params = dict(zip(("fromDateTimeUtc", "toDateTimeUtc"), window, strict=True)) | more
        return requests.get(f"{self.base}/api/v1/monitoring", params, headers={"x-api-key": key}, timeout=5)


@pytest.fixture
def invision(sandbox):
    """A caller; runs take as long as their SQL."""
    sandbox.settings("invision", pending_seconds=0, running_seconds=0)
    return Invision(sandbox)


def test_rows_carry_the_id_of_their_run(invision):
    """A filter on RunId gives what one run wrote, by table name and by object name."""
    assert invision.data(TABLE).text == "[]"
    first = invision.run(EMPLOYMENT, sector="construction", fromMonth="2015-11-01")
    second = invision.run(EMPLOYMENT, sector="manufacturing", fromMonth="2015-12-01")
    rows = invision.rows(TABLE, f'{{RunId == "{first}"}}')
    assert rows == invision.rows(OBJECT, f'{{RunId == "{first}"}}')
    assert [(row["Month"], row["Sector"]) for row in rows] == [
        ("2015-11-01T00:00:00", "construction"),
        ("2015-12-01T00:00:00", "construction"),
    ]
    assert all(isinstance(row["Employees"], float) for row in rows)
    assert [row["RunId"] for row in invision.rows(TABLE)] == [first, first, second]


@pytest.mark.parametrize(
    ("q", "number"),
    [
        ('{Month == "2015-12-01"}', 1),
        ('{Month != "2015-12-01"}', 119),
        ('{month >= "2015-01-01" && Month < "2015-03-01"}', 2),
        ('{Month <= "2006-02-01" || Month > "2015-11-01"}', 3),
        ('{(Month == "2015-12-01" or Month == "2015-11-01") and Employees > 12300}', 2),
        ("{Employees == 0}", 0),
        ("{Employees == null}", 0),
        ("{[Employees] != null}", 120),
        ('{Sector == "a \\"quoted\\" word"}', 0),
    ],
)
def test_filters(invision, q, number):
    """Comparisons of a column with a literal, joined by and, or and brackets."""
    invision.run(EMPLOYMENT)
    assert len(invision.rows(TABLE, q)) == number


@pytest.mark.parametrize(
    "q",
    ['Month == "x"', '{Month == "x"}', '{Nosuch == "x"}', "{Month}", "{Month ==}", '{Month == "x" "y"}', "{1 == 1}",
     '{Month == "2015-12-01"; DROP TABLE x}', "{}"],
)  # fmt: skip
def test_bad_filters_are_500(invision, q):
    """The only error that is documented, and never a part of an answer."""
    assert (invision.data(TABLE, q).status_code, invision.data(TABLE, q).content) == (500, b"")


def test_values_as_json(invision):
    """Numbers keep their digits, dates are times, text keeps its zeros, NULL is null."""
    run = invision.run(TYPES)
    text = invision.data("objects/every%20type").text
    first, second, third, fourth = json.loads(text)
    assert '"Amount":12345678.90' in text
    assert first == {
        "RunId": run, "Id": 1, "Code": "007", "BigNumber": 9007199254740993, "Amount": 12345678.9, "Ratio": 2.5,
        "Flag": True, "Day": "2024-02-29T00:00:00", "Instant": "2024-02-29T12:34:56.789",
        "Two Words": 'comma, quote " and back\\slash',
    }  # fmt: skip
    assert (second["BigNumber"], second["Code"], second["Two Words"]) == (-9223372036854775808, "", "Zürich 東京 🛩")
    assert (third["Ratio"], third["Two Words"]) == (1e300, "line\nbreak")
    assert set(fourth.values()) == {run, 4, None}


def test_many_rows_come_at_once(invision):
    """There is no paging; the answer is streamed."""
    invision.run(ROWS, rows=12_000)
    answer = invision.data("tables/Store_ManyRows")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    rows = answer.json()
    assert (len(rows), rows[-1]["Code"], rows[7]["Amount"]) == (12_000, "00011999", 0.49)


@pytest.mark.parametrize("key", [EXECUTION, MONITORING, "wrong", ""])
def test_data_wants_its_own_key(sandbox, invision, key):
    """Keys of other areas are as good as none."""
    assert invision.data(TABLE, key=key).status_code == 500
    sandbox.settings("invision", error_style="precise")
    assert invision.data(TABLE, key=key).status_code == 401
    assert invision.data("tables/nosuch").status_code == 404


def test_log_of_a_failure(invision):
    """Lines of a window, with the run's id somewhere in the text."""
    run = invision.run(FAILING)
    invision.run(EMPLOYMENT)
    (line,) = invision.log(logEventType="DataFlowExecution", logLevel="Error").json()
    assert set(line) == {"rowid", "data", "level", "timestamputc", "logevent"}
    assert run in line["data"]
    assert "Could not convert string 'MSFT'" in line["data"]
    assert (line["level"], line["logevent"]) == ("Error", "DataFlowExecution")
    assert len(invision.log().json()) == 4
    assert invision.log(logEventType="Fatal").json() == invision.log(-120, -60).json() == []


def test_log_wants_its_key_and_its_time_format(invision):
    """Everything else is 500; the path has no ``pub`` in it."""
    assert invision.log(key=DATA).status_code == 500
    assert invision.log(fromDateTimeUtc="2021-08-24T15:08:41").status_code == 500
    assert requests.get(f"{invision.base}/api/v1/monitoring?api_key={MONITORING}", timeout=5).status_code == 500
    assert requests.get(f"{invision.base}/api/pub/v1/monitoring", timeout=5).status_code == 404
